// cells/lstm.hpp: long short-term memory with a forget gate, without peepholes.
//
//   i, f, o = sigmoid(pre_i, pre_f, pre_o)     g = tanh(pre_g)
//   c' = f * c + i * g                         h' = o * tanh(c')
//
// Source: Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000.
#pragma once
#include "abi/cell_info.hpp"
#include "cells/cell_list.hpp"
#include "simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct Lstm {
  enum Gate { kInput, kForget, kCandidate, kOutput, kSquash };  // rows of the weights; c's tanh
  enum State { kHidden, kCell };
  static constexpr CellInfo info{.name = "lstm",
                                 .layer = "LSTM",
                                 .gate_names = "i f g o",
                                 .gates = 4,
                                 .separate = 0,
                                 .states = 2,
                                 .saved = 5,
                                 .phases = 1,
                                 .keep = kForget,
                                 .write = kInput,
                                 .candidate = kCandidate,
                                 .common = true,
                                 .activations = "sigmoid sigmoid tanh sigmoid / tanh",
                                 .projects = true};

  template <class V, class P>
  static void forward(const Lanes<V, 4>& pre, const Lanes<V, 2>& state, const P& p,
                      Lanes<V, 2>& next, Lanes<V, 5>& saved) noexcept {
    const V i = p.sigmoid(pre[kInput], kInput);
    const V f = p.sigmoid(pre[kForget], kForget);
    const V g = p.tanh(pre[kCandidate], kCandidate);
    const V o = p.sigmoid(pre[kOutput], kOutput);
    const V c = p.clip_cell(fma(f, state[kCell], i * p.drop(g)));
    next = {o * p.squash(c, kSquash), c};
    saved = {i, f, g, o, c};
  }

  template <class V, class P>
  static void backward(const Lanes<V, 5>& saved, const Lanes<V, 2>& state, const Lanes<V, 2>&,
                       const Lanes<V, 2>& d_next, const P& p, Lanes<V, 4>& d_pre,
                       Lanes<V, 2>& d_state) noexcept {
    const V i = saved[0], f = saved[1], g = saved[2], o = saved[3], c = saved[4];
    const V squashed = p.squash(c, kSquash);  // recomputed: cheaper than one more saved value
    const V d_c = p.through_cell_clip(
        c, fma(d_next[kHidden] * o, p.squash_slope(squashed, kSquash), d_next[kCell]));
    d_pre = {d_c * p.drop(g) * p.sigmoid_slope(i, kInput),
             d_c * state[kCell] * p.sigmoid_slope(f, kForget),
             p.drop(d_c * i) * p.tanh_slope(g, kCandidate),
             d_next[kHidden] * squashed * p.sigmoid_slope(o, kOutput)};
    d_state = {V(typename V::Scalar(0)), d_c * f};  // h's part goes through R: the driver's
  }

  // h' of what a step saved.
  template <class V, class P>
  static V output(const Lanes<V, 5>& saved, const P& p) noexcept {
    return saved[kOutput] * p.squash(saved[4], kSquash);
  }
};

SIMDRNN_CELL(Lstm);

}  // namespace simdrnn::SIMDRNN_ISA
