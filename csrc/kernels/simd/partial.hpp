// Loads, stores and loops at the end of an array, where a full vector may not fit.
#pragma once
#include "kernels/simd/vec.hpp"

namespace simdrnn::SIMDRNN_ISA {

// n elements, where kFull promises n == kLanes.
template <bool kFull, class V>
[[gnu::always_inline]] inline V load_n(const typename V::Scalar* p, Index n) noexcept {
  if constexpr (kFull) {
    return V::load(p);
  } else {
    return V::load(p, n);
  }
}
template <bool kFull, class V>
[[gnu::always_inline]] inline void store_n(V v, typename V::Scalar* p, Index n) noexcept {
  if constexpr (kFull) {
    v.store(p);
  } else {
    v.store(p, n);
  }
}

// min(kLanes, n) elements.
template <class V>
inline V load_up_to(const typename V::Scalar* p, Index n) noexcept {
  return V::kLanes == 1 || n >= V::kLanes ? V::load(p) : V::load(p, n);
}
template <class V>
inline void store_up_to(V v, typename V::Scalar* p, Index n) noexcept {
  if (V::kLanes == 1 || n >= V::kLanes) {
    v.store(p);
  } else {
    v.store(p, n);
  }
}

template <bool kValue>
struct Truth {
  constexpr operator bool() const noexcept { return kValue; }
};

// Calls act(unit, n, full) for each vector of [begin, end): its first unit, and how many of its
// lanes count, of which `full` says that they all do. (Of one lane there is nothing that is not
// full, and no code for it.)
template <class V, class Act>
[[gnu::always_inline]] inline void each_vector(Index begin, Index end, Act act) noexcept {
  Index unit = begin;
  for (; unit + V::kLanes <= end; unit += V::kLanes) act(unit, V::kLanes, Truth<true>{});
  if constexpr (V::kLanes > 1) {
    if (unit < end) act(unit, end - unit, Truth<false>{});
  }
}

}  // namespace simdrnn::SIMDRNN_ISA
