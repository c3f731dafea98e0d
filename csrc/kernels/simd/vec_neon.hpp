// NEON of aarch64, where every CPU has it: 4 floats or 2 doubles, 32 registers.
//
// The instructions for minimum and maximum go their own ways at NaN and at zeros of both signs; a
// comparison and a selection are what vec.hpp asks for. Nothing is streamed past the caches: a
// vector is a quarter of a line.
#pragma once
#include <arm_neon.h>

#include <cstdint>

#include "abi/cell_info.hpp"

namespace simdrnn::SIMDRNN_ISA {

// 6 rows x 4 vectors: 24 accumulators, 4 weights and a broadcast fit 32 registers, and 24
// independent chains cover four FMA units of latency 4.
inline constexpr int kTileRows = 6;

template <class T>
struct Vec;

template <>
struct Vec<float> {
  using Scalar = float;
  static constexpr int kLanes = 4;
  float32x4_t v;

  Vec() noexcept = default;
  Vec(float32x4_t x) noexcept : v(x) {}
  explicit Vec(float x) noexcept : v(vdupq_n_f32(x)) {}

  static Vec load(const float* p) noexcept { return vld1q_f32(p); }
  static Vec load(const float* p, Index n) noexcept {
    const float32x4_t zero = vdupq_n_f32(0);
    if (n < 1) return zero;
    if (n == 1) return vld1q_lane_f32(p, zero, 0);
    const float32x4_t two = vcombine_f32(vld1_f32(p), vdup_n_f32(0));
    return n == 2 ? two : vld1q_lane_f32(p + 2, two, 2);
  }
  void store(float* p) const noexcept { vst1q_f32(p, v); }
  void stream(float* p) const noexcept { store(p); }
  static void finish_streams() noexcept {}
  void store(float* p, Index n) const noexcept {
    if (n == 1) vst1q_lane_f32(p, v, 0);
    if (n > 1) vst1_f32(p, vget_low_f32(v));
    if (n > 2) vst1q_lane_f32(p + 2, v, 2);
  }

