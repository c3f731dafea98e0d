// Back-propagation through time: the twin of forward/loop.hpp.
//
// A call walks a range of steps backwards for the rows of one thread, or of a gang that shares the
// hidden units. It leaves the gradients of the pre-activations in d_pre, one row per real step, and
// where that row's x and h_{t-1} are in x_rows and h_rows: the weight gradients are then one
// product over all threads' rows (kernels/gemm/outer.hpp, engine/weight_gradients.hpp).
#pragma once
#include "abi/args.hpp"
#include "kernels/backward/rows.hpp"
#include "kernels/gemm/rows.hpp"
#include "kernels/options/optioned.hpp"
#include "kernels/simd/lanes.hpp"
#include "kernels/simd/partial.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class Cell, class V, class Options>
class Backward : protected BackwardRows<V> {
  using Rows = BackwardRows<V>;
  using T = typename V::Scalar;
  using Row = BackwardRow<T>;
  static constexpr CellInfo kInfo = Cell::info;
  static constexpr Index kLanes = V::kLanes;
  static constexpr bool kTwoPhases = kInfo.phases == 2;
  static constexpr int kSlots = kInfo.gate_count + kInfo.separate;
  static constexpr int kSeeing = recurrent_gates(kInfo);  // gates that see h
  // The first gate's gradient waits for that of the operand, unless there is a part of it already.
  static constexpr int kFirstKnown = kTwoPhases && !kInfo.second_sees_h ? 1 : 0;
  // What the cell gets beside pre-activations, and what leaves beside their gradients.
  static constexpr int kGiven = kInfo.cell_parameters + kInfo.attention;
  using Saved = Lanes<V, kInfo.saved + kGiven>;

 public:
  explicit Backward(const BackwardArgs<T>& args) noexcept
      : Rows(args, Cell::info, Options::kActs), options_(pass_.options) {
    if constexpr (kTwoPhases) {
      second_gate_rows_ = scratch_.template take<const T*>(pass_.count);
      d_operand_rows_ = scratch_.template take<T*>(pass_.count);
    }
  }

  Index scratch_used() const noexcept { return scratch_.used(); }

  [[gnu::noinline]] void run() noexcept {
    dropout_.start(pass_);
    for (Index step = a_.end - 1; step >= a_.begin; --step) {
      const Index n = list_rows(step);
      if (n > 0) {
        through_cells(n);
        meet(a_.gang);
        if constexpr (kTwoPhases) {
          through_operand(n);
          meet(a_.gang);
        }
        this->begin_input();
        through_h(n);
      }
      this->leave_fresh();
    }
    if (a_.d_x.data != nullptr) this->through_input();
  }

 protected:
  using Rows::a_, Rows::pass_, Rows::scratch_;
  using Rows::noise_, Rows::dropout_, Rows::projection_, Rows::recurrent_;
  using Rows::rows_, Rows::units_, Rows::of_h_, Rows::t_;

  [[gnu::always_inline]] Index list_rows(Index step) noexcept {
    if constexpr (Options::kActs) return this->begin_step(step);
    return Rows::list_rows(step, Cell::info);
  }

  [[gnu::always_inline]] void through_h(Index n) noexcept {
    if constexpr (Options::kActs) {
      recurrent_.run(t_, n, rows_, of_h_, this->beside());
    } else {
      recurrent_.through(t_, n, rows_, of_h_, this->beside(), Cell::info, false);
    }
  }

  void through_cells(Index n) noexcept {
    for (Index r = 0; r < n; ++r) {
      this->enter(rows_[r], r);
      if (!projects()) any_cells(rows_[r], r, a_.d_state[0] + rows_[r].i * a_.padded);
    }
    if (!projects()) return;
    this->through_projection(n);
    for (Index r = 0; r < n; ++r) any_cells(rows_[r], r, projection_.made(r));
  }

  // The cells of the step's r-th row, whose gradient of h is in d_h. Layer normalisation has
  // others: see backward/norm_loop.hpp.
  virtual void cells(const Row& row, Index r, T* d_h) noexcept { plain_cells(row, r, d_h); }

  [[gnu::always_inline]] void any_cells(const Row& row, Index r, T* d_h) noexcept {
    if constexpr (Options::kActs) {
      cells(row, r, d_h);
    } else {
      plain_cells(row, r, d_h);
    }
  }

