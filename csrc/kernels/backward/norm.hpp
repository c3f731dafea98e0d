// The way back through kernels/forward/norm.hpp: from the gradients of a row's pre-activations to
// those of W x and R h, and of the norms' weights. Means and scales are taken again, of what the
// tape has.
#pragma once
#include "kernels/forward/norm.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class V>
class NormalisedGradient {
  using T = typename V::Scalar;

 public:
  [[gnu::noinline]] NormalisedGradient(const PassArgs<T>& pass, const CellInfo& info, Index padded,
                                       Scratch& scratch) noexcept
      : norms_(pass, info), info_(info), hidden_(pass.hidden_size) {
    if (info.normalise >= 0 && pass.options.norm.on) d_seen_ = scratch.template take<T>(padded);
  }

  // Takes a row: its values on the tape, and its row of d_pre.
  [[gnu::noinline]] void enter(const T* saved, T* d_pre) noexcept {
    d_pre_ = d_pre;
    x_ = {saved, hidden_, 1};
    h_ = {saved + norms_.pass.layout.saved.of_h * hidden_, hidden_, 1};
    if (info_.normalise < 0) return;
    const PassArgs<T>& pass = norms_.pass;
    const SavedLayout& layout = pass.layout.saved;
    const Index made = layout.cell + info_.saved - 1;
    state_ = saved + (pass.options.norm.carried ? layout.state : made) * hidden_;
    state_moments_ = norms_.of_state(state_);
  }

  // The state of the units from `unit` on, normalised.
  V normalised(Index unit, Index n) const noexcept {
    return fma(norms_.parameter(norms_.state(), unit), normal(unit, n),
               norms_.parameter(norms_.state() + 1, unit));
  }
  // Takes its gradient,
  void keep(Index unit, Index n, V d_seen) noexcept {
    d_seen.store(d_seen_ + unit);
    store_up_to(d_seen, parameter(norms_.state() + 1) + unit, n);
  }
  // and once all units' are there,
  [[gnu::noinline]] void through_state() noexcept {
    through_norm<V>(gradient({state_, 0, 1}, 1, d_seen_, d_seen_, norms_.state()), state_moments_);
  }
  // gives that of the state before.
  V before(Index unit) const noexcept { return V::load(d_seen_ + unit); }

  // From the gradients of the row's pre-activations to those of its products.
  [[gnu::noinline]] void through_products() noexcept {
    const GradientLayout& layout = norms_.pass.layout.gradient;
    const T* const d = d_pre_ + layout.pre * hidden_;
    RowGradient<T> of = gradient(x_, norms_.gates, d, d_pre_, 0);
    through_norm<V>(of, norms_.of_gates(x_));
    of = gradient(h_, norms_.gates, d, d_pre_ + layout.of_h * hidden_, norms_.recurrent());
    // The recurrent parts of separate gates come behind the gates.
    of.joint = norms_.gates - info_.separate;
    through_norm<V>(of, norms_.of_gates(h_));
  }

 private:
  // Where the gradient of a norms' parameter is in the row.
  T* parameter(int which) const noexcept {
    return d_pre_ + (norms_.pass.layout.gradient.norm + which) * hidden_;
  }

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
            .skip = info_.separate,
            .weight = norms_.parameter(weight),
            .weight_stride = norms_.stride,
            .d_row = d_row,
            .d_weight = parameter(weight)};
  }

  Norms<V> norms_;
  const CellInfo& info_;
  Index hidden_;
  T* d_seen_ = nullptr;  // of the normalised state
  T* d_pre_ = nullptr;
  GateRow<T> x_{}, h_{};
  const T* state_ = nullptr;
  Moments<T> state_moments_{};
};

}  // namespace simdrnn::SIMDRNN_ISA
