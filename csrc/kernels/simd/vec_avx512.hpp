// AVX-512 F, DQ: 16 floats or 8 doubles, 32 registers.
#pragma once
#include <immintrin.h>

#include "abi/cell_info.hpp"

namespace simdrnn::SIMDRNN_ISA {

// 6 rows x 4 vectors: 24 accumulators, 4 weights and a broadcast fit 32 registers, and 24
// independent chains cover two FMA units of latency 4.
inline constexpr int kTileRows = 6;

template <class T>
struct Vec;

template <>
struct Vec<float> {
  using Scalar = float;
  static constexpr int kLanes = 16;
  __m512 v;

  Vec() noexcept = default;
  Vec(__m512 x) noexcept : v(x) {}
  explicit Vec(float x) noexcept : v(_mm512_set1_ps(x)) {}

  static __mmask16 first(Index n) noexcept { return static_cast<__mmask16>((1u << n) - 1u); }
  static Vec load(const float* p) noexcept { return _mm512_loadu_ps(p); }
  static Vec load(const float* p, Index n) noexcept { return _mm512_maskz_loadu_ps(first(n), p); }
  void store(float* p) const noexcept { _mm512_storeu_ps(p, v); }
  void stream(float* p) const noexcept { _mm512_stream_ps(p, v); }
  static void finish_streams() noexcept { _mm_sfence(); }
  void store(float* p, Index n) const noexcept { _mm512_mask_storeu_ps(p, first(n), v); }

  friend Vec operator+(Vec a, Vec b) noexcept { return _mm512_add_ps(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) noexcept { return _mm512_sub_ps(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) noexcept { return _mm512_mul_ps(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) noexcept { return _mm512_div_ps(a.v, b.v); }
  friend Vec fma(Vec a, Vec b, Vec c) noexcept { return _mm512_fmadd_ps(a.v, b.v, c.v); }
  friend Vec sqrt(Vec a) noexcept { return _mm512_sqrt_ps(a.v); }
  friend Vec min(Vec a, Vec b) noexcept { return _mm512_min_ps(a.v, b.v); }
  friend Vec max(Vec a, Vec b) noexcept { return _mm512_max_ps(a.v, b.v); }
  friend Vec zero_unless_between(Vec low, Vec x, Vec high, Vec value) noexcept {
    const __mmask16 outside =
        _mm512_cmp_ps_mask(x.v, low.v, _CMP_LE_OQ) | _mm512_cmp_ps_mask(x.v, high.v, _CMP_GE_OQ);
    return _mm512_maskz_mov_ps(static_cast<__mmask16>(~outside), value.v);
  }
  friend Vec scale_by_shifted(Vec shifted) noexcept {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3f800000)));
  }
  friend Vec minus_magnitude(Vec x) noexcept { return _mm512_or_ps(x.v, _mm512_set1_ps(-0.0f)); }
  friend Vec with_sign_of(Vec size, Vec x) noexcept {
    const __m512 sign = _mm512_set1_ps(-0.0f);
    return _mm512_or_ps(_mm512_andnot_ps(sign, size.v), _mm512_and_ps(sign, x.v));
  }
  friend Vec entry_of_eight(const float (&twice)[16], Vec shifted) noexcept {
    return _mm512_permutexvar_ps(_mm512_castps_si512(shifted.v), _mm512_load_ps(twice));
  }
  friend Vec scale_by_eighths(Vec x, Vec shifted) noexcept {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted.v), 20);
    return _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_castps_si512(x.v)));
  }
  friend Vec if_above(Vec x, Vec bound, Vec above, Vec otherwise) noexcept {
    const __m512 chosen =
        _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, bound.v, _CMP_GT_OQ), otherwise.v, above.v);
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q), chosen, x.v);
  }
  static __m512i shifted_bits(Vec x) noexcept {
    return _mm512_add_epi32(_mm512_castps_si512(x.v), _mm512_set1_epi32(0x004afb0d));
  }
  friend Vec binary_exponent(Vec x) noexcept {
    const __m512i biased = _mm512_srli_epi32(shifted_bits(x), 23);
    const __m512 number =
        _mm512_castsi512_ps(_mm512_or_si512(biased, _mm512_set1_epi32(0x4b000000)));
    return _mm512_sub_ps(number, _mm512_set1_ps(8388608.0f + 127.0f));
  }
  friend Vec binary_fraction(Vec x) noexcept {
    const __m512i exponent =
        _mm512_and_si512(shifted_bits(x), _mm512_set1_epi32(static_cast<int>(0xff800000)));
    const __m512i bits = _mm512_sub_epi32(_mm512_castps_si512(x.v), exponent);
    return _mm512_castsi512_ps(_mm512_add_epi32(bits, _mm512_set1_epi32(0x3f800000)));
  }

  template <int kBlock>
  static void exchange(Vec& a, Vec& b) noexcept {
    const __m512 x = a.v, y = b.v;
    if constexpr (kBlock == 1) {
      a.v = _mm512_mask_moveldup_ps(x, 0xaaaa, y);
      b.v = _mm512_mask_movehdup_ps(y, 0x5555, x);
    } else if constexpr (kBlock == 2) {
      a.v = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(x), _mm512_castps_pd(y)));
      b.v = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(x), _mm512_castps_pd(y)));
    } else if constexpr (kBlock == 4) {
      a.v = _mm512_mask_shuffle_f32x4(x, 0xf0f0, y, y, _MM_SHUFFLE(2, 2, 0, 0));
      b.v = _mm512_mask_shuffle_f32x4(y, 0x0f0f, x, x, _MM_SHUFFLE(3, 3, 1, 1));
    } else {
      a.v = _mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(1, 0, 1, 0));
      b.v = _mm512_shuffle_f32x4(x, y, _MM_SHUFFLE(3, 2, 3, 2));
    }
  }
};

