// What the files of this folder share; the rest of the library sees team.hpp.
#pragma once

namespace simdrnn::team {

// Tells the CPU that this thread waits for another.
inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Whether the caller is in someone's OpenMP region, whose threads have the CPUs already.
bool inside_openmp();

}  // namespace simdrnn::team
