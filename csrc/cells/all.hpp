// The list of cells. Adding one: a file here, a line below, and its twin in
// python/simdrnn/reference/.
#pragma once
#include "cells/elman.hpp"
#include "cells/gru.hpp"
#include "cells/lstm.hpp"
#include "cells/lstm_variants.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class... Cells>
struct CellList {
  static constexpr int kCount = sizeof...(Cells);
};

using AllCells =
    CellList<ElmanTanh, ElmanRelu, Lstm, LstmPeephole, LstmCoupledInput, LstmCoupledForget,
             LstmPeepholeCoupledInput, LstmPeepholeCoupledForget, Gru, GruResetBefore>;

}  // namespace simdrnn::SIMDRNN_ISA
