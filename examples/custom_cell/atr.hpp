// cells/atr.hpp: addition-subtraction twin-gated recurrent network.
//
//   p = W x + bias_ih     q = R state + bias_hh
//   i = sigmoid(p + q)    f = sigmoid(p - q)      next = i * p + f * state
//
// Source: Zhang et al. 2018, arXiv:1810.12546.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct Atr {
  enum Gate { kInputPart, kRecurrentPart };  // one gate, whose two parts arrive apart
  static constexpr CellInfo info =
      described({.name = "atr", .layer = "ATR", .gates = {{"p", kSigmoid, kApart}}, .saved = 3});

  template <class V, class P>
  static void forward(const Lanes<V, 2>& pre, const Lanes<V, 1>& state, const P& p,
                      Lanes<V, 1>& next, Lanes<V, 3>& saved) noexcept {
    const V i = p(pre[kInputPart] + pre[kRecurrentPart], kInputPart);
    const V f = p(pre[kInputPart] - pre[kRecurrentPart], kInputPart);
    next[0] = fma(f, state[0], i * pre[kInputPart]);
    saved = {i, f, pre[kInputPart]};
  }

  template <class V, class P>
  static void backward(const Lanes<V, 3>& saved, const Lanes<V, 1>& state, const Lanes<V, 1>&,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 2>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    const V i = saved[0], f = saved[1], input_part = saved[2];
    const V d_i = d_next[0] * input_part * p.slope(i, kInputPart);
    const V d_f = d_next[0] * state[0] * p.slope(f, kInputPart);
    d_pre = {fma(d_next[0], i, d_i + d_f), d_i - d_f};
    d_state[0] = d_next[0] * f;
  }
};

SIMDRNN_CELL(Atr);

}  // namespace simdrnn::SIMDRNN_ISA
