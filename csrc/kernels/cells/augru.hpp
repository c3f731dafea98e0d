// cells/augru.hpp: GRU with attentional update gate: the attention to a step, a, weakens the
// gate that keeps the state.
//
//   r = sigmoid(pre_r)      z = sigmoid(pre_z)      k = (1 - a) * z
//   n = tanh(n_x + r * n_h),  n_h = R_n state + bias_hh_n      next = n + k * (state - n)
//
// Source: Zhou et al. 2018, "Deep interest evolution network", arXiv:1809.03672, as oneDNN has it,
// with the reset gate after the recurrent product.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct Augru {
  // Rows of the weights; then n's recurrent part, and the attention.
  enum Gate { kReset, kUpdate, kNew, kNewRecurrent, kAttention };
  static constexpr CellInfo info = described(
      {.name = "augru",
       .layer = "AUGRU",
       .gates = {{"r", kSigmoid}, {"z", kSigmoid, kKeeps}, {"n", kTanh, kCandidate, kApart}},
       .saved = 4,
       .attention = true});

  template <class V, class P>
  static void forward(const Lanes<V, 5>& pre, const Lanes<V, 1>& state, const P& p,
                      Lanes<V, 1>& next, Lanes<V, 4>& saved) noexcept {
    const V one(typename V::Scalar(1));
    const V r = p(pre[kReset], kReset);
    const V z = p(pre[kUpdate], kUpdate);
    const V n = p(fma(r, pre[kNewRecurrent], pre[kNew]), kNew);
    const V candidate = p.drop(n);
    next[0] = fma((one - pre[kAttention]) * z, state[0] - candidate, candidate);
    saved = {r, z, n, pre[kNewRecurrent]};
  }

  template <class V, class P>
  static void backward(const Lanes<V, 5>& saved, const Lanes<V, 1>& state, const Lanes<V, 1>&,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 5>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    const V r = saved[0], z = saved[1], n = saved[2], n_recurrent = saved[3];
    const V zero(typename V::Scalar(0)), one(typename V::Scalar(1));
    const V left = one - saved[kAttention], keep = left * z;
    const V d_keep = d_next[0] * (state[0] - p.drop(n));
    const V d_n = p.drop(d_next[0] * (one - keep)) * p.slope(n, kNew);
    const V d_r = d_n * n_recurrent * p.slope(r, kReset);
    d_pre = {d_r, d_keep * left * p.slope(z, kUpdate), d_n, d_n * r, zero - d_keep * z};
    d_state[0] = d_next[0] * keep;  // the direct path; the path through R is the driver's
  }
};

SIMDRNN_CELL(Augru);

}  // namespace simdrnn::SIMDRNN_ISA
