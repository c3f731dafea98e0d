// AVX2 + FMA: 8 floats or 4 doubles, 16 registers.
#pragma once
#include <immintrin.h>

#include "abi/cell_info.hpp"

namespace simdrnn::SIMDRNN_ISA {

// 3 rows x 4 vectors: 12 accumulators, 3 broadcasts and a weight fill 16 registers.
inline constexpr int kTileRows = 3;

template <class T>
struct Vec;

template <>
struct Vec<float> {
  using Scalar = float;
  static constexpr int kLanes = 8;
  __m256 v;

  Vec() noexcept = default;
  Vec(__m256 x) noexcept : v(x) {}
  explicit Vec(float x) noexcept : v(_mm256_set1_ps(x)) {}

  static __m256i first(Index n) noexcept {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Vec load(const float* p) noexcept { return _mm256_loadu_ps(p); }
  static Vec load(const float* p, Index n) noexcept { return _mm256_maskload_ps(p, first(n)); }
  void store(float* p) const noexcept { _mm256_storeu_ps(p, v); }
  void stream(float* p) const noexcept { _mm256_stream_ps(p, v); }  // half a line
  static void finish_streams() noexcept { _mm_sfence(); }
  void store(float* p, Index n) const noexcept { _mm256_maskstore_ps(p, first(n), v); }

  friend Vec operator+(Vec a, Vec b) noexcept { return _mm256_add_ps(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) noexcept { return _mm256_sub_ps(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) noexcept { return _mm256_mul_ps(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) noexcept { return _mm256_div_ps(a.v, b.v); }
  friend Vec fma(Vec a, Vec b, Vec c) noexcept { return _mm256_fmadd_ps(a.v, b.v, c.v); }
  friend Vec sqrt(Vec a) noexcept { return _mm256_sqrt_ps(a.v); }
  friend Vec min(Vec a, Vec b) noexcept { return _mm256_min_ps(a.v, b.v); }
  friend Vec max(Vec a, Vec b) noexcept { return _mm256_max_ps(a.v, b.v); }
  friend Vec zero_unless_between(Vec low, Vec x, Vec high, Vec value) noexcept {
    const __m256 outside =
        _mm256_or_ps(_mm256_cmp_ps(x.v, low.v, _CMP_LE_OQ), _mm256_cmp_ps(x.v, high.v, _CMP_GE_OQ));
    return _mm256_andnot_ps(outside, value.v);
  }
  friend Vec scale_by_shifted(Vec shifted) noexcept {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted.v), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3f800000)));
  }
  friend Vec minus_magnitude(Vec x) noexcept { return _mm256_or_ps(x.v, _mm256_set1_ps(-0.0f)); }
  friend Vec with_sign_of(Vec size, Vec x) noexcept {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return _mm256_or_ps(_mm256_andnot_ps(sign, size.v), _mm256_and_ps(sign, x.v));
  }
  friend Vec entry_of_eight(const float (&twice)[16], Vec shifted) noexcept {
    return _mm256_permutevar8x32_ps(_mm256_load_ps(twice), _mm256_castps_si256(shifted.v));
  }
  friend Vec scale_by_eighths(Vec x, Vec shifted) noexcept {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(shifted.v), 20);
    return _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_castps_si256(x.v)));
  }
  friend Vec if_above(Vec x, Vec bound, Vec above, Vec otherwise) noexcept {
    const __m256 chosen =
        _mm256_blendv_ps(otherwise.v, above.v, _mm256_cmp_ps(x.v, bound.v, _CMP_GT_OQ));
    return _mm256_blendv_ps(chosen, x.v, _mm256_cmp_ps(x.v, x.v, _CMP_UNORD_Q));
  }
  static __m256i shifted_bits(Vec x) noexcept {
    return _mm256_add_epi32(_mm256_castps_si256(x.v), _mm256_set1_epi32(0x004afb0d));
  }
  friend Vec binary_exponent(Vec x) noexcept {
    const __m256i biased = _mm256_srli_epi32(shifted_bits(x), 23);
    const __m256 number =
        _mm256_castsi256_ps(_mm256_or_si256(biased, _mm256_set1_epi32(0x4b000000)));
    return _mm256_sub_ps(number, _mm256_set1_ps(8388608.0f + 127.0f));
  }
  friend Vec binary_fraction(Vec x) noexcept {
    const __m256i exponent =
        _mm256_and_si256(shifted_bits(x), _mm256_set1_epi32(static_cast<int>(0xff800000)));
    const __m256i bits = _mm256_sub_epi32(_mm256_castps_si256(x.v), exponent);
    return _mm256_castsi256_ps(_mm256_add_epi32(bits, _mm256_set1_epi32(0x3f800000)));
  }

  template <int kBlock>
  static void exchange(Vec& a, Vec& b) noexcept {
    const __m256 x = a.v, y = b.v;
    if constexpr (kBlock == 1) {
      a.v = _mm256_blend_ps(x, _mm256_moveldup_ps(y), 0xaa);
      b.v = _mm256_blend_ps(_mm256_movehdup_ps(x), y, 0xaa);
    } else if constexpr (kBlock == 2) {
      a.v = _mm256_castpd_ps(_mm256_unpacklo_pd(_mm256_castps_pd(x), _mm256_castps_pd(y)));
      b.v = _mm256_castpd_ps(_mm256_unpackhi_pd(_mm256_castps_pd(x), _mm256_castps_pd(y)));
    } else {
      a.v = _mm256_permute2f128_ps(x, y, 0x20);
      b.v = _mm256_permute2f128_ps(x, y, 0x31);
    }
  }
};

