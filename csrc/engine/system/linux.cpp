#include <link.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "engine/system/system.hpp"

namespace simdrnn::system {

int cpus_of_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));  // more than 1024 CPUs
}

int cpus_of_quota() {
  double quota = -1, period = -1;
  if (std::ifstream unified("/sys/fs/cgroup/cpu.max"); unified) {
    std::string first;
    unified >> first >> period;
    if (first.empty() || first == "max") return kNoQuota;
    quota = std::strtod(first.c_str(), nullptr);
  } else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  if (quota <= 0 || period <= 0) return kNoQuota;
  return std::max(1, static_cast<int>((quota + period - 1) / period));
}

void wish_for_huge_pages(void* memory, std::size_t bytes) { madvise(memory, bytes, MADV_HUGEPAGE); }

void Workers::leave_callers_cpu() {
  const int cpu = sched_getcpu();
  if (cpu < 0 || cpu == left_cpu_) return;
  left_cpu_ = cpu;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  if (CPU_COUNT(&allowed) < 2 || !CPU_ISSET(cpu, &allowed)) return;
  CPU_CLR(cpu, &allowed);
  for (const pthread_t worker : handles_) {
    pthread_setaffinity_np(worker, sizeof allowed, &allowed);
  }
}

std::vector<std::string> loaded_libraries() {
  std::vector<std::string> files;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* list) {
        static_cast<std::vector<std::string>*>(list)->emplace_back(info->dlpi_name);
        return 0;
      },
      &files);
  return files;
}

}  // namespace simdrnn::system
