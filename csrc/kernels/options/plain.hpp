// The options of a layer that has none: everything folds away at compile time.
//
// A cell gets one of these, or one of kernels/options/optioned.hpp, as `p` and asks it for its
// activations and their slopes, naming the gate (so that it can be exchanged). It reads the same
// with and without options. A slope is a function of the activation's value.
#pragma once
#include "abi/options.hpp"
#include "kernels/simd/activations.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class V>
struct Plain {
  static constexpr bool kActs = false;

  explicit Plain(const CellOptions<typename V::Scalar>&) noexcept {}

  // Activations of gates; `int` is the gate.
  V sigmoid(V x, int) const noexcept { return SIMDRNN_ISA::sigmoid(x); }
  V tanh(V x, int) const noexcept { return SIMDRNN_ISA::tanh(x); }
  V relu(V x, int) const noexcept { return SIMDRNN_ISA::relu(x); }
  V identity(V x, int) const noexcept { return x; }
  V sigmoid_slope(V y, int) const noexcept { return SIMDRNN_ISA::sigmoid_slope(y); }
  V tanh_slope(V y, int) const noexcept { return SIMDRNN_ISA::tanh_slope(y); }
  V relu_slope(V y, int) const noexcept { return SIMDRNN_ISA::relu_slope(y); }
  V identity_slope(V, int) const noexcept { return V(typename V::Scalar(1)); }
  // What makes h of a state. `int` is its place behind the gates.
  V squash(V c, int) const noexcept { return SIMDRNN_ISA::tanh(c); }
  V squash_slope(V y, int) const noexcept { return SIMDRNN_ISA::tanh_slope(y); }
  // The candidate on its way into the state, and a gradient on its way back.
  V drop(V candidate) const noexcept { return candidate; }
  V clip_cell(V c) const noexcept { return c; }
  V through_cell_clip(V, V d_c) const noexcept { return d_c; }

  // What the time loops ask. `finish` turns the cell's new states into those that are carried and
  // returns the h that its gradient is a function of; `begin_backward` takes the gradients back to
  // the cell's new states and keeps in `past` what went past the cell.
  void enter(const typename V::Scalar*, Index) noexcept {}
  template <int kStates>
  V finish(const Lanes<V, kStates>&, Lanes<V, kStates>& next) const noexcept {
    return next[0];
  }
  template <int kStates>
  void begin_backward(V, Lanes<V, kStates>&, Lanes<V, kStates>&) const noexcept {}
  template <int kStates>
  void finish_backward(const Lanes<V, kStates>&, Lanes<V, kStates>&) const noexcept {}
};

}  // namespace simdrnn::SIMDRNN_ISA
