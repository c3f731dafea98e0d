// Back-propagation through time with layer normalisation: the twin of forward/norm_loop.hpp.
#pragma once
#include "kernels/backward/loop.hpp"
#include "kernels/backward/norm.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class Cell, class V>
class NormalisedBackward final : Backward<Cell, V, WithOptions> {
  using Base = Backward<Cell, V, WithOptions>;
  using T = typename V::Scalar;
  using Row = BackwardRow<T>;
  using Step = typename Base::Step;
  static constexpr CellInfo kInfo = Cell::info;
  using Gradients = Lanes<V, kInfo.gate_count + kInfo.separate + kInfo.cell_parameters>;

 public:
  explicit NormalisedBackward(const BackwardArgs<T>& args) noexcept
      : Base(args), norm_(pass_, Cell::info, a_.padded, scratch_) {}

  using Base::run, Base::scratch_used;

 private:
  using Base::a_, Base::pass_, Base::scratch_, Base::options_;

  void cells(const Row& row, Index r, T* d_h) noexcept override {
    norm_.enter(this->on_tape(row), a_.d_pre + row.number * a_.d_pre_stride);
    if constexpr (kInfo.normalise >= 0) {
      each_vector<V>(0, pass_.hidden_size, [&](Index unit, Index n, auto full) noexcept {
        output<full>(row, r, d_h, unit, n);
      });
      norm_.through_state();
      each_vector<V>(0, pass_.hidden_size, [&](Index unit, Index n, auto full) noexcept {
        update<full>(row, r, d_h, unit, n);
      });
    } else {
      each_vector<V>(0, pass_.hidden_size, [&](Index unit, Index n, auto full) noexcept {
        this->template any_cell<full>(row, r, d_h, unit, n);
      });
    }
    norm_.through_products();
  }

  // Of a cell in halves: back to the normalised state, leaving what is the output gate's in d_pre,
  template <bool kFull>
  [[gnu::always_inline]] void output(const Row& row, Index r, const T* d_h, Index unit,
                                     Index n) noexcept {
    Step s;
    this->template load<kFull>(row, r, d_h, unit, n, s);
    Gradients d_pre;
    const bool carried = pass_.options.norm.carried;
    const V c = s.next[kInfo.normalise], seen = carried ? c : norm_.normalised(unit, n);
    const V d_c = carried ? s.d_next[kInfo.normalise] : V(T(0));
    const V d_seen = Cell::through_hidden(s.saved, seen, s.d_next[0], d_c, options_, d_pre);
    norm_.keep(unit, n, carried ? options_.through_cell_clip(c, d_seen) : d_seen);
    each_of_output([&](int slot) noexcept {
      store_n<kFull>(d_pre[slot], this->d_pre_of(row, slot) + unit, n);
    });
  }

  // and from there to the other gates.
  template <bool kFull>
  [[gnu::always_inline]] void update(const Row& row, Index r, T* d_h, Index unit,
                                     Index n) noexcept {
    Step s;
    this->template load<kFull>(row, r, d_h, unit, n, s);
    Gradients d_pre;
    Lanes<V, kInfo.states> d_state;
    V d_made = norm_.before(unit);
    if (!pass_.options.norm.carried) {
      const V c = s.next[kInfo.normalise];
      d_made = options_.through_cell_clip(c, s.d_next[kInfo.normalise] + d_made);
    }
    each_of_output([&](int slot) noexcept {
      d_pre[slot] = load_n<kFull, V>(this->d_pre_of(row, slot) + unit, n);
    });
    Cell::through_update(s.saved, s.state, d_made, options_, d_pre, d_state);
    this->template store<kFull>(row, d_h, unit, n, s, d_pre, d_state);
  }

  // The slots of d_pre that belong to the output gate: its own, and that of its parameter, the last
  // of a cell's.
  template <class Act>
  [[gnu::always_inline]] static void each_of_output(Act act) noexcept {
    act(Cell::kOutput);
    if constexpr (kInfo.cell_parameters > 0)
      act(kInfo.gate_count + kInfo.separate + kInfo.cell_parameters - 1);
  }

  NormalisedGradient<V> norm_;
};

}  // namespace simdrnn::SIMDRNN_ISA
