// exp, sigmoid, tanh and expm1 on vectors, from additions, products, FMAs and one true division
// only, so that every ISA gives the same bits. (On CPUs of the last ten years a division costs no
// more than an estimate with its Newton steps.) NaN gives NaN. tests/engine/test_math.py walks bit
// patterns to hold each function to its line:
//
//   function       bound holds on         largest error   beyond
//   exp            [-87.33, 88.37]        1 ULP           0 below -87.7, infinity above 88.4
//   exp (f64)      [-708.39, 709.43]      1.1 ULP         0 below -708.8, infinity above 709.5
//   sigmoid        [-87.33, infinity]     2.5 ULP         0 below -88.8, decaying between
//   sigmoid (f64)  [-708.39, infinity]    3 ULP           0 below -709.5, decaying between
//   tanh           all                    3 ULP           -
//   expm1_below_zero  all                 1.1 ULP         -
//   expm1_below_zero (f64)  all           1.5 ULP         -
//
// Method: x = n ln(2) + r with |r| <= ln(2)/2, exp(x) = 2^n exp(r), exp(r) = 1 + r + r^2 q(r). n is
// rounded by adding and subtracting 1.5 * 2^23 (2^52): the sum's low bits are n, which
// scale_by_shifted turns into 2^n. The coefficients of q come from tools/fit_expm1.py.
//
// sigmoid and tanh of float, which gates are made of, reduce by ln(2)/8 instead and take 2^(n/8)
// from a table of eight entries, the most that AVX2 looks up at once: a polynomial two FMAs shorter
// will do. What else there is to their constants is in tools/fit_eighths.py.
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

// The tables' entry n mod 8 serves 2^(n/8); all eight stand in them twice.
struct EighthConstants {
  static constexpr float kLog2E = 11.5415603f;                // n = 8 log2(exp(x))
  static constexpr float kLowest = -89.0f, kHighest = 40.0f;  // 1 + exp(-x) is infinity and 1
  static constexpr float kLn2High = 0x1.62e43p-4f, kLn2Low = -2.38081776e-10f;
  // exp(-x) = s q(r), r = x + n ln(2)/8, s = A 2^(n/8) and q(r) = exp(-r)/A, with such an A that
  // all entries are within 7e-9 of what they stand for.
  alignas(64) static constexpr float kScaled[16] = {
      0x1.0da158p-1f, 0x1.0608acp-1f, 0x1.00a56ep-1f, 0x1.fdaaccp-2f,
      0x1.fd5094p-2f, 0x1.ffd3a2p-2f, 0x1.057654p-1f, 0x1.0e810ap-1f,
      0x1.0da158p-1f, 0x1.0608acp-1f, 0x1.00a56ep-1f, 0x1.fdaaccp-2f,
      0x1.fd5094p-2f, 0x1.ffd3a2p-2f, 0x1.057654p-1f, 0x1.0e810ap-1f};
  static constexpr float kExpMinus[4] = {-0.316512781f, 0.94959834f, -1.89889667f, 1.89889667f};
  // F (exp(2x) - 1) = s exp(2r) - F, where s has eight bits and F five, so that s - F is exact down
  // to s = 2^-16; kHalfRest, which r gets, has what s lacks of F 2^(n/8). E and E + 2, of which
  // tanh is made, then round little for their size, because F is almost 2.
  static constexpr float kFactor = 1.9375f;
  alignas(64) static constexpr float kShort[16] = {0x1.fp+0f,  0x1.eep+0f, 0x1.e6p+0f, 0x1.e2p+0f,
                                                   0x1.dep+0f, 0x1.dep+0f, 0x1.e2p+0f, 0x1.e6p+0f,
                                                   0x1.fp+0f,  0x1.eep+0f, 0x1.e6p+0f, 0x1.e2p+0f,
                                                   0x1.dep+0f, 0x1.dep+0f, 0x1.e2p+0f, 0x1.e6p+0f};
  alignas(64) static constexpr float kHalfRest[16] = {
      0.0f,           0.000825092368f, 0.00156788698f,  -0.000596303335f,
      0.00103459098f, 0.000612562704f, -0.00109615047f, 0.000917665557f,
      0.0f,           0.000825092368f, 0.00156788698f,  -0.000596303335f,
      0.00103459098f, 0.000612562704f, -0.00109615047f, 0.000917665557f};
  static constexpr float kExpm1Of2r[3] = {0.666702855f, 1.3334419f, 2.0f};
};