template <>
struct Vec<double> {
  using Scalar = double;
  static constexpr int kLanes = 8;
  __m512d v;

  Vec() noexcept = default;
  Vec(__m512d x) noexcept : v(x) {}
  explicit Vec(double x) noexcept : v(_mm512_set1_pd(x)) {}

  static __mmask8 first(Index n) noexcept { return static_cast<__mmask8>((1u << n) - 1u); }
  static Vec load(const double* p) noexcept { return _mm512_loadu_pd(p); }
  static Vec load(const double* p, Index n) noexcept { return _mm512_maskz_loadu_pd(first(n), p); }
  void store(double* p) const noexcept { _mm512_storeu_pd(p, v); }
  void stream(double* p) const noexcept { _mm512_stream_pd(p, v); }
  static void finish_streams() noexcept { _mm_sfence(); }
  void store(double* p, Index n) const noexcept { _mm512_mask_storeu_pd(p, first(n), v); }

  friend Vec operator+(Vec a, Vec b) noexcept { return _mm512_add_pd(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) noexcept { return _mm512_sub_pd(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) noexcept { return _mm512_mul_pd(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) noexcept { return _mm512_div_pd(a.v, b.v); }
  friend Vec fma(Vec a, Vec b, Vec c) noexcept { return _mm512_fmadd_pd(a.v, b.v, c.v); }
  friend Vec sqrt(Vec a) noexcept { return _mm512_sqrt_pd(a.v); }
  friend Vec min(Vec a, Vec b) noexcept { return _mm512_min_pd(a.v, b.v); }
  friend Vec max(Vec a, Vec b) noexcept { return _mm512_max_pd(a.v, b.v); }
  friend Vec zero_unless_between(Vec low, Vec x, Vec high, Vec value) noexcept {
    const unsigned outside =
        _mm512_cmp_pd_mask(x.v, low.v, _CMP_LE_OQ) | _mm512_cmp_pd_mask(x.v, high.v, _CMP_GE_OQ);
    return _mm512_maskz_mov_pd(static_cast<__mmask8>(~outside), value.v);
  }
  friend Vec scale_by_shifted(Vec shifted) noexcept {
    const __m512i exponent = _mm512_slli_epi64(_mm512_castpd_si512(shifted.v), 52);
    return _mm512_castsi512_pd(_mm512_add_epi64(exponent, _mm512_set1_epi64(0x3ff0000000000000)));
  }
  friend Vec minus_magnitude(Vec x) noexcept { return _mm512_or_pd(x.v, _mm512_set1_pd(-0.0)); }
  friend Vec with_sign_of(Vec size, Vec x) noexcept {
    const __m512d sign = _mm512_set1_pd(-0.0);
    return _mm512_or_pd(_mm512_andnot_pd(sign, size.v), _mm512_and_pd(sign, x.v));
  }
  friend Vec if_above(Vec x, Vec bound, Vec above, Vec otherwise) noexcept {
    const __m512d chosen =
        _mm512_mask_blend_pd(_mm512_cmp_pd_mask(x.v, bound.v, _CMP_GT_OQ), otherwise.v, above.v);
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(x.v, x.v, _CMP_UNORD_Q), chosen, x.v);
  }
  static __m512i shifted_bits(Vec x) noexcept {
    return _mm512_add_epi64(_mm512_castpd_si512(x.v), _mm512_set1_epi64(0x00095f619980c433));
  }
  friend Vec binary_exponent(Vec x) noexcept {
    const __m512i biased = _mm512_srli_epi64(shifted_bits(x), 52);
    const __m512d number =
        _mm512_castsi512_pd(_mm512_or_si512(biased, _mm512_set1_epi64(0x4330000000000000)));
    return _mm512_sub_pd(number, _mm512_set1_pd(4503599627370496.0 + 1023.0));
  }
  friend Vec binary_fraction(Vec x) noexcept {
    const __m512i exponent = _mm512_and_si512(
        shifted_bits(x), _mm512_set1_epi64(static_cast<long long>(0xfff0000000000000)));
    const __m512i bits = _mm512_sub_epi64(_mm512_castpd_si512(x.v), exponent);
    return _mm512_castsi512_pd(_mm512_add_epi64(bits, _mm512_set1_epi64(0x3ff0000000000000)));
  }

  template <int kBlock>
  static void exchange(Vec& a, Vec& b) noexcept {
    const __m512d x = a.v, y = b.v;
    if constexpr (kBlock == 1) {
      a.v = _mm512_unpacklo_pd(x, y);
      b.v = _mm512_unpackhi_pd(x, y);
    } else if constexpr (kBlock == 2) {
      a.v = _mm512_mask_shuffle_f64x2(x, 0xcc, y, y, _MM_SHUFFLE(2, 2, 0, 0));
      b.v = _mm512_mask_shuffle_f64x2(y, 0x33, x, x, _MM_SHUFFLE(3, 3, 1, 1));
    } else {
      a.v = _mm512_shuffle_f64x2(x, y, _MM_SHUFFLE(1, 0, 1, 0));
      b.v = _mm512_shuffle_f64x2(x, y, _MM_SHUFFLE(3, 2, 3, 2));
    }
  }
};

}  // namespace simdrnn::SIMDRNN_ISA
