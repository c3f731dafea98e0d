// cells/ind_rnn.hpp: independently recurrent network, whose units see only their own state.
//
//   next = relu(W x + bias_ih + u * state)      u: weight_u, one for each unit
//
// Source: Li et al. 2018, arXiv:1803.04831.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct IndRnn {
  enum Gate { kNew, kWeight };  // the row of the weights; then u
  static constexpr CellInfo info = described({.name = "ind_rnn",
                                              .layer = "IndRNN",
                                              .gates = {{"h", kRelu, kInputOnly}},
                                              .parameters = "weight_u=0..1"});

  template <class V, class P>
  static void forward(const Lanes<V, 2>& pre, const Lanes<V, 1>& state, const P& p,
                      Lanes<V, 1>& next, Lanes<V, 0>&) noexcept {
    next[0] = p(fma(pre[kWeight], state[0], pre[kNew]), kNew);
  }

  template <class V, class P>
  static void backward(const Lanes<V, 1>& saved, const Lanes<V, 1>& state, const Lanes<V, 1>& next,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 2>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    d_pre[kNew] = d_next[0] * p.slope(next[0], kNew);
    d_pre[kWeight] = d_pre[kNew] * state[0];
    d_state[0] = d_pre[kNew] * saved[0];  // behind what is saved, which is nothing: u
  }
};

SIMDRNN_CELL(IndRnn);

}  // namespace simdrnn::SIMDRNN_ISA
