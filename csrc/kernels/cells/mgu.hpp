// cells/mgu.hpp: minimal gated unit, one gate that forgets and resets.
//
//   f = sigmoid(pre_f)     n = tanh(n_x + f * n_h),  n_h = R_n state + bias_hh_n
//   next = n + f * (state - n)
//
// Source: Zhou et al. 2016, arXiv:1603.09420, with the reset after the recurrent product and f as
// the gate that keeps, as Flax has it; python/simdrnn/reference/mgu.py says what the paper has.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct Mgu {
  enum Gate { kForget, kNew, kNewRecurrent };  // rows of the weights; then n's recurrent part
  static constexpr CellInfo info =
      described({.name = "mgu",
                 .layer = "MGU",
                 .gates = {{"f", kSigmoid, kKeeps}, {"n", kTanh, kCandidate, kApart}},
                 .saved = 3});

  template <class V, class P>
  static void forward(const Lanes<V, 3>& pre, const Lanes<V, 1>& state, const P& p,
                      Lanes<V, 1>& next, Lanes<V, 3>& saved) noexcept {
    const V f = p(pre[kForget], kForget);
    const V n = p(fma(f, pre[kNewRecurrent], pre[kNew]), kNew);
    const V candidate = p.drop(n);
    next[0] = fma(f, state[0] - candidate, candidate);
    saved = {f, n, pre[kNewRecurrent]};
  }

  template <class V, class P>
  static void backward(const Lanes<V, 3>& saved, const Lanes<V, 1>& state, const Lanes<V, 1>&,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 3>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    const V f = saved[0], n = saved[1], n_recurrent = saved[2];
    const V one(typename V::Scalar(1));
    const V d_n = p.drop(d_next[0] * (one - f)) * p.slope(n, kNew);
    // f acts twice: inside the candidate, and between the candidate and the old state.
    const V d_f = fma(d_n, n_recurrent, d_next[0] * (state[0] - p.drop(n))) * p.slope(f, kForget);
    d_pre = {d_f, d_n, d_n * f};
    d_state[0] = d_next[0] * f;  // the direct path; the path through R is the driver's
  }
};

SIMDRNN_CELL(Mgu);

}  // namespace simdrnn::SIMDRNN_ISA
