// Clipping inside back-propagation through time: at every real step, the part of dL/dh that arrives
// from later steps, before dL/dy_t is added.
//
//   step_grad_clip    elementwise to +-value
//   step_grad_norm    the row is scaled by min(1, value / its Euclidean norm)
//
// Not differentiated: they change the gradient itself. Sources: Graves 2013, arXiv:1308.0850
// (elementwise); Pascanu et al. 2013, arXiv:1211.5063 (norm).
#pragma once
#include "abi/options.hpp"
#include "abi/sums.hpp"
#include "kernels/simd/vec.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class T>
inline T squared_norm(const T* row, Index n) noexcept {
  return sum_over<T>(n, [&](Index i) noexcept { return row[i] * row[i]; });
}

inline float square_root(float x) noexcept { return __builtin_sqrtf(x); }
inline double square_root(double x) noexcept { return __builtin_sqrt(x); }

template <class T>
inline bool clips_step_gradient(const Limits<T>& limits) noexcept {
  const T infinity = T(__builtin_inf());
  return limits.step_gradient < infinity || limits.step_gradient_norm < infinity;
}

// `row` has n elements and is padded to full vectors.
template <class V>
inline void clip_step_gradient(const Limits<typename V::Scalar>& limits, typename V::Scalar* row,
                               Index n) noexcept {
  using T = typename V::Scalar;
  const T infinity = T(__builtin_inf());
  if (limits.step_gradient < infinity) {
    const V high(limits.step_gradient), low(-limits.step_gradient);
    for (Index i = 0; i < n; i += V::kLanes) max(low, min(high, V::load(row + i))).store(row + i);
  }
  if (limits.step_gradient_norm < infinity) {
    const T norm = square_root(squared_norm(row, n));
    if (norm > limits.step_gradient_norm) {
      const V scale(limits.step_gradient_norm / norm);
      for (Index i = 0; i < n; i += V::kLanes) (V::load(row + i) * scale).store(row + i);
    }
  }
}

}  // namespace simdrnn::SIMDRNN_ISA
