// Loads and stores at the end of an array, where a full vector may not fit.
#pragma once
#include "simd/vec.hpp"

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

}  // namespace simdrnn::SIMDRNN_ISA
