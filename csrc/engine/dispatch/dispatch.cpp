#include "engine/dispatch/dispatch.hpp"

#include <atomic>
#include <cmath>
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
#if defined(SIMDRNN_HAVE_NEON)
namespace neon {
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

// Whether the C library's fma and fmaf round once, as the scalar kernels need them to: some compute
// in a wider type and round twice. The first result is a tie of two floats but for its last term,
// which a sum of doubles drops; the second product takes 80 bits, which no wider type of x86 has.
bool fma_rounds_once() noexcept {
  volatile float a = 24929.0f, b = 673 * 0x1p-24f, c = 0x1p-60f;  // a * b = 1 + 2^-24
  volatile double d = 1 + 0x1p-40, e = 1 - 0x1p-40, f = -1;       // d * e = 1 - 2^-80
  return std::fma(float{a}, float{b}, float{c}) == 1 + 0x1p-23f &&
         std::fma(double{d}, double{e}, double{f}) == -0x1p-80;
}

// The only list of ISAs, best first.
constexpr Isa kIsas[] = {
#if defined(SIMDRNN_HAVE_AVX512)
    {"avx512", avx512::table, [](const CpuFeatures& cpu) { return cpu.avx512; }},
#endif
#if defined(SIMDRNN_HAVE_AVX2)
    {"avx2", avx2::table, [](const CpuFeatures& cpu) { return cpu.avx2_fma; }},
#endif
#if defined(SIMDRNN_HAVE_NEON)
    {"neon", neon::table, [](const CpuFeatures&) { return true; }},  // part of aarch64
#endif
    {"scalar", scalar::table, [](const CpuFeatures&) { return fma_rounds_once(); }},
};

const KernelTable& best() {
  const CpuFeatures cpu = detect_cpu();
  for (const Isa& isa : kIsas) {
    if (isa.runs_on(cpu)) return isa.table();
  }
  throw std::runtime_error(
      "isa: expected a CPU with an instruction set of this build, or a C library whose fma rounds "
      "once, which the scalar kernels take; got neither");
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

const KernelTable& named(const std::string& name) {
  const KernelTable& now = active();
  if (name == now.isa) return now;  // without asking the CPU again, at every packing
  const CpuFeatures cpu = detect_cpu();
  for (const Isa& isa : kIsas) {
    if (name == isa.name && isa.runs_on(cpu)) return isa.table();
  }
  throw std::invalid_argument("isa: expected one of " + joined(available()) +
                              " (what this build has and this CPU runs), got '" + name + "'");
}

void use(const std::string& name) { current().store(&named(name), std::memory_order_release); }

}  // namespace dispatch
}  // namespace simdrnn
