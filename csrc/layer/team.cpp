// The only file with OpenMP.
#include "layer/team.hpp"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <string>

namespace simdrnn::team {

namespace {

std::atomic<int> own_limit{0};
std::atomic<bool> used{false};            // whether this process has run a parallel region of ours
std::atomic<bool> pool_lost_by_fork{false};

// libgomp keeps a pool of workers per calling thread. Only the forking thread survives in a child, and the next
// region there would wait for workers that do not exist. Giving the pool back before the fork makes plain
// fork() work; where the runtime refuses, the child runs serially.
void before_fork() {
  if (!used.load(std::memory_order_relaxed)) return;
#if _OPENMP >= 201811
  const bool paused = omp_pause_resource_all(omp_pause_soft) == 0;
#else
  const bool paused = false;
#endif
  pool_lost_by_fork.store(!paused, std::memory_order_relaxed);
}

void in_parent() { pool_lost_by_fork.store(false, std::memory_order_relaxed); }

void prepare_for_fork() {
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(before_fork, in_parent, nullptr); });
  used.store(true, std::memory_order_relaxed);
}

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
  return std::max(1, std::min({wanted, cpus_of_affinity(), quota}));
}

void set_limit(int threads) { own_limit.store(threads, std::memory_order_relaxed); }

void run(int parts, const std::function<void(int)>& body) {
  if (parts <= 1 || omp_in_parallel() != 0 || pool_lost_by_fork.load(std::memory_order_relaxed)) {
    for (int part = 0; part < parts; ++part) body(part);
    return;
  }
  prepare_for_fork();
#pragma omp parallel num_threads(parts)
  {
    // The runtime may give fewer threads than asked for.
    for (int part = omp_get_thread_num(); part < parts; part += omp_get_num_threads()) body(part);
  }
}

const char* runtime() { return "OpenMP"; }

}  // namespace simdrnn::team
