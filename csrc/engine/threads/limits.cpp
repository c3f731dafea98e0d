// How many threads a call may use. OpenMP decides unless we are told: so OMP_NUM_THREADS,
// threadpoolctl and the setting of the library whose runtime we share work as everywhere.
#include <algorithm>
#include <atomic>

#include "engine/system/system.hpp"
#include "engine/threads/inside.hpp"

namespace simdrnn::team {

namespace {

std::atomic<int> own_limit{0};

}  // namespace

int limit() {
  static const int quota = system::cpus_of_quota();
  const int mine = own_limit.load(std::memory_order_relaxed);
  const int wanted = mine > 0 ? mine : openmp::threads();
  if (wanted == 1) return 1;
  return std::max(1, std::min({wanted, system::cpus_of_affinity(), quota}));
}

// Asking for CPUs is a system call: not before it matters.
int at_most(int useful) { return useful > 1 ? std::min(useful, limit()) : 1; }

int cpus() { return system::cpus_of_affinity(); }

void set_limit(int threads) { own_limit.store(threads, std::memory_order_relaxed); }

bool inside_openmp() { return openmp::in_a_region(); }

}  // namespace simdrnn::team
