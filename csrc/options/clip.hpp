// Clips of gates, c and h, and the activations they wrap. A cell gets one of these as `p` and asks
// it for its activations and their slopes, so that it reads the same with and without clips.
//
//   gate_clip     the argument of an activation is clipped to +-value (ONNX `clip`)
//   cell_clip     c is clipped after its update; what is carried and squashed is the clipped c
//   hidden_clip   h is clipped after its update
//
// Derivatives are the true ones, 0 where a clip is reached. A slope is a function of the
// activation's value y alone: y was clipped exactly where it equals the activation of the bound.
// (Arguments within rounding of the bound may share that value; their slope is 0 too.)
#pragma once
#include "abi/args.hpp"
#include "simd/activations.hpp"

namespace simdrnn::SIMDRNN_ISA {

// No clip: everything folds away at compile time.
template <class V>
struct Unclipped {
  explicit Unclipped(const Limits<typename V::Scalar>&) noexcept {}
  V sigmoid(V x) const noexcept { return SIMDRNN_ISA::sigmoid(x); }
  V tanh(V x) const noexcept { return SIMDRNN_ISA::tanh(x); }
  V relu(V x) const noexcept { return SIMDRNN_ISA::relu(x); }
  V sigmoid_slope(V y) const noexcept { return SIMDRNN_ISA::sigmoid_slope(y); }
  V tanh_slope(V y) const noexcept { return SIMDRNN_ISA::tanh_slope(y); }
  V relu_slope(V y) const noexcept { return SIMDRNN_ISA::relu_slope(y); }
  V clip_cell(V c) const noexcept { return c; }
  V clip_hidden(V h) const noexcept { return h; }
  V through_cell_clip(V, V d_c) const noexcept { return d_c; }
  V through_hidden_clip(V, V d_h) const noexcept { return d_h; }
};

template <class V>
struct Clipped {
  V gate, cell, hidden, minus_gate, minus_cell, minus_hidden;
  V sigmoid_low, sigmoid_high, tanh_low, tanh_high;

  explicit Clipped(const Limits<typename V::Scalar>& limits) noexcept
      : gate(limits.gate),
        cell(limits.cell),
        hidden(limits.hidden),
        minus_gate(-limits.gate),
        minus_cell(-limits.cell),
        minus_hidden(-limits.hidden),
        sigmoid_low(SIMDRNN_ISA::sigmoid(minus_gate)),
        sigmoid_high(SIMDRNN_ISA::sigmoid(gate)),
        tanh_low(SIMDRNN_ISA::tanh(minus_gate)),
        tanh_high(SIMDRNN_ISA::tanh(gate)) {}

  V clip_gate(V x) const noexcept { return max(minus_gate, min(gate, x)); }
  V sigmoid(V x) const noexcept { return SIMDRNN_ISA::sigmoid(clip_gate(x)); }
  V tanh(V x) const noexcept { return SIMDRNN_ISA::tanh(clip_gate(x)); }
  V relu(V x) const noexcept { return SIMDRNN_ISA::relu(clip_gate(x)); }
  V sigmoid_slope(V y) const noexcept {
    return zero_unless_between(sigmoid_low, y, sigmoid_high, SIMDRNN_ISA::sigmoid_slope(y));
  }
  V tanh_slope(V y) const noexcept {
    return zero_unless_between(tanh_low, y, tanh_high, SIMDRNN_ISA::tanh_slope(y));
  }
  V relu_slope(V y) const noexcept {
    return zero_unless_between(minus_gate, y, gate, SIMDRNN_ISA::relu_slope(y));
  }
  V clip_cell(V c) const noexcept { return max(minus_cell, min(cell, c)); }
  V clip_hidden(V h) const noexcept { return max(minus_hidden, min(hidden, h)); }
  V through_cell_clip(V c, V d_c) const noexcept {
    return zero_unless_between(minus_cell, c, cell, d_c);
  }
  V through_hidden_clip(V h, V d_h) const noexcept {
    return zero_unless_between(minus_hidden, h, hidden, d_h);
  }
};

}  // namespace simdrnn::SIMDRNN_ISA