template <>
struct Vec<double> {
  using Scalar = double;
  static constexpr int kLanes = 4;
  __m256d v;

  Vec() noexcept = default;
  Vec(__m256d x) noexcept : v(x) {}
  explicit Vec(double x) noexcept : v(_mm256_set1_pd(x)) {}

  static __m256i first(Index n) noexcept {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
  }
  static Vec load(const double* p) noexcept { return _mm256_loadu_pd(p); }
  static Vec load(const double* p, Index n) noexcept { return _mm256_maskload_pd(p, first(n)); }
  void store(double* p) const noexcept { _mm256_storeu_pd(p, v); }
  void stream(double* p) const noexcept { _mm256_stream_pd(p, v); }  // half a line
  static void finish_streams() noexcept { _mm_sfence(); }
  void store(double* p, Index n) const noexcept { _mm256_maskstore_pd(p, first(n), v); }

  friend Vec operator+(Vec a, Vec b) noexcept { return _mm256_add_pd(a.v, b.v); }
  friend Vec operator-(Vec a, Vec b) noexcept { return _mm256_sub_pd(a.v, b.v); }
  friend Vec operator*(Vec a, Vec b) noexcept { return _mm256_mul_pd(a.v, b.v); }
  friend Vec operator/(Vec a, Vec b) noexcept { return _mm256_div_pd(a.v, b.v); }
  friend Vec fma(Vec a, Vec b, Vec c) noexcept { return _mm256_fmadd_pd(a.v, b.v, c.v); }
  friend Vec sqrt(Vec a) noexcept { return _mm256_sqrt_pd(a.v); }
  friend Vec min(Vec a, Vec b) noexcept { return _mm256_min_pd(a.v, b.v); }
  friend Vec max(Vec a, Vec b) noexcept { return _mm256_max_pd(a.v, b.v); }
  friend Vec zero_unless_between(Vec low, Vec x, Vec high, Vec value) noexcept {
    const __m256d outside =
        _mm256_or_pd(_mm256_cmp_pd(x.v, low.v, _CMP_LE_OQ), _mm256_cmp_pd(x.v, high.v, _CMP_GE_OQ));
    return _mm256_andnot_pd(outside, value.v);
  }
  friend Vec scale_by_shifted(Vec shifted) noexcept {
    const __m256i exponent = _mm256_slli_epi64(_mm256_castpd_si256(shifted.v), 52);
    return _mm256_castsi256_pd(_mm256_add_epi64(exponent, _mm256_set1_epi64x(0x3ff0000000000000)));
  }
  friend Vec minus_magnitude(Vec x) noexcept { return _mm256_or_pd(x.v, _mm256_set1_pd(-0.0)); }
  friend Vec with_sign_of(Vec size, Vec x) noexcept {
    const __m256d sign = _mm256_set1_pd(-0.0);
    return _mm256_or_pd(_mm256_andnot_pd(sign, size.v), _mm256_and_pd(sign, x.v));
  }
  friend Vec if_above(Vec x, Vec bound, Vec above, Vec otherwise) noexcept {
    const __m256d chosen =
        _mm256_blendv_pd(otherwise.v, above.v, _mm256_cmp_pd(x.v, bound.v, _CMP_GT_OQ));
    return _mm256_blendv_pd(chosen, x.v, _mm256_cmp_pd(x.v, x.v, _CMP_UNORD_Q));
  }
  static __m256i shifted_bits(Vec x) noexcept {
    return _mm256_add_epi64(_mm256_castpd_si256(x.v), _mm256_set1_epi64x(0x00095f619980c433));
  }
  friend Vec binary_exponent(Vec x) noexcept {
    const __m256i biased = _mm256_srli_epi64(shifted_bits(x), 52);
    const __m256d number =
        _mm256_castsi256_pd(_mm256_or_si256(biased, _mm256_set1_epi64x(0x4330000000000000)));
    return _mm256_sub_pd(number, _mm256_set1_pd(4503599627370496.0 + 1023.0));
  }
  friend Vec binary_fraction(Vec x) noexcept {
    const __m256i exponent = _mm256_and_si256(
        shifted_bits(x), _mm256_set1_epi64x(static_cast<long long>(0xfff0000000000000)));
    const __m256i bits = _mm256_sub_epi64(_mm256_castpd_si256(x.v), exponent);
    return _mm256_castsi256_pd(_mm256_add_epi64(bits, _mm256_set1_epi64x(0x3ff0000000000000)));
  }

  template <int kBlock>
  static void exchange(Vec& a, Vec& b) noexcept {
    const __m256d x = a.v, y = b.v;
    if constexpr (kBlock == 1) {
      a.v = _mm256_unpacklo_pd(x, y);
      b.v = _mm256_unpackhi_pd(x, y);
    } else {
      a.v = _mm256_permute2f128_pd(x, y, 0x20);
      b.v = _mm256_permute2f128_pd(x, y, 0x31);
    }
  }
};

}  // namespace simdrnn::SIMDRNN_ISA
