// Subnormal numbers as zeros, for as long as this lives, on this thread.
//
// States that decay end in subnormals, and arithmetic on those takes a hundred times longer on many
// CPUs. What is lost is below 1e-38 (1e-308). The caller's floating-point environment comes back
// with the destructor.
#pragma once
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace simdrnn {

class FlushDenormals {
 public:
  explicit FlushDenormals(bool flush) {
#if defined(__x86_64__)
    before_ = _mm_getcsr();
    constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
    if (flush) _mm_setcsr(before_ | kFlushToZero | kDenormalsAreZero);
#else
    (void)flush;
#endif
  }
  ~FlushDenormals() {
#if defined(__x86_64__)
    _mm_setcsr(before_);
#endif
  }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  [[maybe_unused]] unsigned before_ = 0;
};

}  // namespace simdrnn
