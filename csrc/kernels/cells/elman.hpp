// cells/elman.hpp: the simple recurrent network, with tanh or with relu.
//
//   next = tanh(pre)      or      next = relu(pre)
//
// Source: Elman 1990, Cognitive Science 14(2); relu: Le et al. 2015, arXiv:1504.00941.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct ElmanTanh {
  static constexpr CellInfo info = described(
      {.name = "rnn_tanh", .layer = "RNN", .gates = {{"h", kTanh}}, .common = true, .noisy = true});

  template <class V, class P>
  static void forward(const Lanes<V, 1>& pre, const Lanes<V, 1>&, const P& p, Lanes<V, 1>& next,
                      Lanes<V, 0>&) noexcept {
    next[0] = p(p.noisy(pre[0], V(typename V::Scalar(1))), 0);
  }

  template <class V, class P>
  static void backward(const Lanes<V, 0>&, const Lanes<V, 1>&, const Lanes<V, 1>& next,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 1>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    d_pre[0] = d_next[0] * p.slope(next[0], 0);
    d_state[0] = V(typename V::Scalar(0));  // all of it goes through R: the driver's
  }
};

SIMDRNN_CELL(ElmanTanh);

struct ElmanRelu : ElmanTanh {
  static constexpr CellInfo info =
      described({.name = "rnn_relu", .gates = {{"h", kRelu}}, .common = true, .noisy = true});
};

SIMDRNN_CELL(ElmanRelu);

}  // namespace simdrnn::SIMDRNN_ISA
