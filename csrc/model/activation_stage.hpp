// Activations of whole rows, behind a layer of a chain: the engine's own functions, so that their
// bits are the same on every instruction set.
#pragma once
#include <algorithm>

#include "abi/kernel_table.hpp"
#include "abi/sums.hpp"

namespace simdrnn::model {

inline const MathKernels<float>& math_of(const KernelTable& table, float) { return table.math_f32; }
inline const MathKernels<double>& math_of(const KernelTable& table, double) {
  return table.math_f64;
}

template <class T>
struct ActivationStage {
  bool softmax = false;        // over a row; else each number by itself:
  Activation<T> activation{};  // by this
};

// y = f(x), both (rows, width) and dense; y may be x.
template <class T>
void activate_rows(const ActivationStage<T>& stage, const KernelTable& table, const T* x, T* y,
                   Index rows, Index width) noexcept {
  const MathKernels<T>& math = math_of(table, T());
  if (!stage.softmax) return math.activate(stage.activation, x, y, rows * width);
  for (Index row = 0; row < rows; ++row, x += width, y += width) {
    const T most = *std::max_element(x, x + width);
    for (Index i = 0; i < width; ++i) y[i] = x[i] - most;
    math.exp(y, y, width);
    const T sum = sum_over<T>(width, [&](Index i) { return y[i]; });
    for (Index i = 0; i < width; ++i) y[i] /= sum;
  }
}

}  // namespace simdrnn::model
