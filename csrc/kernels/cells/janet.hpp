// cells/janet.hpp: just another network, an LSTM that has kept only its forget gate.
//
//   f = sigmoid(pre_f)     w = 1 - sigmoid(pre_f - 1)     n = tanh(pre_n)
//   next = f * state + w * n
//
// More is written than is forgotten, as w > 1 - f.
// Source: van der Westhuizen & Lasenby 2018, arXiv:1804.04849, with the paper's beta = 1.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct Janet {
  enum Gate { kForget, kNew };
  static constexpr CellInfo info =
      described({.name = "janet",
                 .layer = "JANET",
                 .gates = {{"f", kSigmoid, kKeeps}, {"n", kTanh, kCandidate}},
                 .saved = 3});

  template <class V, class P>
  static void forward(const Lanes<V, 2>& pre, const Lanes<V, 1>& state, const P& p,
                      Lanes<V, 1>& next, Lanes<V, 3>& saved) noexcept {
    const V one(typename V::Scalar(1));
    const V f = p(pre[kForget], kForget);
    const V shifted = p(pre[kForget] - one, kForget);  // kept: 1 - shifted would be rounded
    const V n = p(pre[kNew], kNew);
    next[0] = fma(f, state[0], (one - shifted) * p.drop(n));
    saved = {f, shifted, n};
  }

  template <class V, class P>
  static void backward(const Lanes<V, 3>& saved, const Lanes<V, 1>& state, const Lanes<V, 1>&,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 2>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    const V f = saved[0], shifted = saved[1], n = saved[2];
    const V one(typename V::Scalar(1));
    d_pre = {d_next[0] * (state[0] * p.slope(f, kForget) - p.drop(n) * p.slope(shifted, kForget)),
             p.drop(d_next[0] * (one - shifted)) * p.slope(n, kNew)};
    d_state[0] = d_next[0] * f;
  }
};

SIMDRNN_CELL(Janet);

}  // namespace simdrnn::SIMDRNN_ISA
