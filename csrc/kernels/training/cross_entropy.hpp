// Softmax and cross entropy, row by row. No result of a row depends on another row, on the thread
// or on the instruction set: sums are in double precision, in sixteen parts (abi/sums.hpp).
#pragma once
#include "abi/sums.hpp"
#include "abi/training.hpp"
#include "kernels/simd/log.hpp"
#include "kernels/simd/partial.hpp"

namespace simdrnn::SIMDRNN_ISA {

// The largest of n > 0 elements. Where one is NaN any of them may come out: the row's sum tells.
template <class V>
typename V::Scalar largest_of(const typename V::Scalar* x, Index n) noexcept {
  using T = typename V::Scalar;
  constexpr Index kChains = 4, kBlock = kChains * V::kLanes;
  T found[V::kLanes];
  T largest = x[0];
  Index i = 0;
  if (n >= kBlock) {
    V chain[kChains];
    for (int c = 0; c < kChains; ++c) chain[c] = V::load(x + c * V::kLanes);
    for (i = kBlock; i + kBlock <= n; i += kBlock) {
#pragma GCC unroll 4
      for (int c = 0; c < kChains; ++c) {
        chain[c] = max(chain[c], V::load(x + i + c * V::kLanes));
      }
    }
    for (int c = 1; c < kChains; ++c) chain[0] = max(chain[0], chain[c]);
    chain[0].store(found);
    for (const T one : found) largest = one > largest ? one : largest;
  }
  for (; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

// out = exp(x - largest) of n elements; returns the sum.
template <class V>
double exponentials_of(const typename V::Scalar* x, Index n, typename V::Scalar largest,
                       typename V::Scalar* out) noexcept {
  static_assert(kPartialSums % V::kLanes == 0);
  const V shift(largest);
  // A stretch is added up when its exponentials are done: neither loop then waits for the other.
  constexpr Index kStretch = 16 * kPartialSums;
  const Index whole = n / kPartialSums * kPartialSums;
  double parts[kPartialSums] = {};
  Index i = 0;
  while (i < whole) {
    const Index end = kStretch < whole - i ? i + kStretch : whole;
    for (Index k = i; k < end; k += V::kLanes) exp(V::load(x + k) - shift).store(out + k);
    for (; i < end; i += kPartialSums) {
      for (int j = 0; j < kPartialSums; ++j) parts[j] += static_cast<double>(out[i + j]);
    }
  }
  each_vector<V>(i, n, [&](Index at, Index count, auto full) {
    constexpr bool kFull = decltype(full){};
    const V value = exp(load_n<kFull, V>(x + at, count) - shift);
    store_n<kFull>(value, out + at, count);
  });
  for (Index j = i; j < n; ++j) parts[j - i] += static_cast<double>(out[j]);
  return sum_of_parts(parts);
}

inline double log_of(double x) noexcept {
  double lanes[Vec<double>::kLanes];
  log(Vec<double>(x)).store(lanes);
  return lanes[0];
}

template <class V>
void cross_entropy(const CrossEntropyArgs<typename V::Scalar>& a) noexcept {
  using T = typename V::Scalar;
  for (Index r = 0; r < a.rows; ++r) {
    if (a.real != nullptr && a.real[r] == 0) {
      a.term[r] = 0.0;
      continue;
    }
    const T* const row = a.logits + r * a.stride;
    const T largest = largest_of<V>(row, a.classes);
    a.total[r] = exponentials_of<V>(row, a.classes, largest, a.exponentials + r * a.classes);
    a.term[r] = log_of(a.total[r]) - static_cast<double>(row[a.target[r]] - largest);
  }
}

template <class V>
void cross_entropy_gradient(const CrossEntropyGradientArgs<typename V::Scalar>& a) noexcept {
  using T = typename V::Scalar;
  for (Index r = 0; r < a.rows; ++r) {
    const T* const from = a.exponentials + r * a.classes;
    T* const to = a.d_logits + r * a.classes;
    if (a.real != nullptr && a.real[r] == 0) {
      for (Index c = 0; c < a.classes; ++c) to[c] = T(0);
      continue;
    }
    const V factor(static_cast<T>(a.scale / a.total[r]));
    each_vector<V>(0, a.classes, [&](Index at, Index count, auto full) {
      constexpr bool kFull = decltype(full){};
      store_n<kFull>(load_n<kFull, V>(from + at, count) * factor, to + at, count);
    });
    const Index right = a.target[r];
    to[right] = static_cast<T>((static_cast<double>(from[right]) / a.total[r] - 1.0) * a.scale);
  }
}

}  // namespace simdrnn::SIMDRNN_ISA
