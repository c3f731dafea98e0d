// Where the build has no OpenMP: all calls run on our own pool. OMP_NUM_THREADS and
// OMP_THREAD_LIMIT are obeyed all the same, since people set them for a whole program.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "engine/system/system.hpp"
#include "engine/threads/inside.hpp"

namespace simdrnn::team::openmp {

namespace {

// A number above 0 in a variable of the environment (of a list, the first), or another.
int number_of(const char* variable, int otherwise) {
  const char* const text = std::getenv(variable);
  if (text == nullptr) return otherwise;
  char* end = nullptr;
  const long value = std::strtol(text, &end, 10);
  const bool whole = end != text && (*end == '\0' || *end == ',' || *end == ' ');
  return whole && value > 0 && value < system::kNoQuota ? static_cast<int>(value) : otherwise;
}

}  // namespace

bool is_there() { return false; }

bool run(int, const Body&) { return false; }
bool run_together(int, const Body&) { return false; }
bool adopt(const std::string&) { return false; }

int threads() {
  static const int most = std::min(number_of("OMP_NUM_THREADS", system::kNoQuota),
                                   number_of("OMP_THREAD_LIMIT", system::kNoQuota));
  return most;  // what the CPUs allow is not said here
}

bool in_a_region() { return false; }
std::string name() { return "no OpenMP"; }

}  // namespace simdrnn::team::openmp