  [[gnu::always_inline]] void plain_cells(const Row& row, Index r, T* d_h) noexcept {
    Index unit = units_.begin;
    for (; unit + kLanes <= units_.end; unit += kLanes) any_cell<true>(row, r, d_h, unit, kLanes);
    if constexpr (kLanes > 1) {
      if (unit < units_.end) any_cell<false>(row, r, d_h, unit, units_.end - unit);
    }
  }

  // Whether h is projected. What arrives at h is then not the cell's.
  bool projects() const noexcept {
    if constexpr (Options::kActs && kInfo.projects) return projection_.on();
    return false;
  }

  // The saved values, and behind them the cell's own parameters and attention.
  template <bool kFull>
  [[gnu::always_inline]] const T* load_saved(const Row& row, Index unit, Index n,
                                             Saved& saved) noexcept {
    const Index hidden = pass_.hidden_size;
    const T* p = this->on_tape(row) + unit;
    if constexpr (Options::kActs) p += pass_.layout.saved.cell * hidden;
    for (int k = 0; k < kInfo.saved; ++k, p += hidden) saved[k] = load_n<kFull, V>(p, n);
    load_parameters(pass_.weights, kInfo.cell_parameters, unit, saved, kInfo.saved);
    if constexpr (kInfo.attention) {
      saved[kInfo.saved + kInfo.cell_parameters] = attention<V>(pass_, t_, row.b);
    }
    return p;
  }

  // What a cell's equations take on the way back.
  struct Step {
    Saved saved;
    Lanes<V, kInfo.states> state, next, d_next, past;
  };

  template <bool kFull>
  [[gnu::always_inline]] void load(const Row& row, Index r, const T* d_h, Index unit, Index n,
                                   Step& s) noexcept {
    const T* h = load_saved<kFull>(row, unit, n, s.saved);
    if (!Options::kActs || !pass_.layout.saved.keeps_carried) h = row_at(a_.y, t_, row.b) + unit;
    const bool own = !projects();  // whether the cell's h is the one that is carried
    s.state[0] = own ? load_n<kFull, V>(row.state[0] + unit, n) : V(T(0));
    for (int k = 1; k < kInfo.states; ++k) s.state[k] = load_n<kFull, V>(row.state[k] + unit, n);
    s.next[0] = own ? load_n<kFull, V>(h, n) : V(T(0));
    for (int k = 1; k < kInfo.states; ++k) s.next[k] = s.saved[kInfo.saved - kInfo.states + k];
    s.d_next[0] = V::load(d_h + unit);
    if (own && a_.d_y.data != nullptr)
      s.d_next[0] = s.d_next[0] + load_n<kFull, V>(row_at(a_.d_y, t_, row.b) + unit, n);
    for (int k = 1; k < kInfo.states; ++k) {
      s.d_next[k] = V::load(a_.d_state[k] + row.i * a_.padded + unit);
    }
    if constexpr (Options::kActs) options_.enter(noise_.row(r, unit), noise_.stride());
    options_.template begin_backward<kInfo.states>(s.next[0], s.d_next, s.past);
  }

  template <bool kFull>
  [[gnu::always_inline]] void store(const Row& row, T* d_h, Index unit, Index n, const Step& s,
                                    const Lanes<V, kSlots + kGiven>& d_pre,
                                    Lanes<V, kInfo.states>& d_state) noexcept {
    options_.template finish_backward<kInfo.states>(s.past, d_state);
    if (!projects()) d_state[0].store(d_h + unit);
    for (int k = 1; k < kInfo.states; ++k) {
      d_state[k].store(a_.d_state[k] + row.i * a_.padded + unit);
    }
    for (int g = kFirstKnown; g < kSlots + kGiven; ++g) {
      store_n<kFull>(d_pre[g], d_pre_of(row, g) + unit, n);
    }
  }

  // Where a slot of the cell's gradients is in a row of d_pre.
  T* d_pre_of(const Row& row, int slot) const noexcept {
    T* const to = a_.d_pre + row.number * a_.d_pre_stride + slot * pass_.hidden_size;
    if constexpr (Options::kActs) return to + pass_.layout.gradient.pre * pass_.hidden_size;
    return to;
  }

