// What both time loops share: which rows take part in a step, and where a row's things are.
#pragma once
#include "abi/args.hpp"
#include "kernels/gemm/pack.hpp"
#include "kernels/simd/lanes.hpp"
#include "kernels/simd/partial.hpp"

namespace simdrnn::SIMDRNN_ISA {

// Cuts typed arrays from one scratch buffer; with a null buffer it only counts.
class Scratch {
 public:
  explicit Scratch(void* base) noexcept : base_(static_cast<char*>(base)), used_(0) {}
  template <class E>
  E* take(Index count) noexcept {
    const Index at = used_;
    used_ += round_up(count * Index(sizeof(E)), 64);
    return base_ == nullptr || count == 0 ? nullptr : reinterpret_cast<E*>(base_ + at);
  }
  Index used() const noexcept { return used_; }

 private:
  char* base_;
  Index used_;
};

// The part [begin, end) of `tiles` that one of a gang takes.
struct Share {
  Index begin, end;
};
inline Share share_of(const Gang& gang, Index tiles) noexcept {
  return {tiles * gang.part / gang.parts, tiles * (gang.part + 1) / gang.parts};
}

inline void meet(const Gang& gang) noexcept {
  if (gang.parts > 1) gang.meet(gang.place);
}

template <class T>
inline Index time_of(const PassArgs<T>& pass, Index step) noexcept {
  return pass.reverse ? pass.steps - 1 - step : step;
}

template <class T>
inline unsigned flags_at(const PassArgs<T>& pass, Index t, Index b) noexcept {
  return pass.flags == nullptr ? unsigned(kStepReal) : pass.flags[t * pass.batch + b];
}

template <class T>
inline T* row_at(const Sequence<T>& sequence, Index t, Index b) noexcept {
  return sequence.data + t * sequence.stride_t + b * sequence.stride_b;
}

template <class T>
inline void copy(const T* from, T* to, Index n) noexcept {
  for (Index i = 0; i < n; ++i) to[i] = from[i];
}

template <class T>
inline void multiply(const T* a, const T* b, T* to, Index n) noexcept {
  for (Index i = 0; i < n; ++i) to[i] = a[i] * b[i];
}

// The cell's own parameters of the units from `unit` on, into lanes[at] and following.
template <class V, int N, class T>
[[gnu::always_inline]] inline void load_parameters(const PackedWeights<T>& weights, Index count,
                                                   Index unit, Lanes<V, N>& lanes,
                                                   int at) noexcept {
  for (int k = 0; k < count; ++k) {
    lanes[at + k] = V::load(weights.parameters + k * weights.parameter_stride + unit);
  }
}

// What the cell takes of a step and row beside x, in all lanes.
template <class V, class T>
inline V attention(const PassArgs<T>& pass, Index t, Index b) noexcept {
  return V(pass.attention[t * pass.batch + b]);
}

template <class T>
inline void fill_zero(T* to, Index n) noexcept {
  for (Index i = 0; i < n; ++i) to[i] = T(0);
}

}  // namespace simdrnn::SIMDRNN_ISA
