// cells/li_gru.hpp: light GRU, without a reset gate and with relu for the candidate.
//
//   z = sigmoid(pre_z)     n = relu(pre_n)     next = n + z * (state - n)
//
// Source: Ravanelli et al. 2018, arXiv:1803.10225, without the batch normalisation of W x.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct LiGru {
  enum Gate { kUpdate, kNew };
  static constexpr CellInfo info{.name = "li_gru",
                                 .layer = "LiGRU",
                                 .gate_names = "z n",
                                 .gates = 2,
                                 .separate = 0,
                                 .states = 1,
                                 .saved = 2,
                                 .phases = 1,
                                 .keep = kUpdate,
                                 .write = -1,
                                 .candidate = kNew,
                                 .activations = "sigmoid relu"};

  template <class V, class P>
  static void forward(const Lanes<V, 2>& pre, const Lanes<V, 1>& state, const P& p,
                      Lanes<V, 1>& next, Lanes<V, 2>& saved) noexcept {
    const V z = p.sigmoid(pre[kUpdate], kUpdate);
    const V n = p.relu(pre[kNew], kNew);
    const V candidate = p.drop(n);
    next[0] = fma(z, state[0] - candidate, candidate);
    saved = {z, n};
  }

  template <class V, class P>
  static void backward(const Lanes<V, 2>& saved, const Lanes<V, 1>& state, const Lanes<V, 1>&,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 2>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    const V z = saved[0], n = saved[1];
    const V one(typename V::Scalar(1));
    d_pre = {d_next[0] * (state[0] - p.drop(n)) * p.sigmoid_slope(z, kUpdate),
             p.drop(d_next[0] * (one - z)) * p.relu_slope(n, kNew)};
    d_state[0] = d_next[0] * z;
  }
};

SIMDRNN_CELL(LiGru);

}  // namespace simdrnn::SIMDRNN_ISA
