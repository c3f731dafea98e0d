// What CPUs have instructions of their own for, beside vectors. Nothing above kernels/simd names a
// CPU elsewhere, but for dispatch/cpu_features.cpp and fingerprint_aes.hpp.
#pragma once
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace simdrnn::machine {

// Tells the CPU that this thread waits for another.
inline void relax() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");  // "yield" is taken for nothing by most
#endif
}

// How this thread calculates: rounding, exceptions, and whether subnormal numbers are zeros, as
// arguments and as results. The two CPUs ask in another moment whether a result is subnormal:
// x86-64 when it is rounded, aarch64 before; see docs/exactness.md.
using FloatingPointMode = std::uint64_t;

inline FloatingPointMode floating_point_mode() noexcept {
#if defined(__x86_64__)
  return _mm_getcsr();
#elif defined(__aarch64__)
  std::uint64_t mode = 0;
  __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
  return mode;
#else
  return 0;
#endif
}

inline void set_floating_point_mode([[maybe_unused]] FloatingPointMode mode) noexcept {
#if defined(__x86_64__)
  _mm_setcsr(static_cast<unsigned>(mode));
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory");
#endif
}

// The bits of a mode that make subnormal numbers zeros; of no bits on other CPUs.
#if defined(__x86_64__)
inline constexpr FloatingPointMode kSubnormalsAreZero = 0x8000 | 0x0040;  // results, arguments
#elif defined(__aarch64__)
inline constexpr FloatingPointMode kSubnormalsAreZero = FloatingPointMode{1} << 24;  // both
#else
inline constexpr FloatingPointMode kSubnormalsAreZero = 0;
#endif

}  // namespace simdrnn::machine
