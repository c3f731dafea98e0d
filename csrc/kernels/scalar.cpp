// Compiled with the baseline's flags; see CMakeLists.txt. Exports exactly one symbol.
#include "kernels/table.hpp"

namespace simdrnn::scalar {
const KernelTable& table() noexcept { return kTable; }
}  // namespace simdrnn::scalar
