// cells/lstm.hpp: long short-term memory with a forget gate, without peepholes.
//
//   i, f, o = sigmoid(pre_i, pre_f, pre_o)     g = tanh(pre_g)
//   c' = f * c + i * g                         h' = o * tanh(c')
//
// Source: Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

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
                                 .projects = true,
                                 .normalise = kCell};

  template <class V, class P>
  static void forward(const Lanes<V, 4>& pre, const Lanes<V, 2>& state, const P& p,
                      Lanes<V, 2>& next, Lanes<V, 5>& saved) noexcept {
    const V c = p.clip_cell(update(pre, state, p, saved));
    next = {hidden(pre, c, p, saved), c};
    saved[4] = c;
  }

  // The halves that a normalised c lies between. The first returns c before it is clipped.
  template <class V, class P>
  [[gnu::always_inline]] static V update(const Lanes<V, 4>& pre, const Lanes<V, 2>& state,
                                         const P& p, Lanes<V, 5>& saved) noexcept {
    const V i = saved[0] = p.sigmoid(pre[kInput], kInput);
    const V f = saved[1] = p.sigmoid(pre[kForget], kForget);
    const V g = saved[2] = p.tanh(pre[kCandidate], kCandidate);
    return fma(f, state[kCell], i * p.drop(g));
  }

  // h, of c as it is squashed.
  template <class V, class P>
  [[gnu::always_inline]] static V hidden(const Lanes<V, 4>& pre, V c, const P& p,
                                         Lanes<V, 5>& saved) noexcept {
    const V o = saved[3] = p.sigmoid(pre[kOutput], kOutput);
    return o * p.squash(c, kSquash);
  }

  template <class V, class P>
  static void backward(const Lanes<V, 5>& saved, const Lanes<V, 2>& state, const Lanes<V, 2>&,
                       const Lanes<V, 2>& d_next, const P& p, Lanes<V, 4>& d_pre,
                       Lanes<V, 2>& d_state) noexcept {
    const V c = saved[4];
    const V d_c = through_hidden(saved, c, d_next[kHidden], d_next[kCell], p, d_pre);
    through_update(saved, state, p.through_cell_clip(c, d_c), p, d_pre, d_state);
  }

  // Back to c as it was squashed; `d_c` is its gradient from elsewhere.
  template <class V, class P>
  [[gnu::always_inline]] static V through_hidden(const Lanes<V, 5>& saved, V c, V d_h, V d_c,
                                                 const P& p, Lanes<V, 4>& d_pre) noexcept {
    const V o = saved[3];
    const V squashed = p.squash(c, kSquash);  // recomputed: cheaper than one more saved value
    d_pre[kOutput] = d_h * squashed * p.sigmoid_slope(o, kOutput);
    return fma(d_h * o, p.squash_slope(squashed, kSquash), d_c);
  }

  template <class V, class P>
  [[gnu::always_inline]] static void through_update(const Lanes<V, 5>& saved,
                                                    const Lanes<V, 2>& state, V d_c, const P& p,
                                                    Lanes<V, 4>& d_pre,
                                                    Lanes<V, 2>& d_state) noexcept {
    const V i = saved[0], f = saved[1], g = saved[2];
    d_pre[kInput] = d_c * p.drop(g) * p.sigmoid_slope(i, kInput);
    d_pre[kForget] = d_c * state[kCell] * p.sigmoid_slope(f, kForget);
    d_pre[kCandidate] = p.drop(d_c * i) * p.tanh_slope(g, kCandidate);
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
