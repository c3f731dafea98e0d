// The way back through kernels/forward/norm.hpp: from the gradients of a row's pre-activations to
// those of W x and R h, and of the norms' weights. Means and scales are taken again, of what the
// tape has.
//
// A row of d_pre holds, by H values:
//   gates               gradients of W x
//   gates               gradients of R h
//   gates + separate    of the pre-activations
//   the cell's own parameters; the norms' parameters as Norms numbers them
#pragma once
#include "kernels/forward/norm.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class Cell, class V>
class NormalisedGradient {
  using T = typename V::Scalar;
  static constexpr CellInfo kInfo = Cell::info;
  static constexpr int kGates = kInfo.gates, kJoint = kInfo.gates - kInfo.separate;
  static constexpr Index kLanes = V::kLanes;

 public:
  static constexpr int kFirstSum = 2 * kGates;
  static constexpr int kFirstParameter =
      kFirstSum + kGates + kInfo.separate + kInfo.cell_parameters;

  NormalisedGradient(const PassArgs<T>& pass, Index padded, Scratch& scratch) noexcept
      : norms_{pass}, hidden_(pass.hidden_size) {
    if (kInfo.normalise >= 0 && pass.options.norm.on) d_seen_ = scratch.template take<T>(padded);
  }

  // Takes a row: its values on the tape, and its row of d_pre.
  void enter(const T* saved, T* d_pre) noexcept {
    d_pre_ = d_pre;
    x_ = {saved, hidden_, 1};
    h_ = {saved + kGates * hidden_, hidden_, 1};
    if constexpr (kInfo.normalise < 0) return;
    const PassArgs<T>& pass = norms_.pass;
    const Index made = pass.saved_sums + kInfo.saved - 1;
    state_ = saved + (pass.options.norm.carried ? 2 * kGates : made) * hidden_;
    state_moments_ = norms_.of_state(state_);
  }

  // The state of the units from `unit` on, normalised.
  V normalised(Index unit, Index n) const noexcept {
    return fma(norms_.parameter(norms_.kState, unit), normal(unit, n),
               norms_.parameter(norms_.kState + 1, unit));
  }
  // Takes its gradient,
  void keep(Index unit, Index n, V d_seen) noexcept {
    d_seen.store(d_seen_ + unit);
    store_up_to(d_seen, parameter(norms_.kState + 1) + unit, n);
  }
  // and once all units' are there,
  void through_state() noexcept {
    through_norm<V>(gradient({state_, 0, 1}, 1, d_seen_, d_seen_, norms_.kState), state_moments_);
  }
  // gives that of the state before.
  V before(Index unit) const noexcept { return V::load(d_seen_ + unit); }

  // From the gradients of the row's pre-activations to those of its products.
  void through_products() noexcept {
    const T* const d = d_pre_ + kFirstSum * hidden_;
    RowGradient<T> of = gradient(x_, kGates, d, d_pre_, 0);
    through_norm<V>(of, norms_.of_gates(x_));
    of = gradient(h_, kGates, d, d_pre_ + kGates * hidden_, norms_.kRecurrent);
    of.joint = kJoint;  // the recurrent parts of separate gates come behind the gates
    through_norm<V>(of, norms_.of_gates(h_));
  }

 private:
  T* parameter(int which) const noexcept { return d_pre_ + (kFirstParameter + which) * hidden_; }

  V normal(Index unit, Index n) const noexcept {
    return normalise(load_up_to<V>(state_ + unit, n), state_moments_);
  }

  // Of `row`, whose weights are the parameters from `weight` on.
  RowGradient<T> gradient(const GateRow<T>& row, int gates, const T* d, T* d_row,
                          int weight) const noexcept {
    return {.row = row,
            .gates = gates,
            .hidden = hidden_,
            .d = d,
            .joint = gates,
            .skip = kInfo.separate,
            .weight = norms_.parameter(weight),
            .weight_stride = norms_.pass.weights.parameter_stride,
            .d_row = d_row,
            .d_weight = parameter(weight)};
  }

  Norms<Cell, V> norms_;
  Index hidden_;
  T* d_seen_ = nullptr;  // of the normalised state
  T* d_pre_ = nullptr;
  GateRow<T> x_{}, h_{};
  const T* state_ = nullptr;
  Moments<T> state_moments_{};
};

}  // namespace simdrnn::SIMDRNN_ISA
