// Normal numbers of random words, by the rules of simd/math.hpp: the same bits on every ISA. Two
// words u, v make two of them (Box & Muller 1958, "A note on the generation of random normal
// deviates"), as simdrnn.engine.random_words has it:
//
//   r = sqrt(-2 log((u + 1/2) / 2^32))     a = 2 pi v / 2^32     r cos(a) and r sin(a)
//
// The angle is reduced among the integers, to within pi/4 of a quarter turn: what is rounded is
// small. Coefficients are Taylor's, as many as a half unit in the last place takes there.
#pragma once
#include <cstdint>

#include "kernels/simd/log.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class T>
struct CircleConstants;

template <>
struct CircleConstants<float> {
  static constexpr float kSin[4] = {1.0f / 362880, -1.0f / 5040, 1.0f / 120, -1.0f / 6};
  static constexpr float kCos[5] = {-1.0f / 3628800, 1.0f / 40320, -1.0f / 720, 1.0f / 24, -0.5f};
};

template <>
struct CircleConstants<double> {
  static constexpr double kSin[7] = {
      -1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880,
      -1.0 / 5040,          1.0 / 120,        -1.0 / 6};
  static constexpr double kCos[8] = {
      1.0 / 20922789888000, -1.0 / 87178291200, 1.0 / 479001600, -1.0 / 3628800,
      1.0 / 40320,          -1.0 / 720,         1.0 / 24,        -0.5};
};

// What pairs of words are on their way to numbers.
template <class T, int kPairs>
struct Polar {
  alignas(64) T high[kPairs], low[kPairs];     // (u + 1/2) / 2^32, in two parts
  alignas(64) T angle[kPairs];                 // from the nearest quarter turn
  alignas(64) T cosine[kPairs], sine[kPairs];  // of that angle, times r
};

// Which quarter turn is nearest to a word's angle.
[[gnu::always_inline]] inline std::uint32_t quarter_of(std::uint32_t word) noexcept {
  return (word + 0x20000000u) >> 30;
}

template <class T, int kPairs>
void reduce(const std::uint32_t* words, Polar<T, kPairs>& polar) noexcept {
  constexpr T kStep = T(6.283185307179586 / 4294967296.0);
  for (int i = 0; i < kPairs; ++i) {
    const double u = (words[2 * i] + 0.5) * 0x1p-32;
    polar.high[i] = T(u);
    polar.low[i] = T(u - double(polar.high[i]));
    const std::uint32_t v = words[2 * i + 1];
    polar.angle[i] = T(static_cast<std::int32_t>(v - (quarter_of(v) << 30))) * kStep;
  }
}

// Of kCount words as many numbers, each times `deviation`.
template <class V, int kCount>
void normals(const std::uint32_t (&words)[kCount], typename V::Scalar deviation,
             typename V::Scalar (&out)[kCount]) noexcept {
  using T = typename V::Scalar;
  using C = CircleConstants<T>;
  constexpr int kPairs = kCount / 2;
  static_assert(kPairs % V::kLanes == 0);
  Polar<T, kPairs> polar;
  reduce<T, kPairs>(words, polar);
  for (int i = 0; i < kPairs; i += V::kLanes) {
    const V high = V::load(polar.high + i), x = V::load(polar.angle + i), z = x * x;
    const V of_u = log_of_normal(high, V(T(0)), V::load(polar.low + i) / high);
    const V radius = V(deviation) * sqrt(V(T(-2)) * of_u);
    (radius * fma(x * z, polynomial(z, C::kSin), x)).store(polar.sine + i);
    (radius * fma(z, polynomial(z, C::kCos), V(T(1)))).store(polar.cosine + i);
  }
  for (int i = 0; i < kPairs; ++i) {
    const std::uint32_t quarter = quarter_of(words[2 * i + 1]);
    const bool turned = (quarter & 1u) != 0;
    const T first = turned ? polar.sine[i] : polar.cosine[i];
    const T second = turned ? polar.cosine[i] : polar.sine[i];
    out[2 * i] = quarter == 1 || quarter == 2 ? -first : first;
    out[2 * i + 1] = quarter >= 2 ? -second : second;
  }
}

}  // namespace simdrnn::SIMDRNN_ISA
