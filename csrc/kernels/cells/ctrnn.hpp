// cells/ctrnn.hpp: a continuous-time network of rates, whose leak is on the current.
//
//   drive = W x + R r + bias     v' = (1 - leak) * v + leak * drive     r' = tanh(v')
//
// leak = dt / tau, one for each unit. Noise on the state is noise on v.
// Source: Song, Yang & Wang 2016, PLoS Computational Biology 12(2); Beer 1995, Adaptive Behavior 3.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct Ctrnn {
  enum Gate { kDrive, kLeak };  // the row of the weights; then the cell's own parameter
  enum State { kRate, kCurrent };
  static constexpr CellInfo info = described({.name = "ctrnn",
                                              .layer = "CTRNN",
                                              .gates = {{"r", kTanh}},
                                              .states = 2,
                                              .saved = 2,
                                              .parameters = "leak>0=0.2",
                                              .state_names = "h v",
                                              .noisy = true});

  template <class V, class P>
  static void forward(const Lanes<V, 2>& pre, const Lanes<V, 2>& state, const P& p,
                      Lanes<V, 2>& next, Lanes<V, 2>& saved) noexcept {
    const V one(typename V::Scalar(1)), leak = pre[kLeak];
    const V leaky = fma(leak, pre[kDrive], (one - leak) * state[kCurrent]);
    const V v = p.clip_cell(p.noisy(leaky, leak));
    next = {p(v, 0), v};
    saved = {pre[kDrive], v};
  }

  template <class V, class P>
  static void backward(const Lanes<V, 3>& saved, const Lanes<V, 2>& state, const Lanes<V, 2>& next,
                       const Lanes<V, 2>& d_next, const P& p, Lanes<V, 2>& d_pre,
                       Lanes<V, 2>& d_state) noexcept {
    const V one(typename V::Scalar(1));
    const V drive = saved[0], v = saved[1], leak = saved[2];  // two are saved, then the parameter
    const V slope = p.slope(next[kRate], 0);
    const V d_v = p.through_cell_clip(v, fma(d_next[kRate], slope, d_next[kCurrent]));
    d_pre = {d_v * leak, d_v * (drive - state[kCurrent] + p.noise_slope(leak))};
    d_state = {V(typename V::Scalar(0)), d_v * (one - leak)};  // r's part goes through R
  }
};

SIMDRNN_CELL(Ctrnn);

}  // namespace simdrnn::SIMDRNN_ISA
