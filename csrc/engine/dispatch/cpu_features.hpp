// What the CPU can do and the operating system saves on a task switch.
#pragma once

namespace simdrnn::dispatch {

struct CpuFeatures {
  bool avx2_fma;
  bool avx512;  // F, DQ, BW and VL
  bool aes;     // of SSE's registers, which every system saves
};

// Reads CPUID and XCR0 itself: the C library's tunables do not mask what libgcc reports, and we
// want one source of truth that our own variable SIMDRNN_ISA can override.
CpuFeatures detect_cpu() noexcept;

}  // namespace simdrnn::dispatch
