// Subnormal numbers as zeros, for as long as this lives, on this thread.
//
// States that decay end in subnormals, and arithmetic on those takes a hundred times longer on many
// CPUs. What is lost is below 1.2e-38 (2.3e-308). The caller's floating-point environment comes
// back with the destructor.
#pragma once
#include "engine/machine.hpp"

namespace simdrnn {

class FlushDenormals {
 public:
  explicit FlushDenormals(bool flush) : before_(machine::floating_point_mode()) {
    if (flush) machine::set_floating_point_mode(before_ | machine::kSubnormalsAreZero);
  }
  ~FlushDenormals() { machine::set_floating_point_mode(before_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  const machine::FloatingPointMode before_;
};

}  // namespace simdrnn
