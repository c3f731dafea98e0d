// All options of a step that act unit by unit, read at run time: the twin of
// kernels/options/plain.hpp.
//
//   activations        any gate's, by name: kernels/simd/activations.hpp
//   gate_clip          the argument of an activation is clipped to +-value (ONNX `clip`)
//   cell_clip          c is clipped after its update; what is carried and squashed is the clipped c
//   hidden_clip        h is clipped after its update
//   candidate_dropout  the candidate is dropped on its way into the state, anew at every step:
//                      Semeniuta et al. 2016, arXiv:1603.05118
//   zoneout            units keep their old state at random, at inference on average: Krueger et
//                      al. 2016, arXiv:1606.01305. h is made of the new c, not of the kept one.
//   state_noise        Gaussian noise on a state that leaks with rate a, sqrt(2 a) times its
//                      deviation, anew at every step: Song et al. 2016, PLoS Comput. Biol. 12(2)
//
// Derivatives are the true ones, 0 where a clip is reached. A slope is a function of the
// activation's value y alone: its argument was clipped where y is the activation of a bound.
// (Arguments within rounding of the bound may share that value; their slope is 0 too.)
#pragma once
#include "kernels/options/plain.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class V>
class Optioned {
  using T = typename V::Scalar;

 public:
  [[gnu::noinline]] explicit Optioned(const CellOptions<T>& options) noexcept
      : options_(options),
        gate_(options.limits.gate),
        minus_gate_(-options.limits.gate),
        cell_(options.limits.cell),
        minus_cell_(-options.limits.cell),
        hidden_(options.limits.hidden),
        minus_hidden_(-options.limits.hidden),
        candidate_(T(1)),
        noise_(T(0)) {
    const bool clips = options.limits.gate < T(__builtin_inf());
    for (int slot = 0; slot < kMaxActivations; ++slot) {
      const T none = T(__builtin_nan(""));  // no comparison with it is true
      V at_low(none), at_high(none);
      if (clips) {
        at_low = activate(options.activations[slot], minus_gate_);
        at_high = activate(options.activations[slot], gate_);
      }
      T bounds[2 * V::kLanes];
      min(at_low, at_high).store(bounds);  // an affine activation may fall
      max(at_low, at_high).store(bounds + V::kLanes);
      low_[slot] = bounds[0];
      high_[slot] = bounds[V::kLanes];
    }
    for (int k = 0; k < kMaxStates; ++k) update_[k] = V(T(1) - options.zoneout[k].probability);
  }

  V operator()(V x, int gate) const noexcept {
    return activate(options_.activations[gate], max(minus_gate_, min(gate_, x)));
  }
  Gated<V> gated(V x, int gate, V y, int candidate) const noexcept {
    return gated_squash(x, gate, max(minus_gate_, min(gate_, y)), candidate);
  }
  Gated<V> gated_squash(V x, int gate, V c, int slot) const noexcept {
    return activate_both(options_.activations[gate], max(minus_gate_, min(gate_, x)),
                         options_.activations[slot], c);
  }
  V slope(V y, int gate) const noexcept {
    return zero_unless_between(V(low_[gate]), y, V(high_[gate]),
                               SIMDRNN_ISA::slope(options_.activations[gate], y));
  }
  V squash(V c, int slot) const noexcept { return activate(options_.activations[slot], c); }
  V squash_slope(V y, int slot) const noexcept {
    return SIMDRNN_ISA::slope(options_.activations[slot], y);
  }
  V drop(V candidate) const noexcept { return candidate * candidate_; }
  // A state behind its update, with the step's noise. `leak`: the drive's share in the update.
  V noisy(V state, V leak) const noexcept {
    return noisy_ ? fma(sqrt(leak + leak), noise_, state) : state;
  }
  // The derivative of what is added to it for its leak.
  V noise_slope(V leak) const noexcept { return noisy_ ? noise_ / sqrt(leak + leak) : V(T(0)); }
  V clip_cell(V c) const noexcept { return max(minus_cell_, min(cell_, c)); }
  V through_cell_clip(V c, V d_c) const noexcept {
    return zero_unless_between(minus_cell_, c, cell_, d_c);
  }

  // The random multipliers of the vector at hand (kernels/options/noise.hpp), or null: none were
  // drawn.
  void enter(const T* noise, Index stride) noexcept {
    if (noise == nullptr) return;
    candidate_ = V::load(noise);
    noisy_ = options_.state_noise > T(0);
    if (noisy_) noise_ = V::load(noise + stride);
    for (int k = 0; k < kMaxStates; ++k) {
      if (options_.zoneout[k].on) update_[k] = V::load(noise + (k + kRowsBeforeStates) * stride);
    }
  }

  template <int kStates>
  V finish(const Lanes<V, kStates>& state, Lanes<V, kStates>& next) const noexcept {
    const V h = next[0] = max(minus_hidden_, min(hidden_, next[0]));
    for (int k = 0; k < kStates; ++k) {
      if (!options_.zoneout[k].on) continue;
      next[k] = fma(update_[k], next[k], (V(T(1)) - update_[k]) * state[k]);
    }
    return h;
  }

  // `h` is what `finish` returned.
  template <int kStates>
  void begin_backward(V h, Lanes<V, kStates>& d_next, Lanes<V, kStates>& past) const noexcept {
    for (int k = 0; k < kStates; ++k) {
      past[k] = (V(T(1)) - update_[k]) * d_next[k];
      d_next[k] = update_[k] * d_next[k];
    }
    d_next[0] = zero_unless_between(minus_hidden_, h, hidden_, d_next[0]);
  }
  template <int kStates>
  void finish_backward(const Lanes<V, kStates>& past, Lanes<V, kStates>& d_state) const noexcept {
    for (int k = 0; k < kStates; ++k) {
      if (options_.zoneout[k].on) d_state[k] = d_state[k] + past[k];
    }
  }

 private:
  const CellOptions<T>& options_;
  V gate_, minus_gate_, cell_, minus_cell_, hidden_, minus_hidden_;
  V candidate_;             // multiplies the candidate
  V noise_;                 // on the state: its deviation times a standard normal number
  bool noisy_ = false;      // whether any was drawn
  V update_[kMaxStates];    // the new state's share
  T low_[kMaxActivations];  // the activations' values at the clip's bounds
  T high_[kMaxActivations];
};

struct WithOptions {
  static constexpr bool kActs = true;
  template <class Cell, class V>
  using Of = Optioned<V>;
};

}  // namespace simdrnn::SIMDRNN_ISA
