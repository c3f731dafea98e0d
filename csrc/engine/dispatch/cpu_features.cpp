#include "engine/dispatch/cpu_features.hpp"

#if defined(__x86_64__)
#include <cpuid.h>

#include <cstdint>
#endif

namespace simdrnn::dispatch {

#if defined(__x86_64__)

namespace {

// The register state that the operating system saves: XGETBV of XCR0.
std::uint64_t saved_state() noexcept {
  std::uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

constexpr std::uint64_t kYmmState = 0x6;   // XMM and YMM
constexpr std::uint64_t kZmmState = 0xe6;  // those, opmask, upper halves and upper 16 of ZMM

}  // namespace

CpuFeatures detect_cpu() noexcept {
  CpuFeatures features{};
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return features;
  features.aes = (c & bit_AES) != 0;
  const bool os_saves = (c & bit_OSXSAVE) != 0;
  const bool avx = (c & bit_AVX) != 0, fma = (c & bit_FMA) != 0;
  if (!os_saves || !avx || !fma) return features;
  const std::uint64_t state = saved_state();
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return features;
  features.avx2_fma = (state & kYmmState) == kYmmState && (b & bit_AVX2) != 0;
  constexpr unsigned kAvx512 = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
  features.avx512 =
      features.avx2_fma && (state & kZmmState) == kZmmState && (b & kAvx512) == kAvx512;
  return features;
}

#else

CpuFeatures detect_cpu() noexcept { return {}; }

#endif

}  // namespace simdrnn::dispatch
