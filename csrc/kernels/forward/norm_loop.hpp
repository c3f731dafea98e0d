// The forward time loop with layer normalisation: at each step the whole products first, then row
// by row the cells. Threads do not share a row: its means need all of it.
#pragma once
#include "kernels/forward/loop.hpp"
#include "kernels/forward/norm.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class Cell, class V>
class NormalisedForward final : Forward<Cell, V, WithOptions> {
  using Base = Forward<Cell, V, WithOptions>;
  using T = typename V::Scalar;
  static constexpr CellInfo kInfo = Cell::info;

 public:
  explicit NormalisedForward(const ForwardArgs<T>& args) noexcept
      : Base(args), norm_(pass_, Cell::info, a_.padded, scratch_) {}

  using Base::run, Base::scratch_used;

 private:
  using Base::a_, Base::pass_, Base::scratch_, Base::t_, Base::options_;
  using Norm = NormalisedGates<Cell, V>;

  void take_step(Index n) noexcept override {
    if (this->by_gate()) {
      norm_.multiply_by_gate(this->seen_rows(), n, a_.padded);
    } else {
      norm_.multiply(this->seen_rows(), n, n <= kTileRows && (t_ + pass_.turn) % 2 != 0);
    }
    for (Index r = 0; r < n; ++r) row(r);
  }

  void row(Index r) noexcept {
    const Index at = this->hoisted_row_ + r;
    norm_.enter(r, this->hoisted_[0] + at * this->hoisted_stride_[0],
                a_.saved == nullptr ? nullptr : this->on_tape(r));
    const Index hidden = pass_.hidden_size;
    if constexpr (kInfo.normalise >= 0) {
      each_vector<V>(0, hidden,
                     [&](Index unit, Index n, auto full) noexcept { update<full>(r, unit, n); });
      norm_.enter_state();
      each_vector<V>(0, hidden,
                     [&](Index unit, Index n, auto full) noexcept { output<full>(r, unit, n); });
    } else {
      each_vector<V>(0, hidden,
                     [&](Index unit, Index n, auto full) noexcept { cell<full>(r, unit, n); });
    }
  }

  // A whole cell.
  template <bool kFull>
  [[gnu::always_inline]] void cell(Index row, Index unit, Index n) noexcept {
    constexpr int kSlots = Phase<Cell, 0>::kSlots;
    alignas(64) T tile[kSlots * V::kLanes];
    typename Norm::Pre pre;
    norm_.template pre<kFull>(unit, n, true, pre);
    for (int slot = 0; slot < kSlots; ++slot) pre[slot].store(tile + slot * V::kLanes);
    Base::template cell<0, kFull>(row, unit, n, tile);
  }

  // What the equations of one in halves take.
  struct Step {
    typename Norm::Pre pre;
    Lanes<V, kInfo.states> state, next;
    Lanes<V, kInfo.saved> saved;
  };

  template <bool kFull>
  [[gnu::always_inline]] void load(Index row, Index unit, Index n, bool keep, Step& s) noexcept {
    norm_.template pre<kFull>(unit, n, keep, s.pre);
    load_parameters(pass_.weights, kInfo.cell_parameters, unit, s.pre, Phase<Cell, 0>::kSlots);
    this->template enter<kFull>(row, unit, n, s.state);
  }

  // First what makes the state that is normalised,
  template <bool kFull>
  [[gnu::always_inline]] void update(Index row, Index unit, Index n) noexcept {
    Step s;
    load<kFull>(row, unit, n, true, s);
    V made = Cell::update(s.pre, s.state, options_, s.saved);
    if (!pass_.options.norm.carried) made = options_.clip_cell(made);
    norm_.template keep<kFull>(unit, n, made, s.saved);
  }

  // then what is made of it.
  template <bool kFull>
  [[gnu::always_inline]] void output(Index row, Index unit, Index n) noexcept {
    Step s;
    load<kFull>(row, unit, n, false, s);
    V carried = norm_.kept(unit, s.saved), seen = norm_.normalised(unit);
    if (pass_.options.norm.carried) carried = seen = options_.clip_cell(seen);
    s.next[0] = Cell::hidden(s.pre, seen, options_, s.saved);
    s.next[kInfo.normalise] = s.saved[kInfo.saved - 1] = carried;
    this->template leave<kFull>(row, unit, n, s.state, s.next, s.saved);
  }

  Norm norm_;
};

}  // namespace simdrnn::SIMDRNN_ISA