  friend Vec operator+(Vec a, Vec b) noexcept { return vaddq_f32(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) noexcept { return vsubq_f32(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) noexcept { return vmulq_f32(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) noexcept { return vdivq_f32(a.v, b.v); }
  friend Vec fma(Vec a, Vec b, Vec c) noexcept { return vfmaq_f32(c.v, a.v, b.v); }
  friend Vec sqrt(Vec a) noexcept { return vsqrtq_f32(a.v); }
  friend Vec min(Vec a, Vec b) noexcept { return vbslq_f32(vcltq_f32(a.v, b.v), a.v, b.v); }
  friend Vec max(Vec a, Vec b) noexcept { return vbslq_f32(vcgtq_f32(a.v, b.v), a.v, b.v); }
  friend Vec zero_unless_between(Vec low, Vec x, Vec high, Vec value) noexcept {
    const uint32x4_t outside = vorrq_u32(vcleq_f32(x.v, low.v), vcgeq_f32(x.v, high.v));
    return vreinterpretq_f32_u32(vbicq_u32(bits_of(value), outside));
  }
  friend Vec if_above(Vec x, Vec bound, Vec above, Vec otherwise) noexcept {
    const float32x4_t chosen = vbslq_f32(vcgtq_f32(x.v, bound.v), above.v, otherwise.v);
    return vbslq_f32(vceqq_f32(x.v, x.v), chosen, x.v);
  }
  friend Vec scale_by_shifted(Vec shifted) noexcept {
    const uint32x4_t exponent = vshlq_n_u32(bits_of(shifted), 23);
    return vreinterpretq_f32_u32(vaddq_u32(exponent, vdupq_n_u32(0x3f800000)));
  }
  friend Vec minus_magnitude(Vec x) noexcept {
    return vreinterpretq_f32_u32(vorrq_u32(bits_of(x), vdupq_n_u32(0x80000000)));
  }
  friend Vec with_sign_of(Vec size, Vec x) noexcept {
    return vbslq_f32(vdupq_n_u32(0x80000000), x.v, size.v);
  }
  // Looked up byte by byte: those of entry k are 4 k and the three behind it.
  friend Vec entry_of_eight(const float (&twice)[16], Vec shifted) noexcept {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(twice);
    const uint8x16x2_t table{{vld1q_u8(bytes), vld1q_u8(bytes + 16)}};
    const uint32x4_t entry = vandq_u32(bits_of(shifted), vdupq_n_u32(7));
    const uint32x4_t places = vmlaq_u32(vdupq_n_u32(0x03020100), entry, vdupq_n_u32(0x04040404));
    return vreinterpretq_f32_u8(vqtbl2q_u8(table, vreinterpretq_u8_u32(places)));
  }
  friend Vec scale_by_eighths(Vec x, Vec shifted) noexcept {
    return vreinterpretq_f32_u32(vaddq_u32(vshlq_n_u32(bits_of(shifted), 20), bits_of(x)));
  }
  static uint32x4_t bits_of(Vec x) noexcept { return vreinterpretq_u32_f32(x.v); }
  static uint32x4_t shifted_bits(Vec x) noexcept {
    return vaddq_u32(bits_of(x), vdupq_n_u32(0x004afb0d));
  }
  friend Vec binary_exponent(Vec x) noexcept {
    const uint32x4_t biased = vshrq_n_u32(shifted_bits(x), 23);
    const float32x4_t number = vreinterpretq_f32_u32(vorrq_u32(biased, vdupq_n_u32(0x4b000000)));
    return vsubq_f32(number, vdupq_n_f32(8388608.0f + 127.0f));
  }
  friend Vec binary_fraction(Vec x) noexcept {
    const uint32x4_t exponent = vandq_u32(shifted_bits(x), vdupq_n_u32(0xff800000));
    const uint32x4_t bits = vsubq_u32(bits_of(x), exponent);
    return vreinterpretq_f32_u32(vaddq_u32(bits, vdupq_n_u32(0x3f800000)));
  }

  template <int kBlock>
  static void exchange(Vec& a, Vec& b) noexcept {
    const float32x4_t x = a.v, y = b.v;
    if constexpr (kBlock == 1) {
      a.v = vtrn1q_f32(x, y);
      b.v = vtrn2q_f32(x, y);
    } else {
      const float64x2_t u = vreinterpretq_f64_f32(x), w = vreinterpretq_f64_f32(y);
      a.v = vreinterpretq_f32_f64(vtrn1q_f64(u, w));
      b.v = vreinterpretq_f32_f64(vtrn2q_f64(u, w));
    }
  }
};

template <>
struct Vec<double> {
  using Scalar = double;
  static constexpr int kLanes = 2;
  float64x2_t v;

  Vec() noexcept = default;
  Vec(float64x2_t x) noexcept : v(x) {}
  explicit Vec(double x) noexcept : v(vdupq_n_f64(x)) {}

  static Vec load(const double* p) noexcept { return vld1q_f64(p); }
  static Vec load(const double* p, Index n) noexcept {
    const float64x2_t zero = vdupq_n_f64(0);
    return n < 1 ? zero : vld1q_lane_f64(p, zero, 0);
  }
  void store(double* p) const noexcept { vst1q_f64(p, v); }
  void stream(double* p) const noexcept { store(p); }
  static void finish_streams() noexcept {}
  void store(double* p, Index n) const noexcept {
    if (n > 0) vst1q_lane_f64(p, v, 0);
  }

  friend Vec operator+(Vec a, Vec b) noexcept { return vaddq_f64(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) noexcept { return vsubq_f64(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) noexcept { return vmulq_f64(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) noexcept { return vdivq_f64(a.v, b.v); }
  friend Vec fma(Vec a, Vec b, Vec c) noexcept { return vfmaq_f64(c.v, a.v, b.v); }
  friend Vec sqrt(Vec a) noexcept { return vsqrtq_f64(a.v); }
  friend Vec min(Vec a, Vec b) noexcept { return vbslq_f64(vcltq_f64(a.v, b.v), a.v, b.v); }
  friend Vec max(Vec a, Vec b) noexcept { return vbslq_f64(vcgtq_f64(a.v, b.v), a.v, b.v); }
  friend Vec zero_unless_between(Vec low, Vec x, Vec high, Vec value) noexcept {
    const uint64x2_t outside = vorrq_u64(vcleq_f64(x.v, low.v), vcgeq_f64(x.v, high.v));
    return vreinterpretq_f64_u64(vbicq_u64(bits_of(value), outside));
  }
  friend Vec if_above(Vec x, Vec bound, Vec above, Vec otherwise) noexcept {
    const float64x2_t chosen = vbslq_f64(vcgtq_f64(x.v, bound.v), above.v, otherwise.v);
    return vbslq_f64(vceqq_f64(x.v, x.v), chosen, x.v);
  }
  friend Vec scale_by_shifted(Vec shifted) noexcept {
    const uint64x2_t exponent = vshlq_n_u64(bits_of(shifted), 52);
    return vreinterpretq_f64_u64(vaddq_u64(exponent, vdupq_n_u64(0x3ff0000000000000)));
  }
  friend Vec minus_magnitude(Vec x) noexcept {
    return vreinterpretq_f64_u64(vorrq_u64(bits_of(x), vdupq_n_u64(0x8000000000000000)));
  }
  friend Vec with_sign_of(Vec size, Vec x) noexcept {
    return vbslq_f64(vdupq_n_u64(0x8000000000000000), x.v, size.v);
  }
  static uint64x2_t bits_of(Vec x) noexcept { return vreinterpretq_u64_f64(x.v); }
  static uint64x2_t shifted_bits(Vec x) noexcept {
    return vaddq_u64(bits_of(x), vdupq_n_u64(0x00095f619980c433));
  }
  friend Vec binary_exponent(Vec x) noexcept {
    const uint64x2_t biased = vshrq_n_u64(shifted_bits(x), 52);
    const float64x2_t number =
        vreinterpretq_f64_u64(vorrq_u64(biased, vdupq_n_u64(0x4330000000000000)));
    return vsubq_f64(number, vdupq_n_f64(4503599627370496.0 + 1023.0));
  }
  friend Vec binary_fraction(Vec x) noexcept {
    const uint64x2_t exponent = vandq_u64(shifted_bits(x), vdupq_n_u64(0xfff0000000000000));
    const uint64x2_t bits = vsubq_u64(bits_of(x), exponent);
    return vreinterpretq_f64_u64(vaddq_u64(bits, vdupq_n_u64(0x3ff0000000000000)));
  }

  template <int kBlock>
  static void exchange(Vec& a, Vec& b) noexcept {
    static_assert(kBlock == 1);
    const float64x2_t x = a.v, y = b.v;
    a.v = vtrn1q_f64(x, y);
    b.v = vtrn2q_f64(x, y);
  }
};

}  // namespace simdrnn::SIMDRNN_ISA
