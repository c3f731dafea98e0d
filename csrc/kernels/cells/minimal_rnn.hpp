// cells/minimal_rnn.hpp: the input becomes a latent state, which one gate mixes with the old one.
//
//   z = tanh(W x + bias_ih)     u = sigmoid(R_h state + R_z z + bias_hh)
//   next = z + u * (state - z)
//
// Source: Chen 2017, arXiv:1711.06788.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct MinimalRnn {
  enum Gate { kLatent, kUpdate };
  static constexpr CellInfo info =
      described({.name = "minimal_rnn",
                 .layer = "MinimalRNN",
                 .gates = {{"z", kTanh, kCandidate, kInputOnly},
                           {"u", kSigmoid, kKeeps, kSecondPhase, kSeesH}},
                 .saved = 2});

  // First phase: z, which is the operand itself.
  template <class V, class P>
  static V operand(const Lanes<V, 1>& pre, const Lanes<V, 1>&, const P& p,
                   Lanes<V, 1>& gates) noexcept {
    gates[kLatent] = p(pre[kLatent], kLatent);
    return gates[kLatent];
  }

  // Second phase.
  template <class V, class P>
  static void forward(const Lanes<V, 1>& pre, const Lanes<V, 1>& gates, const Lanes<V, 1>& state,
                      const P& p, Lanes<V, 1>& next, Lanes<V, 2>& saved) noexcept {
    const V u = p(pre[0], kUpdate);
    const V candidate = p.drop(gates[kLatent]);
    next[0] = fma(u, state[0] - candidate, candidate);
    saved = {gates[kLatent], u};
  }

  // z is reached twice: here, and through R_z in operand_backward.
  template <class V, class P>
  static void backward(const Lanes<V, 2>& saved, const Lanes<V, 1>& state, const Lanes<V, 1>&,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 2>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    const V z = saved[0], u = saved[1];
    const V one(typename V::Scalar(1));
    d_pre = {p.drop(d_next[0] * (one - u)) * p.slope(z, kLatent),
             d_next[0] * (state[0] - p.drop(z)) * p.slope(u, kUpdate)};
    d_state[0] = d_next[0] * u;
  }

  // Adds to d_pre_latent; the operand has nothing of h.
  template <class V, class P>
  static V operand_backward(const Lanes<V, 2>& saved, const Lanes<V, 1>&, V d_operand, const P& p,
                            V& d_pre_latent, V& operand) noexcept {
    operand = saved[0];
    d_pre_latent = fma(d_operand, p.slope(saved[0], kLatent), d_pre_latent);
    return V(typename V::Scalar(0));
  }
};

SIMDRNN_CELL(MinimalRnn);

}  // namespace simdrnn::SIMDRNN_ISA
