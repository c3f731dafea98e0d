// cells/li_gru.hpp: light GRU, without a reset gate and with relu for the candidate.
//
//   z = sigmoid(pre_z)     n = relu(pre_n)     next = n + z * (state - n)
//
// Source: Ravanelli et al. 2018, arXiv:1803.10225, without the batch normalisation of W x.
#pragma once
#include "kernels/cells/ugrnn.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct LiGru : Ugrnn {
  static constexpr CellInfo info =
      described({.name = "li_gru",
                 .layer = "LiGRU",
                 .gates = {{"z", kSigmoid, kKeeps}, {"n", kRelu, kCandidate}},
                 .saved = 2});
};

SIMDRNN_CELL(LiGru);

}  // namespace simdrnn::SIMDRNN_ISA
