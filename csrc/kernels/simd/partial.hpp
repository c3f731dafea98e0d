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
  return n >= V::kLanes ? V::load(p) : V::load(p, n);
}
template <class V>
inline void store_up_to(V v, typename V::Scalar* p, Index n) noexcept {
  if (n >= V::kLanes) {
    v.store(p);
  } else {
    v.store(p, n);
  }
}

template <bool kValue>
struct Truth {
  constexpr operator bool() const noexcept { return kValue; }
};

// Calls act(unit, n, full) for each vector of a row: its first unit, and how many of its lanes
// count, of which `full` says that they all do.
template <class V, class Act>
[[gnu::always_inline]] inline void each_vector(Index hidden, Act act) noexcept {
  Index unit = 0;
  for (; unit + V::kLanes <= hidden; unit += V::kLanes) act(unit, V::kLanes, Truth<true>{});
  if (unit < hidden) act(unit, hidden - unit, Truth<false>{});
}

}  // namespace simdrnn::SIMDRNN_ISA
