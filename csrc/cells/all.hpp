// The list of cells. Adding one: a file here that ends with SIMDRNN_CELL(its name), a line below,
// and its twin in python/simdrnn/reference/.
#pragma once
#include "cells/augru.hpp"
#include "cells/elman.hpp"
#include "cells/fast_grnn.hpp"
#include "cells/fast_rnn.hpp"
#include "cells/gru.hpp"
#include "cells/ind_rnn.hpp"
#include "cells/janet.hpp"
#include "cells/li_gru.hpp"
#include "cells/lstm.hpp"
#include "cells/lstm_variants.hpp"
#include "cells/mgu.hpp"
#include "cells/minimal_rnn.hpp"
#include "cells/ran.hpp"
#include "cells/slstm.hpp"
#include "cells/ugrnn.hpp"

namespace simdrnn::SIMDRNN_ISA {

using AllCells = FirstCells<__COUNTER__ - kFirstCell>::Type;

}  // namespace simdrnn::SIMDRNN_ISA
