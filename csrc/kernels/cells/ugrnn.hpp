// cells/ugrnn.hpp: update gate recurrent network.
//
//   z = sigmoid(pre_z)     n = tanh(pre_n)     next = n + z * (state - n)
//
// Source: Collins, Sohl-Dickstein and Sussillo 2017, arXiv:1611.09913, section 2.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct Ugrnn {
  enum Gate { kUpdate, kNew };
  static constexpr CellInfo info =
      described({.name = "ugrnn",
                 .layer = "UGRNN",
                 .gates = {{"z", kSigmoid, kKeeps}, {"n", kTanh, kCandidate}},
                 .saved = 2});

  template <class V, class P>
  static void forward(const Lanes<V, 2>& pre, const Lanes<V, 1>& state, const P& p,
                      Lanes<V, 1>& next, Lanes<V, 2>& saved) noexcept {
    const V z = p(pre[kUpdate], kUpdate);
    const V n = p(pre[kNew], kNew);
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
    d_pre = {d_next[0] * (state[0] - p.drop(n)) * p.slope(z, kUpdate),
             p.drop(d_next[0] * (one - z)) * p.slope(n, kNew)};
    d_state[0] = d_next[0] * z;
  }
};

SIMDRNN_CELL(Ugrnn);

}  // namespace simdrnn::SIMDRNN_ISA
