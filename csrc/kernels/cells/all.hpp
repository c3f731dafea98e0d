// The list of cells. Adding one: a file here that ends with SIMDRNN_CELL(its name), a line below,
// and its twin in python/simdrnn/reference/.
#pragma once
#include "kernels/cells/augru.hpp"
#include "kernels/cells/ctrnn.hpp"
#include "kernels/cells/elman.hpp"
#include "kernels/cells/fast_grnn.hpp"
#include "kernels/cells/fast_rnn.hpp"
#include "kernels/cells/gru.hpp"
#include "kernels/cells/ind_rnn.hpp"
#include "kernels/cells/janet.hpp"
#include "kernels/cells/li_gru.hpp"
#include "kernels/cells/lstm.hpp"
#include "kernels/cells/mgu.hpp"
#include "kernels/cells/minimal_rnn.hpp"
#include "kernels/cells/ran.hpp"
#include "kernels/cells/slstm.hpp"
#include "kernels/cells/ugrnn.hpp"

namespace simdrnn::SIMDRNN_ISA {

using AllCells = FirstCells<__COUNTER__ - kFirstCell>::Type;

}  // namespace simdrnn::SIMDRNN_ISA
