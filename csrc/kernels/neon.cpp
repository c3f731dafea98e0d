// Compiled with aarch64's own flags; see CMakeLists.txt. Exports exactly one symbol.
#include "kernels/table.hpp"

namespace simdrnn::neon {
const KernelTable& table() noexcept { return kTable; }
}  // namespace simdrnn::neon
