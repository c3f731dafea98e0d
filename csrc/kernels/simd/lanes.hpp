// Lanes<V, N>: N vectors, indexed by a cell's gate or state names. N may be 0.
#pragma once

namespace simdrnn::SIMDRNN_ISA {

template <class V, int N>
struct Lanes {
  V value[N > 0 ? N : 1];
  V& operator[](int i) noexcept { return value[i]; }
  const V& operator[](int i) const noexcept { return value[i]; }
};

}  // namespace simdrnn::SIMDRNN_ISA
