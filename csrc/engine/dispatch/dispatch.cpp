#include "engine/dispatch/dispatch.hpp"

#include <atomic>
#include <stdexcept>

#include "engine/dispatch/cpu_features.hpp"

namespace simdrnn {

#if defined(SIMDRNN_HAVE_AVX512)
namespace avx512 {
const KernelTable& table() noexcept;
}
#endif
#if defined(SIMDRNN_HAVE_AVX2)
namespace avx2 {
const KernelTable& table() noexcept;
}
#endif
namespace scalar {
const KernelTable& table() noexcept;
}

namespace dispatch {

namespace {

struct Isa {
  const char* name;
  const KernelTable& (*table)() noexcept;
  bool (*runs_on)(const CpuFeatures&);
};

// The only list of ISAs, best first.
constexpr Isa kIsas[] = {
#if defined(SIMDRNN_HAVE_AVX512)
    {"avx512", avx512::table, [](const CpuFeatures& cpu) { return cpu.avx512; }},
#endif
#if defined(SIMDRNN_HAVE_AVX2)
    {"avx2", avx2::table, [](const CpuFeatures& cpu) { return cpu.avx2_fma; }},
#endif
    {"scalar", scalar::table, [](const CpuFeatures&) { return true; }},
};

const KernelTable& best() {
  const CpuFeatures cpu = detect_cpu();
  for (const Isa& isa : kIsas) {
    if (isa.runs_on(cpu)) return isa.table();
  }
  return scalar::table();
}

std::atomic<const KernelTable*>& current() {
  static std::atomic<const KernelTable*> table{&best()};
  return table;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

std::vector<std::string> compiled() {
  std::vector<std::string> names;
  for (const Isa& isa : kIsas) names.emplace_back(isa.name);
  return names;
}

std::vector<std::string> available() {
  const CpuFeatures cpu = detect_cpu();
  std::vector<std::string> names;
  for (const Isa& isa : kIsas) {
    if (isa.runs_on(cpu)) names.emplace_back(isa.name);
  }
  return names;
}

const KernelTable& active() { return *current().load(std::memory_order_acquire); }

void use(const std::string& name) {
  const CpuFeatures cpu = detect_cpu();
  for (const Isa& isa : kIsas) {
    if (name == isa.name && isa.runs_on(cpu)) {
      current().store(&isa.table(), std::memory_order_release);
      return;
    }
  }
  throw std::invalid_argument("isa: expected one of " + joined(available()) +
                              " (what this build has and this CPU runs), got '" + name + "'");
}

}  // namespace dispatch
}  // namespace simdrnn
