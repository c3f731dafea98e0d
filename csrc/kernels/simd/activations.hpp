// Activations and their slopes. A slope is a function of the activation's value y, which is what
// backward has. Where the value is NaN the slope is NaN too, except where it is the same everywhere
// (affine, identity, scaled_tanh with alpha = 0).
//
// With alpha = a and beta = b, as ONNX defines them; u is the largest error of normal values in
// units of their last place. Slopes are off by at most 2 such units of the largest slope.
// tests/engine/test_activations.py holds them to it.
//
//   name               value                             u     slope
//   sigmoid            1 / (1 + exp(-x))                 3     y (1 - y)
//   tanh               tanh(x)                           3     1 - y y
//   relu               max(x, 0)                         0     1 where y > 0, else 0
//   leaky_relu         x where x > 0, else a x           0.5   1 where y > 0, else a       (a >= 0)
//   thresholded_relu   x where x > a, else 0             0     1 where y > 0, else 0       (a >= 0)
//   elu                x where x > 0, else a (exp(x)-1)  3.5   1 where y > 0, else y + a   (a >= 0)
//   hard_sigmoid       a x + b, limited to [0, 1]        0.5   a strictly inside, else 0
//   softsign           x / (1 + |x|)                     1.5   (1 - |y|)^2
//   softplus           log(1 + exp(x))                   2     1 - exp(-y)
//   scaled_tanh        a tanh(b x)                       8.5   b (a - y y / a), 0 where a = 0
//   affine             a x + b                           0.5   a
//   identity           x                                 0     1
//
// At a kink the slope is the one of the left side, as in PyTorch; at both of hard_sigmoid's, 0.
// All are monotone; those with a negative slope (hard_sigmoid and affine with a < 0, scaled_tanh
// with a b < 0) descend.
#pragma once
#include "abi/activation.hpp"
#include "kernels/simd/log.hpp"
#include "kernels/simd/math.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class V>
inline V sigmoid_slope(V y) noexcept {
  return y * (V(typename V::Scalar(1)) - y);
}

template <class V>
inline V tanh_slope(V y) noexcept {
  return V(typename V::Scalar(1)) - y * y;
}

template <class V>
inline V relu(V x) noexcept {
  return max(V(typename V::Scalar(0)), x);  // NaN stays NaN
}

// Of thresholded_relu as well.
template <class V>
inline V relu_slope(V y) noexcept {
  using T = typename V::Scalar;
  const V zero(T(0));
  return if_above(y, zero, V(T(1)), zero);
}

template <class V>
inline V leaky_relu(V x, V alpha) noexcept {
  return if_above(x, V(typename V::Scalar(0)), x, alpha * x);
}

template <class V>
inline V leaky_relu_slope(V y, V alpha) noexcept {
  using T = typename V::Scalar;
  return if_above(y, V(T(0)), V(T(1)), alpha);
}

template <class V>
inline V thresholded_relu(V x, V alpha) noexcept {
  return if_above(x, alpha, x, V(typename V::Scalar(0)));
}

template <class V>
inline V elu(V x, V alpha) noexcept {
  return if_above(x, V(typename V::Scalar(0)), x, alpha * expm1_below_zero(x));
}

template <class V>
inline V elu_slope(V y, V alpha) noexcept {
  using T = typename V::Scalar;
  return if_above(y, V(T(0)), V(T(1)), y + alpha);
}

template <class V>
inline V affine(V x, V alpha, V beta) noexcept {
  return fma(alpha, x, beta);
}

template <class V>
inline V hard_sigmoid(V x, V alpha, V beta) noexcept {
  using T = typename V::Scalar;
  return max(V(T(0)), min(V(T(1)), affine(x, alpha, beta)));
}

template <class V>
inline V hard_sigmoid_slope(V y, V alpha) noexcept {
  using T = typename V::Scalar;
  const V zero(T(0)), one(T(1));
  return if_above(y, zero, zero_unless_between(zero, y, one, alpha), zero);  // NaN stays NaN
}

// From 2^64 on the value is 1 in either type: the limit keeps infinity from dividing itself.
template <class V>
inline V softsign(V x) noexcept {
  using T = typename V::Scalar;
  const V limit(T(0x1p64));
  const V zero(T(0)), one(T(1));
  x = max(zero - limit, min(limit, x));
  return x / (one + max(x, zero - x));
}

