// The options of a layer that has none: everything folds away at compile time.
//
// A cell gets one of these, or one of kernels/options/optioned.hpp, as `p` and asks it for the
// activations of its gates, p(x, gate), and for their slopes, p.slope(y, gate). It reads the same
// with and without options. A slope is a function of the activation's value.
#pragma once
#include "abi/options.hpp"
#include "kernels/simd/activations.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

// The activations that cells have by default; `kind` is a constant wherever this is called.
template <class V>
[[gnu::always_inline]] inline V by_default(ActivationKind kind, V x) noexcept {
  switch (kind) {
    case ActivationKind::kSigmoid:
      return sigmoid(x);
    case ActivationKind::kTanh:
      return tanh(x);
    case ActivationKind::kRelu:
      return relu(x);
    default:
      return x;
  }
}
template <class V>
[[gnu::always_inline]] inline Gated<V> gated_by_default(ActivationKind gate, V x,
                                                        ActivationKind value, V y) noexcept {
  if (gate == ActivationKind::kSigmoid && value == ActivationKind::kTanh) {
    return sigmoid_times_tanh(x, y);
  }
  const V a = by_default(gate, x), b = by_default(value, y);
  return {a, b, a * b};
}
template <class V>
[[gnu::always_inline]] inline V slope_by_default(ActivationKind kind, V y) noexcept {
  switch (kind) {
    case ActivationKind::kSigmoid:
      return sigmoid_slope(y);
    case ActivationKind::kTanh:
      return tanh_slope(y);
    case ActivationKind::kRelu:
      return relu_slope(y);
    default:
      return V(typename V::Scalar(1));
  }
}

template <class Cell, class V>
struct Plain {
  static constexpr CellInfo kInfo = Cell::info;
  static_assert(
      [] {
        for (const ActivationKind kind : kInfo.activations) {
          if (kind > ActivationKind::kRelu && kind != ActivationKind::kIdentity) return false;
        }
        return true;
      }(),
      "by_default has the others to learn");

  explicit Plain(const CellOptions<typename V::Scalar>&) noexcept {}

  V operator()(V x, int gate) const noexcept { return by_default(kInfo.activations[gate], x); }
  V slope(V y, int gate) const noexcept { return slope_by_default(kInfo.activations[gate], y); }
  // Two activations and their product, the first of a gate, the second of a candidate or of a
  // state that makes h: an LSTM has a division for two so.
  Gated<V> gated(V x, int gate, V y, int candidate) const noexcept {
    return gated_by_default(kInfo.activations[gate], x, kInfo.activations[candidate], y);
  }
  Gated<V> gated_squash(V x, int gate, V c, int place) const noexcept {
    return gated(x, gate, c, place);
  }
  // What makes h of a state. `place` is its place behind the gates.
  V squash(V c, int place) const noexcept { return by_default(kInfo.activations[place], c); }
  V squash_slope(V y, int place) const noexcept {
    return slope_by_default(kInfo.activations[place], y);
  }
  // The candidate on its way into the state, and a gradient on its way back.
  V drop(V candidate) const noexcept { return candidate; }
  // Noise on the state, and its derivative for the state's leak.
  V noisy(V state, V) const noexcept { return state; }
  V noise_slope(V) const noexcept { return V(typename V::Scalar(0)); }
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

struct WithoutOptions {
  static constexpr bool kActs = false;
  template <class Cell, class V>
  using Of = Plain<Cell, V>;
};

}  // namespace simdrnn::SIMDRNN_ISA