  // With options a call: their code is long, and layer normalisation's loop uses it too.
  template <bool kFull>
  [[gnu::always_inline]] void any_cell(const Row& row, Index r, T* d_h, Index unit,
                                       Index n) noexcept {
    if constexpr (Options::kActs) {
      called_cell<kFull>(row, r, d_h, unit, n);
    } else {
      cell<kFull>(row, r, d_h, unit, n);
    }
  }
  template <bool kFull>
  [[gnu::noinline]] void called_cell(const Row& row, Index r, T* d_h, Index unit,
                                     Index n) noexcept {
    cell<kFull>(row, r, d_h, unit, n);
  }

  template <bool kFull>
  [[gnu::always_inline]] void cell(const Row& row, Index r, T* d_h, Index unit, Index n) noexcept {
    Step s;
    load<kFull>(row, r, d_h, unit, n, s);
    Lanes<V, kSlots + kGiven> d_pre;
    Lanes<V, kInfo.states> d_state;
    Cell::backward(s.saved, s.state, s.next, s.d_next, options_, d_pre, d_state);
    store<kFull>(row, d_h, unit, n, s, d_pre, d_state);
    if constexpr (kInfo.projects) {
      if (!projects()) return;
      const V made = Cell::output(s.saved, options_);
      store_n<kFull>(made, a_.operand + row.number * pass_.hidden_size + unit, n);
    }
  }

  // The second phase's product back to its operand, and from there into d_pre of the first gate and
  // h.
  void through_operand(Index n) noexcept {
    const Index hidden = pass_.hidden_size;
    ProductArgs<T> p{};
    for (Index r = 0; r < n; ++r) {
      second_gate_rows_[r] =
          a_.d_pre + rows_[r].number * a_.d_pre_stride + pass_.layout.gradient.of_h_apart * hidden;
      d_operand_rows_[r] = a_.d_operand + r * a_.padded;
    }
    p.rows = n;
    p.width = hidden;
    p.begin = units_.begin;
    p.end = units_.end;
    p.h_depth = kInfo.second_gates * hidden;
    p.x_rows = p.h_rows = second_gate_rows_;
    p.x_panels = p.h_panels = pass_.weights.h_transposed[1];
    p.tile_vectors = kTileVectors;
    p.out = d_operand_rows_;
    multiply_rows<V>(p);
    for (Index r = 0; r < n; ++r) {
      each_vector<V>(units_.begin, units_.end, [&](Index unit, Index count, auto full) noexcept {
        operand<full>(rows_[r], r, unit, count);
      });
    }
  }

  template <bool kFull>
  [[gnu::always_inline]] void operand(const Row& row, Index r, Index unit, Index n) noexcept {
    if constexpr (kTwoPhases) {
      Saved saved;
      load_saved<kFull>(row, unit, n, saved);
      Lanes<V, kInfo.states> state;
      // Of gates that see an h each, the operand is made of the last one's.
      const Index own = dropout_.by_gate() ? (kSeeing - 1) * pass_.hidden_size : 0;
      state[0] = load_n<kFull, V>(row.seen_h + own + unit, n);
      for (int k = 1; k < kInfo.states; ++k) state[k] = load_n<kFull, V>(row.state[k] + unit, n);
      T* const d_first = a_.d_pre + row.number * a_.d_pre_stride + unit;
      V d_pre, value;
      if constexpr (kFirstKnown == 0) d_pre = load_n<kFull, V>(d_first, n);
      T* const d_h = a_.d_state[0] + row.i * a_.padded + unit;
      const V d_operand = V::load(a_.d_operand + r * a_.padded + unit);
      V d_seen = Cell::operand_backward(saved, state, d_operand, options_, d_pre, value);
      if constexpr (Options::kActs) {
        if (dropout_.on()) d_seen = d_seen * V::load(dropout_.mask(row.i, kSeeing - 1) + unit);
      }
      (V::load(d_h) + d_seen).store(d_h);
      store_n<kFull>(d_pre, d_first, n);
      store_n<kFull>(value, a_.operand + row.number * pass_.hidden_size + unit, n);
    }
  }

  typename Options::template Of<Cell, V> options_;
  const T** second_gate_rows_ = nullptr;  // gradients of the second phase's gate
  T** d_operand_rows_ = nullptr;
};

}  // namespace simdrnn::SIMDRNN_ISA
