// cells/fast_grnn.hpp: a gate and a candidate that share their weights.
//
//   z = sigmoid(a + bias_z)     n = tanh(a + bias_h),  a = W x + R state
//   next = (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * n + z * state
//
// zeta and nu are one number each for all units.
// Source: Kusupati et al. 2018, arXiv:1901.02358, section 3.2.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/activations.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

struct FastGrnn {
  enum Gate { kBoth, kZeta, kNu, kBiasGate, kBiasNew };  // the row of the weights; then its own
  enum Place { kGate, kNew };                            // of activations and of saved values
  static constexpr CellInfo info = described({.name = "fast_grnn",
                                              .layer = "FastGRNN",
                                              .gates = {{"a", kSigmoid, kCandidate}},
                                              .second_activation = kTanh,
                                              .saved = 2,
                                              .biases = false,
                                              .parameters = "zeta:1=1 nu:1=-4 bias_z bias_h"});

  template <class V, class P>
  static void forward(const Lanes<V, 5>& pre, const Lanes<V, 1>& state, const P& p,
                      Lanes<V, 1>& next, Lanes<V, 2>& saved) noexcept {
    const V one(typename V::Scalar(1));
    const V z = p(pre[kBoth] + pre[kBiasGate], kGate);
    const V n = p(pre[kBoth] + pre[kBiasNew], kNew);
    const V share = fma(sigmoid(pre[kZeta]), one - z, sigmoid(pre[kNu]));
    next[0] = fma(z, state[0], share * p.drop(n));
    saved = {z, n};
  }

  template <class V, class P>
  static void backward(const Lanes<V, 6>& saved, const Lanes<V, 1>& state, const Lanes<V, 1>&,
                       const Lanes<V, 1>& d_next, const P& p, Lanes<V, 5>& d_pre,
                       Lanes<V, 1>& d_state) noexcept {
    const V one(typename V::Scalar(1));
    const V z = saved[kGate], n = saved[kNew], candidate = p.drop(n);
    const V zeta = sigmoid(saved[1 + kZeta]), nu = sigmoid(saved[1 + kNu]);  // two are saved
    const V d_z = d_next[0] * (state[0] - zeta * candidate) * p.slope(z, kGate);
    const V d_n = p.drop(d_next[0] * fma(zeta, one - z, nu)) * p.slope(n, kNew);
    d_pre = {d_z + d_n, d_next[0] * (one - z) * candidate * sigmoid_slope(zeta),
             d_next[0] * candidate * sigmoid_slope(nu), d_z, d_n};
    d_state[0] = d_next[0] * z;
  }
};

SIMDRNN_CELL(FastGrnn);

}  // namespace simdrnn::SIMDRNN_ISA
