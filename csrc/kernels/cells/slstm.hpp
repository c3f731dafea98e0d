// cells/slstm.hpp: LSTM with exponential gates, a normaliser n and a stabiliser m.
//
//   m' = max(log_sigmoid(pre_f) + m, pre_i)         z = tanh(pre_z)      o = sigmoid(pre_o)
//   i' = exp(pre_i - m')                            f' = exp(log_sigmoid(pre_f) + m - m')
//   c' = f' * c + i' * z                            n' = f' * n + i'     h' = o * c' / n'
//
// Where n is not above 0 nothing is remembered yet: m' = pre_i and f' = 0. One of i', f' is always
// 1 and neither is more, so nothing overflows.
//
// Gradients are the true ones, through m as well (the source takes it for a constant; h does not
// depend on it). At the kink of the maximum m' is taken for its first argument.
//
// Source: Beck et al. 2024, "xLSTM: extended long short-term memory", arXiv:2405.04517.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"
#include "kernels/simd/log.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct Slstm {
  enum Gate { kInput, kForget, kNew, kOutput };  // rows of the weights
  enum State { kHidden, kCell, kNormaliser, kStabiliser };
  static constexpr CellInfo info = described({.name = "slstm",
                                              .layer = "SLSTM",
                                              .gates = {{"i", kIdentity, kFixed},
                                                        {"f", kIdentity, kFixed, kKeeps},
                                                        {"z", kTanh, kCandidate},
                                                        {"o", kSigmoid}},
                                              .states = 4,
                                              .saved = 8,
                                              .state_names = "h c n>0 m",
                                              .heads = true});

  template <class V, class P>
  static void forward(const Lanes<V, 4>& pre, const Lanes<V, 4>& state, const P& p,
                      Lanes<V, 4>& next, Lanes<V, 8>& saved) noexcept {
    const V zero(typename V::Scalar(0));
    const V in = p(pre[kInput], kInput), forget = p(pre[kForget], kForget);
    const V z = p(pre[kNew], kNew), o = p(pre[kOutput], kOutput);
    const V before = log_sigmoid(forget) + state[kStabiliser];
    const V n_old = state[kNormaliser];
    const V m = if_above(n_old, zero, if_above(in, before, in, before), in);
    const V f = if_above(n_old, zero, exp(before - m), zero);
    const V i = exp(in - m);
    const V c = p.clip_cell(fma(f, state[kCell], i * p.drop(z)));
    const V n = fma(f, n_old, i);
    next = {o * (c / n), c, n, m};
    saved = {in, forget, z, o, f, c, n, m};
  }

  template <class V, class P>
  static void backward(const Lanes<V, 8>& saved, const Lanes<V, 4>& state, const Lanes<V, 4>&,
                       const Lanes<V, 4>& d_next, const P& p, Lanes<V, 4>& d_pre,
                       Lanes<V, 4>& d_state) noexcept {
    const V in = saved[0], forget = saved[1], z = saved[2], o = saved[3], f = saved[4],
            c = saved[5], n = saved[6], m = saved[7];
    const V zero(typename V::Scalar(0)), one(typename V::Scalar(1));
    const V i = exp(in - m), ratio = c / n;
    const V d_ratio = d_next[kHidden] * o / n;
    const V d_c = p.through_cell_clip(c, d_next[kCell] + d_ratio);
    const V d_n = d_next[kNormaliser] - d_ratio * ratio;
    // Through the exponentials. m' moves both against its own argument, which stays at 1: where it
    // is pre_i, f' is below 1 (or 0, with nothing before).
    const V through_f = (d_c * state[kCell] + d_n * state[kNormaliser]) * f;
    const V through_i = fma(d_c, p.drop(z), d_n) * i;
    const V d_m = d_next[kStabiliser];
    const V d_in = if_above(one, f, d_m - through_f, through_i);
    const V d_before = if_above(one, f, through_f, d_m - through_i);
    const V d_forget = d_before * sigmoid(zero - forget);
    d_pre = {d_in * p.slope(in, kInput), d_forget * p.slope(forget, kForget),
             p.drop(d_c * i) * p.slope(z, kNew), d_next[kHidden] * ratio * p.slope(o, kOutput)};
    d_state = {zero, d_c * f, d_n * f, d_before};  // h's part goes through R: the driver's
  }
};

SIMDRNN_CELL(Slstm);

}  // namespace simdrnn::SIMDRNN_ISA
