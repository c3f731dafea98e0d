// Windows: no forks and no signals for threads; a quota is one of the job that the process is in.
// Large pages need a right that programs do not have.
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
// After windows.h, whose types it uses.
#include <malloc.h>
#include <psapi.h>

#include <algorithm>
#include <bit>
#include <cstdint>

#include "engine/system/system.hpp"

namespace simdrnn::system {

int cpus_of_affinity() {
  DWORD_PTR mine = 0, all = 0;
  // 0 of a process in several groups of 64 CPUs, which then may run on all of its own group.
  if (GetProcessAffinityMask(GetCurrentProcess(), &mine, &all) != 0 && mine != 0) {
    return std::max(1, std::popcount(static_cast<std::uint64_t>(mine)));
  }
  return std::max(1, static_cast<int>(GetActiveProcessorCount(ALL_PROCESSOR_GROUPS)));
}

int cpus_of_quota() {
  JOBOBJECT_CPU_RATE_CONTROL_INFORMATION rate{};
  if (QueryInformationJobObject(nullptr, JobObjectCpuRateControlInformation, &rate, sizeof rate,
                                nullptr) == 0) {
    return kNoQuota;  // in no job
  }
  constexpr DWORD kHard = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
  if ((rate.ControlFlags & kHard) != kHard || rate.CpuRate == 0) return kNoQuota;
  // Hundredths of a per cent of all CPUs.
  constexpr std::uint64_t kAll = 10000;
  const std::uint64_t cpus = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
  return std::max(1, static_cast<int>((rate.CpuRate * cpus + kAll - 1) / kAll));
}

void yield_cpu() { SwitchToThread(); }

void wait_for_ever() {
  for (;;) Sleep(INFINITE);
}

void* allocate(std::size_t alignment, std::size_t bytes) {
  return _aligned_malloc(bytes, alignment);
}

void release(void* memory) { _aligned_free(memory); }

void wish_for_huge_pages(void*, std::size_t) {}

bool at_fork(Handler, Handler, Handler) { return true; }

SignalsBlocked::SignalsBlocked() : before_{} {}
SignalsBlocked::~SignalsBlocked() = default;

ThreadSlot::ThreadSlot(void (*at_thread_end)(void*)) {
  // Fiber-local: the only such memory of Windows that calls something when a thread ends. The
  // function's calling convention is the only one there is on 64 bits.
  const DWORD key = FlsAlloc(reinterpret_cast<PFLS_CALLBACK_FUNCTION>(at_thread_end));
  made_ = key != FLS_OUT_OF_INDEXES;
  key_ = key;
}

void* ThreadSlot::get() const { return made_ ? FlsGetValue(key_) : nullptr; }

bool ThreadSlot::set(void* value) const { return made_ && FlsSetValue(key_, value) != 0; }

void Workers::leave_callers_cpu() {}

std::vector<std::string> loaded_libraries() {
  std::vector<HMODULE> modules(1024);
  DWORD needed = 0;
  const auto room = static_cast<DWORD>(modules.size() * sizeof(HMODULE));
  if (K32EnumProcessModules(GetCurrentProcess(), modules.data(), room, &needed) == 0) return {};
  modules.resize(std::min<std::size_t>(modules.size(), needed / sizeof(HMODULE)));
  std::vector<std::string> files;
  for (const HMODULE module : modules) {
    char name[MAX_PATH];
    if (GetModuleFileNameA(module, name, MAX_PATH) != 0) files.emplace_back(name);
  }
  return files;
}

}  // namespace simdrnn::system