template <class V>
inline V softsign_slope(V y) noexcept {
  using T = typename V::Scalar;
  const V distance = V(T(1)) - max(y, V(T(0)) - y);
  return distance * distance;
}

template <class V>
inline V softplus_slope(V y) noexcept {
  const V zero(typename V::Scalar(0));
  return zero - expm1_below_zero(zero - y);  // nothing cancels where y is small
}

template <class V>
inline V scaled_tanh(V x, V alpha, V beta) noexcept {
  return alpha * tanh(beta * x);
}

// |y / alpha| is at most 1: no square can overflow or vanish.
template <class V>
inline V scaled_tanh_slope(V y, V alpha, V beta) noexcept {
  return beta * fma(V(typename V::Scalar(0)) - y, y / alpha, alpha);
}

// Any activation, chosen while running. Not inline: a cell asks for several, and twelve bodies at
// each of these places would crowd the instruction cache.
template <class V>
[[gnu::noinline]] V activate(const Activation<typename V::Scalar>& activation, V x) noexcept {
  const V alpha(activation.alpha), beta(activation.beta);
  switch (activation.kind) {
    case ActivationKind::kSigmoid:
      return sigmoid(x);
    case ActivationKind::kTanh:
      return tanh(x);
    case ActivationKind::kRelu:
      return relu(x);
    case ActivationKind::kLeakyRelu:
      return leaky_relu(x, alpha);
    case ActivationKind::kThresholdedRelu:
      return thresholded_relu(x, alpha);
    case ActivationKind::kElu:
      return elu(x, alpha);
    case ActivationKind::kHardSigmoid:
      return hard_sigmoid(x, alpha, beta);
    case ActivationKind::kSoftsign:
      return softsign(x);
    case ActivationKind::kSoftplus:
      return softplus(x);
    case ActivationKind::kScaledTanh:
      return scaled_tanh(x, alpha, beta);
    case ActivationKind::kAffine:
      return affine(x, alpha, beta);
    case ActivationKind::kIdentity:
      return x;
  }
  return x;
}

// Two of them and their product, as sigmoid_times_tanh has it. That pair, which most cells have, is
// in line: what the caller does not use of it, a division each in inference, is then not made.
template <class V>
[[gnu::noinline]] Gated<V> activate_any_two(const Activation<typename V::Scalar>& gate, V x,
                                            const Activation<typename V::Scalar>& value,
                                            V y) noexcept {
  const V a = activate(gate, x), b = activate(value, y);
  return {a, b, a * b};
}
template <class V>
[[gnu::always_inline]] inline Gated<V> activate_both(const Activation<typename V::Scalar>& gate,
                                                     V x,
                                                     const Activation<typename V::Scalar>& value,
                                                     V y) noexcept {
  if (gate.kind == ActivationKind::kSigmoid && value.kind == ActivationKind::kTanh) {
    return sigmoid_times_tanh(x, y);
  }
  return activate_any_two(gate, x, value, y);
}

template <class V>
[[gnu::noinline]] V slope(const Activation<typename V::Scalar>& activation, V y) noexcept {
  using T = typename V::Scalar;
  const V alpha(activation.alpha), beta(activation.beta);
  switch (activation.kind) {
    case ActivationKind::kSigmoid:
      return sigmoid_slope(y);
    case ActivationKind::kTanh:
      return tanh_slope(y);
    case ActivationKind::kRelu:
    case ActivationKind::kThresholdedRelu:
      return relu_slope(y);
    case ActivationKind::kLeakyRelu:
      return leaky_relu_slope(y, alpha);
    case ActivationKind::kElu:
      return elu_slope(y, alpha);
    case ActivationKind::kHardSigmoid:
      return hard_sigmoid_slope(y, alpha);
    case ActivationKind::kSoftsign:
      return softsign_slope(y);
    case ActivationKind::kSoftplus:
      return softplus_slope(y);
    case ActivationKind::kScaledTanh:
      // Constant: its value is 0, and 0 / 0 would be NaN.
      return activation.alpha == T(0) ? V(T(0)) : scaled_tanh_slope(y, alpha, beta);
    case ActivationKind::kAffine:
      return alpha;
    case ActivationKind::kIdentity:
      break;
  }
  return V(T(1));
}

}  // namespace simdrnn::SIMDRNN_ISA
