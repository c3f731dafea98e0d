// How many threads a call may use. The only file that sees OpenMP, which decides unless we are
// told: so OMP_NUM_THREADS and threadpoolctl work as everywhere.
#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <string>

#include "engine/threads/inside.hpp"
#include "engine/threads/team.hpp"

namespace simdrnn::team {

namespace {

std::atomic<int> own_limit{0};

int cpus_of_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));  // more than 1024 CPUs
}

// CPUs granted by the container's quota, rounded up; a large number if there is none.
int cpus_of_quota() {
  constexpr int kNone = 1 << 20;
  double quota = -1, period = -1;
  if (std::ifstream unified("/sys/fs/cgroup/cpu.max"); unified) {
    std::string first;
    unified >> first >> period;
    if (first.empty() || first == "max") return kNone;
    quota = std::strtod(first.c_str(), nullptr);
  } else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  if (quota <= 0 || period <= 0) return kNone;
  return std::max(1, static_cast<int>((quota + period - 1) / period));
}

}  // namespace

int limit() {
  static const int quota = cpus_of_quota();
  const int mine = own_limit.load(std::memory_order_relaxed);
  const int wanted = mine > 0 ? mine : omp_get_max_threads();
  if (wanted == 1) return 1;
  return std::max(1, std::min({wanted, cpus_of_affinity(), quota}));
}

int cpus() { return cpus_of_affinity(); }

void set_limit(int threads) { own_limit.store(threads, std::memory_order_relaxed); }

bool inside_openmp() { return omp_in_parallel() != 0; }

}  // namespace simdrnn::team
