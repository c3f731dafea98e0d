// cells/ran.hpp: recurrent additive network, whose content is made of the input alone.
//
//   i = sigmoid(pre_i)     f = sigmoid(pre_f)     n = W_n x + bias_ih_n
//   c = i * n + f * c      next = tanh(c)
//
// Source: Lee, Levy & Zettlemoyer 2017, arXiv:1705.07393.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct Ran {
  enum Gate { kInput, kForget, kContent, kSquash };  // rows of the weights; then c's tanh
  enum State { kHidden, kCell };
  static constexpr CellInfo info = described({.name = "ran",
                                              .layer = "RAN",
                                              .gates = {{"i", kSigmoid, kWrites},
                                                        {"f", kSigmoid, kKeeps},
                                                        {"n", kIdentity, kCandidate, kInputOnly}},
                                              .squash = kTanh,
                                              .states = 2,
                                              .saved = 4});

  template <class V, class P>
  static void forward(const Lanes<V, 3>& pre, const Lanes<V, 2>& state, const P& p,
                      Lanes<V, 2>& next, Lanes<V, 4>& saved) noexcept {
    const V i = p(pre[kInput], kInput);
    const V f = p(pre[kForget], kForget);
    const V n = p(pre[kContent], kContent);
    const V c = p.clip_cell(fma(f, state[kCell], i * p.drop(n)));
    next = {p.squash(c, kSquash), c};
    saved = {i, f, n, c};
  }

  template <class V, class P>
  static void backward(const Lanes<V, 4>& saved, const Lanes<V, 2>& state, const Lanes<V, 2>&,
                       const Lanes<V, 2>& d_next, const P& p, Lanes<V, 3>& d_pre,
                       Lanes<V, 2>& d_state) noexcept {
    const V i = saved[0], f = saved[1], n = saved[2], c = saved[3];
    const V slope = p.squash_slope(p.squash(c, kSquash), kSquash);
    const V d_c = p.through_cell_clip(c, fma(d_next[kHidden], slope, d_next[kCell]));
    d_pre = {d_c * p.drop(n) * p.slope(i, kInput), d_c * state[kCell] * p.slope(f, kForget),
             p.drop(d_c * i) * p.slope(n, kContent)};
    d_state = {V(typename V::Scalar(0)), d_c * f};  // h's part goes through R: the driver's
  }
};

SIMDRNN_CELL(Ran);

}  // namespace simdrnn::SIMDRNN_ISA
