// One lane: the readable specification of the vector layer, and the fallback of any x86-64.
//
// fma is a call into libm here: exact everywhere, slow on a CPU that has no FMA instruction. We
// keep it because it makes this the oracle of the other ISAs, bit for bit.
#pragma once
#include <cstdint>

#include "abi/cell_info.hpp"

namespace simdrnn::SIMDRNN_ISA {

inline constexpr int kTileRows = 3;  // rows of a register tile; see gemm/panel.hpp

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
  void store(T*, Index) const noexcept {}

  friend Vec operator+(Vec a, Vec b) noexcept { return Vec(a.v + b.v); }
  friend Vec operator-(Vec a, Vec b) noexcept { return Vec(a.v - b.v); }
  friend Vec operator*(Vec a, Vec b) noexcept { return Vec(a.v * b.v); }
  friend Vec operator/(Vec a, Vec b) noexcept { return Vec(a.v / b.v); }
  friend Vec min(Vec a, Vec b) noexcept { return Vec(a.v < b.v ? a.v : b.v); }
  friend Vec max(Vec a, Vec b) noexcept { return Vec(a.v > b.v ? a.v : b.v); }
  friend Vec zero_unless_between(Vec low, Vec x, Vec high, Vec value) noexcept {
    return Vec(x.v <= low.v || x.v >= high.v ? T(0) : value.v);
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

}  // namespace simdrnn::SIMDRNN_ISA
