// Compiled with -mavx512f -mavx512vl -mavx512dq -mavx512bw -mfma; see CMakeLists.txt. Exports
// exactly one symbol.
#include "kernels/table.hpp"

namespace simdrnn::avx512 {
const KernelTable& table() noexcept { return kTable; }
}  // namespace simdrnn::avx512
