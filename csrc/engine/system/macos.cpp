// macOS has no affinity and no quota: its scheduler decides. Its pages are 4 KiB on x86-64 and
// 16 KiB on arm64, and nobody may wish for larger ones.
#include <mach-o/dyld.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "engine/system/system.hpp"

namespace simdrnn::system {

int cpus_of_affinity() { return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN))); }

int cpus_of_quota() { return kNoQuota; }

void wish_for_huge_pages(void*, std::size_t) {}

void Workers::leave_callers_cpu() {}

std::vector<std::string> loaded_libraries() {
  std::vector<std::string> files;
  const std::uint32_t count = _dyld_image_count();
  for (std::uint32_t i = 0; i < count; ++i) {
    const char* const name = _dyld_get_image_name(i);
    if (name != nullptr) files.emplace_back(name);  // null: it has gone meanwhile
  }
  return files;
}

}  // namespace simdrnn::system
