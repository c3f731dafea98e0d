// One lane: the readable specification of the vector layer, and the fallback of any x86-64.
//
// fma is a call into libm here: exact everywhere, slow on a CPU that has no FMA instruction. We
// keep it because it makes this the oracle of the other ISAs, bit for bit.
#pragma once
#include <cstdint>

#include "abi/cell_info.hpp"

namespace simdrnn::SIMDRNN_ISA {

inline constexpr int kTileRows = 3;  // rows of a register tile; see kernels/gemm/tile.hpp

template <class T>
struct Vec {
  using Scalar = T;
  static constexpr int kLanes = 1;
  T v;

  Vec() noexcept = default;
  explicit Vec(T x) noexcept : v(x) {}

  static Vec load(const T* p) noexcept { return Vec(*p); }
  static Vec load(const T*, Index) noexcept { return Vec(T(0)); }  // n < 1
  void store(T* p) const noexcept { *p = v; }
  void stream(T* p) const noexcept { *p = v; }
  static void finish_streams() noexcept {}
  void store(T*, Index) const noexcept {}

  friend Vec operator+(Vec a, Vec b) noexcept { return Vec(a.v + b.v); }
  friend Vec operator-(Vec a, Vec b) noexcept { return Vec(a.v - b.v); }
  friend Vec operator*(Vec a, Vec b) noexcept { return Vec(a.v * b.v); }
  friend Vec operator/(Vec a, Vec b) noexcept { return Vec(a.v / b.v); }
  // Of floats by way of double, whose second rounding changes no square root.
  friend Vec sqrt(Vec a) noexcept { return Vec(T(__builtin_sqrt(double(a.v)))); }
  friend Vec min(Vec a, Vec b) noexcept { return Vec(a.v < b.v ? a.v : b.v); }
  friend Vec max(Vec a, Vec b) noexcept { return Vec(a.v > b.v ? a.v : b.v); }
  friend Vec zero_unless_between(Vec low, Vec x, Vec high, Vec value) noexcept {
    return Vec(x.v <= low.v || x.v >= high.v ? T(0) : value.v);
  }
  friend Vec minus_magnitude(Vec x) noexcept { return Vec(T(__builtin_copysign(x.v, T(-1)))); }
  friend Vec with_sign_of(Vec size, Vec x) noexcept {
    return Vec(T(__builtin_copysign(size.v, x.v)));
  }
  friend Vec if_above(Vec x, Vec bound, Vec above, Vec otherwise) noexcept {
    if (x.v != x.v) return x;
    return x.v > bound.v ? above : otherwise;
  }
};

inline Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) noexcept {
  return Vec<float>(__builtin_fmaf(a.v, b.v, c.v));
}
inline Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) noexcept {
  return Vec<double>(__builtin_fma(a.v, b.v, c.v));
}

inline Vec<float> scale_by_shifted(Vec<float> shifted) noexcept {
  const auto bits = __builtin_bit_cast(std::uint32_t, shifted.v);
  return Vec<float>(__builtin_bit_cast(float, (bits << 23) + 0x3f800000u));  // 0x3f800000 is 1.0f
}
inline Vec<double> scale_by_shifted(Vec<double> shifted) noexcept {
  const auto bits = __builtin_bit_cast(std::uint64_t, shifted.v);
  return Vec<double>(__builtin_bit_cast(double, (bits << 52) + 0x3ff0000000000000u));  // 1.0
}

inline Vec<float> entry_of_eight(const float (&twice)[16], Vec<float> shifted) noexcept {
  return Vec<float>(twice[__builtin_bit_cast(std::uint32_t, shifted.v) & 7u]);
}
inline Vec<float> scale_by_eighths(Vec<float> x, Vec<float> shifted) noexcept {
  const auto bits = __builtin_bit_cast(std::uint32_t, x.v);
  return Vec<float>(
      __builtin_bit_cast(float, bits + (__builtin_bit_cast(std::uint32_t, shifted.v) << 20)));
}

// x = f * 2^e with f from sqrt(1/2) up to sqrt(2). Adding the distance from sqrt(1/2) to 1 carries
// into the exponent's bits where the mantissa's exceed sqrt(2)'s. 0x4b000000 is 2^23, whose last
// mantissa bit is 1; 0x433... is 2^52.
inline std::uint32_t shifted_bits(Vec<float> x) noexcept {
  return __builtin_bit_cast(std::uint32_t, x.v) + 0x004afb0du;
}
inline std::uint64_t shifted_bits(Vec<double> x) noexcept {
  return __builtin_bit_cast(std::uint64_t, x.v) + 0x00095f619980c433u;
}
inline Vec<float> binary_exponent(Vec<float> x) noexcept {
  const std::uint32_t biased = shifted_bits(x) >> 23;
  return Vec<float>(__builtin_bit_cast(float, biased | 0x4b000000u) - (8388608.0f + 127.0f));
}
inline Vec<double> binary_exponent(Vec<double> x) noexcept {
  const std::uint64_t biased = shifted_bits(x) >> 52;
  return Vec<double>(__builtin_bit_cast(double, biased | 0x4330000000000000u) -
                     (4503599627370496.0 + 1023.0));
}
inline Vec<float> binary_fraction(Vec<float> x) noexcept {
  const std::uint32_t exponent = shifted_bits(x) & 0xff800000u;
  const auto bits = __builtin_bit_cast(std::uint32_t, x.v) - exponent + 0x3f800000u;
  return Vec<float>(__builtin_bit_cast(float, bits));
}
inline Vec<double> binary_fraction(Vec<double> x) noexcept {
  const std::uint64_t exponent = shifted_bits(x) & 0xfff0000000000000u;
  const auto bits = __builtin_bit_cast(std::uint64_t, x.v) - exponent + 0x3ff0000000000000u;
  return Vec<double>(__builtin_bit_cast(double, bits));
}

}  // namespace simdrnn::SIMDRNN_ISA
