// Compiled with -mavx2 -mfma; see CMakeLists.txt. Exports exactly one symbol.
#include "kernels/table.hpp"

namespace simdrnn::avx2 {
const KernelTable& table() noexcept { return kTable; }
}  // namespace simdrnn::avx2
