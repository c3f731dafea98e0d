// exp, sigmoid, tanh and expm1 on vectors, from additions, products, FMAs and one true division
// only, so that every ISA gives the same bits. (On CPUs of the last ten years a division costs no
// more than an estimate with its Newton steps.) NaN gives NaN. tests/engine/test_math.py walks bit
// patterns to hold each function to its line:
//
//   function       bound holds on         largest error   beyond
//   exp            [-87.33, 88.37]        1 ULP           0 below -87.7, infinity above 88.4
//   exp (f64)      [-708.39, 709.43]      1.1 ULP         0 below -708.8, infinity above 709.5
//   sigmoid        [-87.33, infinity]     3 ULP           0 below -88.4, decaying between
//   sigmoid (f64)  [-708.39, infinity]    3 ULP           0 below -709.5, decaying between
//   tanh           all                    3 ULP           -
//   expm1_below_zero  all                 1.1 ULP         -
//   expm1_below_zero (f64)  all           1.5 ULP         -
//
// Method: x = n ln(2) + r with |r| <= ln(2)/2, exp(x) = 2^n exp(r), exp(r) = 1 + r + r^2 q(r). n is
// rounded by adding and subtracting 1.5 * 2^23 (2^52): the sum's low bits are n, which
// scale_by_shifted turns into 2^n. The coefficients of q come from tools/fit_expm1.py.
#pragma once
#include "kernels/simd/vec.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
  static constexpr float kRoundingShift = 12582912.0f;  // 1.5 * 2^23
  static constexpr float kLog2E = 1.44269504f;
  static constexpr float kLn2High = 0x1.62e43p-1f, kLn2Low = -1.90465421e-9f;
  // n reaches 128 = infinity above 127.5 ln(2) and -127 = zero below -126.5 ln(2): the clamps lie
  // just beyond.
  static constexpr float kHighest = 89.0f, kLowest = -88.2f;
  static constexpr float kTanhLimit = 10.0f;  // 1 - tanh(9.02) is under half an ULP of 1
  static constexpr int kTerms = 5;
  static constexpr float kExp[kTerms] = {0.00139269266f, 0.00836377387f, 0.0416665501f,
                                         0.166665734f, 0.5f};
  static constexpr float kExp2r[kTerms] = {0.0891323303f, 0.267640764f, 0.666664802f, 1.33332587f,
                                           2.0f};
};

template <>
struct ExpConstants<double> {
  static constexpr double kRoundingShift = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kLog2E = 1.4426950408889634;
  static constexpr double kLn2High = 0.6931471805599453, kLn2Low = 2.3190468138462996e-17;
  static constexpr double kHighest = 709.9, kLowest = -708.9;
  static constexpr double kTanhLimit = 20.0;  // 1 - tanh(18.8) is under half an ULP of 1
  static constexpr int kTerms = 10;
  static constexpr double kExp[kTerms] = {2.510134692835034e-8,   2.7621338669142924e-7,
                                          2.7557266418612304e-6,  2.4801518641395994e-5,
                                          0.00019841269864380513, 0.0013888888918939168,
                                          0.0083333333333297935,  0.041666666666620639,
                                          0.16666666666666668,    0.5};
  static constexpr double kExp2r[kTerms] = {5.1407558509261497e-5, 0.00028284250797202354,
                                            0.0014109320406329499, 0.0063491887721973744,
                                            0.025396825426407057,  0.088888889081210674,
                                            0.26666666666655339,   0.66666666666593022,
                                            1.3333333333333334,    2.0};
};

// The polynomial with `coefficients`, highest power first, by Horner's rule.
template <class V, int N>
inline V polynomial(V r, const typename V::Scalar (&coefficients)[N]) noexcept {
  V sum(coefficients[0]);
  for (int i = 1; i < N; ++i) sum = fma(sum, r, V(coefficients[i]));
  return sum;
}

template <class V>
inline V exp(V x) noexcept {
  using T = typename V::Scalar;
  using C = ExpConstants<T>;
  x = max(V(C::kLowest), min(V(C::kHighest), x));  // in this order of operands NaN stays NaN
  const V shifted = fma(x, V(C::kLog2E), V(C::kRoundingShift));
  const V n = shifted - V(C::kRoundingShift);
  const V r = fma(n, V(-C::kLn2Low), fma(n, V(-C::kLn2High), x));
  const V one(T(1));
  const V exp_r = fma(r, fma(r, polynomial(r, C::kExp), one), one);
  return scale_by_shifted(shifted) * exp_r;
}

template <class V>
inline V sigmoid(V x) noexcept {
  using T = typename V::Scalar;
  const V one(T(1));
  return one / (one + exp(V(T(0)) - x));
}

// tanh(x) = E / (E + 2) with E = exp(2x) - 1, formed without cancellation: relative error near 0
// too.
template <class V>
inline V tanh(V x) noexcept {
  using T = typename V::Scalar;
  using C = ExpConstants<T>;
  x = max(V(-C::kTanhLimit), min(V(C::kTanhLimit), x));
  const V shifted = fma(x, V(2 * C::kLog2E), V(C::kRoundingShift));
  const V n = shifted - V(C::kRoundingShift);
  // One step of reduction is enough: n times the rounding error of ln(2) only matters where E is
  // large, and there E / (E + 2) hardly depends on E.
  const V r = fma(n, V(C::kLn2High / -2), x);
  const V expm1_2r = fma(r * r, polynomial(r, C::kExp2r), r + r);
  const V scale = scale_by_shifted(shifted);
  const V expm1_2x = fma(scale, expm1_2r, scale - V(T(1)));
  return expm1_2x / (expm1_2x + V(T(2)));
}

// exp(min(x, 0)) - 1, formed without cancellation: what elu and the slope of softplus need.
template <class V>
inline V expm1_below_zero(V x) noexcept {
  using T = typename V::Scalar;
  using C = ExpConstants<T>;
  x = max(V(C::kLowest), min(V(T(0)), x));
  const V shifted = fma(x, V(C::kLog2E), V(C::kRoundingShift));
  const V n = shifted - V(C::kRoundingShift);
  const V r = fma(n, V(-C::kLn2Low), fma(n, V(-C::kLn2High), x));
  const V expm1_r = fma(r * r, polynomial(r, C::kExp), r);
  const V scale = scale_by_shifted(shifted);
  return fma(scale, expm1_r, scale - V(T(1)));
}

}  // namespace simdrnn::SIMDRNN_ISA
