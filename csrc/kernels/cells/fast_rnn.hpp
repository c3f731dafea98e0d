// cells/fast_rnn.hpp: a simple recurrent network with a weighted residual connection over time.
//
//   n = tanh(pre_n)     next = sigmoid(alpha) * n + sigmoid(beta) * state
//
// alpha and beta are one number each for all units.
// Source: Kusupati et al. 2018, arXiv:1901.02358, section 3.1.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/activations.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct FastRnn {
  enum Gate { kNew, kAlpha, kBeta };  // the row of the weights; then the cell's own parameters
  static constexpr CellInfo info = described({.name = "fast_rnn",
                                              .layer = "FastRNN",
                                              .gates = {{"n", kTanh, kCandidate}},
                                              .saved = 1,
                                              .parameters = "alpha:1=-3 beta:1=3"});

  template <class V, class P>
  static void forward(const Lanes<V, 3>& pre, const Lanes<V, 1>& state, const P& p,
                      Lanes<V, 1>& next, Lanes<V, 1>& saved) noexcept {
    const V n = p(pre[kNew], kNew);
    next[0] = fma(sigmoid(pre[kBeta]), state[0], sigmoid(pre[kAlpha]) * p.drop(n));
    saved[0] = n;
  }

  template <class V, class P>
  static void backward(const Lanes<V, 3>& saved, const Lanes<V, 1>& state, const Lanes<V, 1>&,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 3>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    const V n = saved[0], alpha = sigmoid(saved[kAlpha]), beta = sigmoid(saved[kBeta]);
    d_pre = {p.drop(d_next[0] * alpha) * p.slope(n, kNew),
             d_next[0] * p.drop(n) * sigmoid_slope(alpha),
             d_next[0] * state[0] * sigmoid_slope(beta)};
    d_state[0] = d_next[0] * beta;
  }
};

SIMDRNN_CELL(FastRnn);

}  // namespace simdrnn::SIMDRNN_ISA