// 1 + exp(-x).
template <class V>
inline V one_and_exp_minus(V x) noexcept {
  using T = typename V::Scalar;
  using C = ExpConstants<T>;
  const V one(T(1));
  if constexpr (sizeof(T) == sizeof(double)) {
    return one + exp(V(T(0)) - x);
  } else {
    using E = EighthConstants;
    x = max(V(E::kLowest), min(V(E::kHighest), x));  // in this order of operands NaN stays NaN
    const V shifted = fma(x, V(-E::kLog2E), V(C::kRoundingShift));
    const V n = shifted - V(C::kRoundingShift);
    const V r = fma(n, V(E::kLn2Low), fma(n, V(E::kLn2High), x));
    const V scale = scale_by_eighths(entry_of_eight(E::kScaled, shifted), shifted);
    return fma(scale, polynomial(r, E::kExpMinus), one);
  }
}

template <class V>
inline V sigmoid(V x) noexcept {
  using T = typename V::Scalar;
  return V(T(1)) / one_and_exp_minus(x);
}

template <class V>
struct Ratio {
  V above, below;
};

// tanh(x) = E / (E + 2) but for the sign, with E = exp(-2|x|) - 1 formed without cancellation:
// relative error near 0 too, and a denominator that is at most 4. One step of reduction is enough:
// n times the rounding error of ln(2) only matters where E / (E + 2) hardly depends on E.
template <class V>
inline Ratio<V> tanh_ratio(V x) noexcept {
  using T = typename V::Scalar;
  using C = ExpConstants<T>;
  const V y = max(V(-C::kTanhLimit), minus_magnitude(x));
  if constexpr (sizeof(T) == sizeof(double)) {
    const V shifted = fma(y, V(2 * C::kLog2E), V(C::kRoundingShift));
    const V n = shifted - V(C::kRoundingShift);
    const V r = fma(n, V(-C::kLn2High), y + y);
    const V scale = scale_by_shifted(shifted);
    const V e = fma(scale, fma(r * r, polynomial(r, C::kExp), r), scale - V(T(1)));
    return {with_sign_of(e, x), e + V(T(2))};
  } else {
    using E = EighthConstants;
    const V shifted = fma(y, V(2 * E::kLog2E), V(C::kRoundingShift));
    const V n = shifted - V(C::kRoundingShift);
    const V r = fma(n, V(E::kLn2High / -2), y) + entry_of_eight(E::kHalfRest, shifted);
    const V scale = scale_by_eighths(entry_of_eight(E::kShort, shifted), shifted);
    const V expm1_2r = fma(r * r, polynomial(r, E::kExpm1Of2r), r + r);
    const V e = fma(scale, expm1_2r, scale - V(E::kFactor));
    return {with_sign_of(e, x), e + V(2 * E::kFactor)};
  }
}

template <class V>
inline V tanh(V x) noexcept {
  const Ratio<V> ratio = tanh_ratio(x);
  return ratio.above / ratio.below;
}

// sigmoid(x), tanh(y) and, by one division, their product. The compiler leaves out the two others'
// divisions where nobody asks for them.
template <class V>
struct Gated {
  V gate, value, product;
};
template <class V>
inline Gated<V> sigmoid_times_tanh(V x, V y) noexcept {
  const V below = one_and_exp_minus(x);
  const Ratio<V> ratio = tanh_ratio(y);
  return {V(typename V::Scalar(1)) / below, ratio.above / ratio.below,
          ratio.above / (below * ratio.below)};
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
