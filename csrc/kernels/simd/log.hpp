// Logarithms on vectors, by the rules of math.hpp: the same bits on every ISA, NaN gives NaN.
// tests/engine/test_math.py holds each function to its line:
//
//   function       bound holds on         largest error   beyond
//   log            [0, infinity]          1 ULP           -infinity at 0, NaN below
//   log1p          [-1, infinity]         1 ULP           -infinity at -1, NaN below
//   softplus       [-87.33, infinity]     2 ULP           0 below -87.7, decaying between
//   softplus (f64) [-708.39, infinity]    2 ULP           0 below -708.8, decaying between
//   log_sigmoid    [-infinity, 87.33]     2 ULP           0 above 87.7, decaying between
//   log_sigmoid (f64) [-infinity, 708.39] 2 ULP           0 above 708.8, decaying between
//
// Method: log(1+f) = log((1+s)/(1-s)) with s = f/(2+f), which is 2s + s R = f - s (f - R), where R
// = z p(z), z = s*s. That form adds small corrections to f, which is exact. The coefficients of p
// come from tools/fit_log.py; they serve f from sqrt(1/2) - 1 to 1.
#pragma once
#include "kernels/simd/math.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class T>
struct LogConstants;

template <>
struct LogConstants<float> {
  static constexpr float kLog[5] = {0.232267404f, 0.217093002f, 0.28591856f, 0.399997301f,
                                    0.666666671f};
  static constexpr float kLargest = 0x1.fffffep127f;
  static constexpr float kLargestSubnormal = 0x1.fffffcp-127f;
  static constexpr float kDigits = 24.0f, kTwoToDigits = 16777216.0f;
};

template <>
struct LogConstants<double> {
  static constexpr double kLog[10] = {
      0.16167952818585414, 0.088036887843720205, 0.11999306694711962, 0.13314492769568805,
      0.1538553536230881,  0.18181791355566903,  0.22222222658360002, 0.28571428568052047,
      0.40000000000008044, 0.66666666666666671};
  static constexpr double kLargest = 0x1.fffffffffffffp1023;
  static constexpr double kLargestSubnormal = 0x1.ffffffffffffep-1023;
  static constexpr double kDigits = 53.0, kTwoToDigits = 9007199254740992.0;
};

// log(1 + t) for t from 0 to 1: no reduction is needed.
template <class V>
inline V log1p_to_one(V t) noexcept {
  using T = typename V::Scalar;
  const V s = t / (t + V(T(2)));
  const V z = s * s;
  return fma(s, z * polynomial(z, LogConstants<T>::kLog) - t, t);
}

// log(x * 2^scale) + correction for positive normal x; the correction is small.
template <class V>
inline V log_of_normal(V x, V scale, V correction) noexcept {
  using T = typename V::Scalar;
  using C = ExpConstants<T>;
  const V e = binary_exponent(x) + scale;
  const V f = binary_fraction(x) - V(T(1));
  const V s = f / (f + V(T(2)));
  const V z = s * s;
  const V small = fma(e, V(C::kLn2Low), correction);
  const V bend = fma(s, z * polynomial(z, LogConstants<T>::kLog) - f, small);
  return fma(e, V(C::kLn2High), f + bend);
}

// `value` where x > edge, the edge of a logarithm's domain; -infinity at it and NaN below it.
template <class V>
inline V from_edge(V x, V edge, V value) noexcept {
  using T = typename V::Scalar;
  constexpr T kInfinity = __builtin_inf(), kNan = __builtin_nan("");
  const V at_or_below = if_above(edge, x, V(kNan), V(-kInfinity));
  // The logarithm of infinity is infinity, whatever its bits were taken for.
  const V limited = if_above(x, V(LogConstants<T>::kLargest), V(kInfinity), value);
  return if_above(x, edge, limited, at_or_below);
}

template <class V>
inline V log(V x) noexcept {
  using T = typename V::Scalar;
  using C = LogConstants<T>;
  const V zero(T(0)), tiny(C::kLargestSubnormal);
  const V normal = if_above(x, tiny, x, x * V(C::kTwoToDigits));
  const V scale = if_above(x, tiny, zero, V(-C::kDigits));
  return from_edge(x, zero, log_of_normal(normal, scale, zero));
}

// log(1 + x). u = 1 + x is rounded; what it lost comes back as log(u + lost) = log(u) + lost/u.
template <class V>
inline V log1p(V x) noexcept {
  using T = typename V::Scalar;
  const V one(T(1));
  const V u = one + x;
  const V kept = u - one;
  const V lost = (one - (u - kept)) + (x - kept);
  return from_edge(x, V(T(0)) - one, log_of_normal(u, V(T(0)), lost / u));
}

// log(1 + exp(x)).
template <class V>
inline V softplus(V x) noexcept {
  const V zero(typename V::Scalar(0));
  return max(zero, x) + log1p_to_one(exp(min(x, zero - x)));
}

// log(1 / (1 + exp(-x))) = -softplus(-x).
template <class V>
inline V log_sigmoid(V x) noexcept {
  const V zero(typename V::Scalar(0));
  return min(zero, x) - log1p_to_one(exp(min(x, zero - x)));
}

}  // namespace simdrnn::SIMDRNN_ISA
