// cells/gru.hpp: gated recurrent unit, with the reset gate after or before the recurrent product.
//
//   r = sigmoid(pre_r)      z = sigmoid(pre_z)      next = n + z * (state - n)
//   after (PyTorch, cuDNN):            n = tanh(n_x + r * n_h),  n_h = R_n state + bias_hh_n
//   before (Keras reset_after=False):  n = tanh(n_x + R_n (r * state) + bias_hh_n)
//
// Source: Cho et al. 2014, arXiv:1406.1078 (v1 resets after the product, v3 before it).
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct Gru {
  enum Gate {
    kReset,
    kUpdate,
    kNew,
    kNewRecurrent
  };  // rows of the weights; then n's recurrent part
  static constexpr CellInfo info = described(
      {.name = "gru",
       .layer = "GRU",
       .gates = {{"r", kSigmoid}, {"z", kSigmoid, kKeeps}, {"n", kTanh, kCandidate, kApart}},
       .saved = 4,
       .common = true});

  template <class V, class P>
  [[gnu::always_inline]] static void forward(const Lanes<V, 4>& pre, const Lanes<V, 1>& state,
                                             const P& p, Lanes<V, 1>& next,
                                             Lanes<V, 4>& saved) noexcept {
    const V r = p(pre[kReset], kReset);
    const V z = p(pre[kUpdate], kUpdate);
    const V n = p(fma(r, pre[kNewRecurrent], pre[kNew]), kNew);
    const V candidate = p.drop(n);
    next[0] = fma(z, state[0] - candidate, candidate);
    saved = {r, z, n, pre[kNewRecurrent]};
  }

  template <class V, class P>
  static void backward(const Lanes<V, 4>& saved, const Lanes<V, 1>& state, const Lanes<V, 1>&,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 4>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    const V r = saved[0], z = saved[1], n = saved[2], n_recurrent = saved[3];
    const V one(typename V::Scalar(1));
    const V d_n = p.drop(d_next[0] * (one - z)) * p.slope(n, kNew);
    const V d_z = d_next[0] * (state[0] - p.drop(n)) * p.slope(z, kUpdate);
    const V d_r = d_n * n_recurrent * p.slope(r, kReset);
    d_pre = {d_r, d_z, d_n, d_n * r};
    d_state[0] = d_next[0] * z;  // the direct path; the path through R is the driver's
  }
};

SIMDRNN_CELL(Gru);

struct GruResetBefore {
  enum Gate { kReset, kUpdate, kNew };
  static constexpr CellInfo info = described(
      {.name = "gru_reset_before",
       .gates = {{"r", kSigmoid}, {"z", kSigmoid, kKeeps}, {"n", kTanh, kCandidate, kSecondPhase}},
       .saved = 3,
       .common = true});

  // First phase: r and z, and what the recurrent product of n multiplies.
  template <class V, class P>
  static V operand(const Lanes<V, 2>& pre, const Lanes<V, 1>& state, const P& p,
                   Lanes<V, 2>& gates) noexcept {
    gates = {p(pre[kReset], kReset), p(pre[kUpdate], kUpdate)};
    return gates[kReset] * state[0];
  }

  // Second phase.
  template <class V, class P>
  static void forward(const Lanes<V, 1>& pre, const Lanes<V, 2>& gates, const Lanes<V, 1>& state,
                      const P& p, Lanes<V, 1>& next, Lanes<V, 3>& saved) noexcept {
    const V n = p(pre[0], kNew);
    const V candidate = p.drop(n);
    next[0] = fma(gates[kUpdate], state[0] - candidate, candidate);
    saved = {gates[kReset], gates[kUpdate], n};
  }

  // Through the second phase, and z, which nothing of the first phase needs. d_pre[kReset] is left
  // to operand_backward, once the driver has taken d_pre[kNew] through R_n.
  template <class V, class P>
  static void backward(const Lanes<V, 3>& saved, const Lanes<V, 1>& state, const Lanes<V, 1>&,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 3>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    const V z = saved[1], n = saved[2];
    const V one(typename V::Scalar(1));
    d_pre[kUpdate] = d_next[0] * (state[0] - p.drop(n)) * p.slope(z, kUpdate);
    d_pre[kNew] = p.drop(d_next[0] * (one - z)) * p.slope(n, kNew);
    d_state[0] = d_next[0] * z;
  }

  // Returns what is added to d_state; `operand` recomputes r * state for the gradient of R_n.
  template <class V, class P>
  static V operand_backward(const Lanes<V, 3>& saved, const Lanes<V, 1>& state, V d_operand,
                            const P& p, V& d_pre_reset, V& operand) noexcept {
    const V r = saved[0];
    operand = r * state[0];
    d_pre_reset = d_operand * state[0] * p.slope(r, kReset);
    return d_operand * r;
  }
};

SIMDRNN_CELL(GruResetBefore);

}  // namespace simdrnn::SIMDRNN_ISA
