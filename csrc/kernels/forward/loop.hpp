// The forward time loop, by cell, options and vector type.
//
// One thread, or a gang that shares the tiles, runs all steps of its rows: per step, for each tile
// of hidden units, for each block of rows, the register tile forms the pre-activations and the cell
// consumes them while they are in the first-level cache.
#pragma once
#include "abi/args.hpp"
#include "kernels/forward/rows.hpp"
#include "kernels/forward/unit_vectors.hpp"
#include "kernels/gemm/beside.hpp"
#include "kernels/gemm/rows.hpp"
#include "kernels/options/optioned.hpp"
#include "kernels/simd/lanes.hpp"
#include "kernels/simd/partial.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class Cell, class V, class Options>
class Forward : protected ForwardRows<V> {
  using Rows = ForwardRows<V>;
  using T = typename V::Scalar;
  static constexpr CellInfo kInfo = Cell::info;
  static constexpr Index kLanes = V::kLanes;
  static constexpr int kSeeing = recurrent_gates(kInfo);  // gates that see h
  static constexpr bool kTwoPhases = kInfo.phases == 2;
  static constexpr int kFirstGates = kInfo.gate_count - kInfo.second_gates;  // of the first phase
  // Whether one row's sums can stay in registers until the cell takes them, and then the input
  // products of the steps to come be formed beside them.
  static constexpr bool kInRegisters = !Options::kActs && !kTwoPhases && kManyRegisters;
  // Their first inputs have no step to be formed beside. In so many steps of an LSTM whose x is as
  // wide as h those of the next kBesideRows are made.
  static constexpr Index kStepsAlone = 8;

 public:
  explicit Forward(const ForwardArgs<T>& args) noexcept
      : Rows(args, Cell::info, UnitVectors<Cell, V>(args.pass).count(), Truth<Options::kActs>{}),
        vectors_(pass_),
        options_(pass_.options),
        heads_(pass_, scratch_) {
    if constexpr (kTwoPhases) operand_rows_ = scratch_.template take<const T*>(pass_.count);
    if constexpr (kInRegisters) {
      if (a_.overlap) inputs_ = scratch_.template take<T>(beside_.buffer_size(pass_.input_size));
    }
  }

  Index scratch_used() const noexcept { return scratch_.used(); }

  [[gnu::noinline]] void run() noexcept {
    dropout_.start(pass_);
    if constexpr (kInRegisters) {
      if (a_.overlap) return run_overlapped();
    }
    const Index chunk = a_.hoist_steps > 0 ? a_.hoist_steps : 1;
    for (Index s = a_.begin; s < a_.end; s += chunk) {
      const Index end = s + chunk < a_.end ? s + chunk : a_.end;
      if (a_.hoist_steps > 0) this->hoist(s, end, 0);
      hoisted_row_ = 0;
      for (Index step = s; step < end; ++step) {
        this->end_step(step_of_all(step));
      }
    }
  }

 protected:
  using Rows::a_, Rows::pass_, Rows::scratch_;
  using Rows::hoisted_, Rows::hoisted_stride_, Rows::hoisted_row_;
  using Rows::noise_, Rows::dropout_, Rows::projection_, Rows::dropped_rows_;
  using Rows::x_rows_, Rows::h_rows_, Rows::slots_, Rows::state_rows_, Rows::t_;

  // The same with the inputs of a few steps made beside the steps before them.
  [[gnu::noinline]] void run_overlapped() noexcept {
    Index end = a_.begin + kStepsAlone < a_.end ? a_.begin + kStepsAlone : a_.end;
    this->hoist(a_.begin, end, 0);
    Index row = 0, next_row = kBesideRows;  // of the hoisted ones
    for (Index s = a_.begin, next; s < a_.end; s = end, end = next) {
      // What is left is cut evenly: few rows would take as much room as many.
      const Index left = a_.end - end, chunks = ceil_div(left, kBesideRows);
      next = chunks > 0 ? end + ceil_div(left, chunks) : end;
      beside_.begin(this->hoisted_product(0, this->list_inputs(end, next), next_row), inputs_);
      hoisted_row_ = row;
      for (Index step = s; step < end; ++step) this->end_step(step_of_all(step));
      beside_.finish();
      const Index made = next_row;
      next_row = row;
      row = made;
    }
  }

  // Takes a step; returns how many rows did.
  [[gnu::always_inline]] Index step_of_all(Index step) noexcept {
    if constexpr (Options::kActs) {
      const Index n = this->begin_step(step);
      if (n == 0) return 0;
      prepare(n);
      take_step(n);
      return n;
    } else {
      const Index n = this->list_rows(step, kInfo.states);
      if (n > 0) products_and_cells(n);
      return n;
    }
  }

  // A step of n real rows. Layer normalisation has another: forward/norm_loop.hpp.
  virtual void take_step(Index n) noexcept { products_and_cells(n); }

  [[gnu::always_inline]] void products_and_cells(Index n) noexcept {
    heads_.find(n, seen_rows());
    phase<0>(n);
    if constexpr (kTwoPhases) phase<1>(n);
    if (projects()) projection_.run(t_, n, slots_, h_rows_);
  }

  // Draws what is random about the step, and drops h for the recurrent product.
  void prepare(Index n) noexcept {
    constexpr Index kUnits = Phase<Cell, kInfo.phases - 1>::kUnitVectors;
    const Index all = vectors_.count();
    const Share share = share_of(a_.gang, ceil_div(all, kUnits));
    const Index end = share.end * kUnits < all ? share.end * kUnits : all;
    this->draw(n, vectors_.first(share.begin * kUnits), vectors_.first(end));
  }

  template <int kPhase>
  void phase(Index n) noexcept {
    using P = Phase<Cell, kPhase>;
    if constexpr (kPhase == 1) {
      for (Index r = 0; r < n; ++r) operand_rows_[r] = a_.operand + r * a_.padded;
    }
    const Index all = vectors_.count();
    const Share share = share_of(a_.gang, ceil_div(all, P::kUnitVectors));
    const Index begin = share.begin * P::kUnitVectors;
    const Index end = share.end * P::kUnitVectors < all ? share.end * P::kUnitVectors : all;
    // Every other step goes backwards through the tiles: of weights that do not fit a cache, those
    // used last are then still there.
    constexpr Index kTile = P::kUnitVectors, kWide = kWideTiles * kTile;
    const bool lone = n == 1 && !by_gate();
    const Index width = lone ? kWide : kTile;
    // Divided by constants: a division by a variable is felt at H = 16.
    const Index count = lone ? ceil_div(end - begin, kWide) : ceil_div(end - begin, kTile);
    for (Index j = 0; j < count; ++j) {
      const Index first =
          begin + (n > kTileRows || (t_ + pass_.turn) % 2 == 0 ? j : count - 1 - j) * width;
      const Index last = first + width < end ? first + width : end;
      const bool wide =
          lone && last - first == width && vectors_.head_of(first) == vectors_.head_of(last - 1);
      const Index step = wide ? kWide : kTile;
      for (Index q = first; q < last; q += step) {
        tiles<kPhase>(q, q + step < last ? q + step : last, wide, n);
      }
    }
    meet(a_.gang);
  }

  // One tile, the unit vectors [q, end), of all rows of the step; `wide`: kWideTiles neighbours.
  template <int kPhase>
  [[gnu::always_inline]] void tiles(Index q, Index end, bool wide, Index n) noexcept {
    using P = Phase<Cell, kPhase>;
    alignas(64) T out[kTileBuffer<V>];
    const bool hoisted = a_.hoist_steps > 0 && !P::kSeesHidden;
    const Index first = q * P::kGates * kLanes;
    TileArgs<T> t{};
    t.h_depth = P::kRecurrent > 0 ? heads_.depth() : 0;
    t.h_panel = pass_.weights.h[kPhase] + q * P::kRecurrent * kLanes * t.h_depth;
    t.init_separate = pass_.weights.bias_separate + q * P::kSeparate * kLanes;
    t.gate_stride = a_.padded;
    t.panel_stride = (wide ? P::kUnitVectors : end - q) * P::kGates * kLanes;
    if (hoisted) {
      t.init_stride = hoisted_stride_[kPhase];
    } else {
      t.x_depth = P::kSeesHidden ? pass_.hidden_size : pass_.input_size;
      t.x_panel = pass_.weights.x[kPhase] + first * t.x_depth;
      t.init = pass_.weights.bias[kPhase] + first;
    }
    const T* const* const x_rows = P::kSeesHidden ? seen_rows() : x_rows_;
    const T* const* const h_rows =
        kPhase == 1 ? operand_rows_ : heads_.rows(vectors_.head_of(q), seen_rows());
    RowBlocks blocks(n);
    for (Index row = 0; row < n;) {
      const Index rows = blocks.next();
      t.x_rows = x_rows + row;
      t.h_rows = h_rows + row;
      if (hoisted) {
        t.init = hoisted_[kPhase] + (hoisted_row_ + row) * hoisted_stride_[kPhase] + first;
      }
      if constexpr (kInRegisters) {
        if (n == 1 && in_registers<kPhase>(q, end, wide, t)) return;
      }
      tile_of<kPhase>(wide ? P::kUnitVectors : end - q, rows, wide)(t, out);
      epilogue<kPhase>(q, end - q, row, rows, out);
      row += rows;
    }
  }

  // One row's sums from registers into the cell, where all of the tile's vectors are full; false,
  // and nothing done, where one is not.
  template <int kPhase>
  [[gnu::always_inline]] bool in_registers(Index q, Index end, bool wide,
                                           const TileArgs<T>& t) noexcept {
    if (kLanes > 1 && vectors_.left(end - 1) < kLanes) return false;
    if (wide) {
      in_registers<kPhase, kWideTiles>(q, t);
    } else if (end - q == Phase<Cell, kPhase>::kUnitVectors) {
      in_registers<kPhase, 1>(q, t);
    } else {
      return false;
    }
    return true;
  }
  template <int kPhase, int J>
  [[gnu::noinline]] void in_registers(Index q, const TileArgs<T>& t) noexcept {
    using P = Phase<Cell, kPhase>;
    constexpr int kVectors = P::kUnitVectors * P::kGates;
    constexpr int kApart = P::kUneven ? P::kSeparate : 0;
    constexpr int kInputOnly = P::kUneven ? P::kInputOnly : 0;
    V sums[J][1][kVectors + kApart];
    if (a_.overlap) {
      sum_up_beside<kVectors, kApart, kInputOnly>(t, sums, beside_);
    } else {
      sum_up<kVectors, kApart, kInputOnly>(t, sums);
    }
#pragma GCC unroll 8
    for (int u = 0; u < J * P::kUnitVectors; ++u) {
      Pre<kPhase> pre;
#pragma GCC unroll 8
      for (int g = 0; g < P::kSlots; ++g) {
        pre[g] = sums[u / P::kUnitVectors][0][u % P::kUnitVectors * P::kSlots + g];
      }
      cell<kPhase, true>(0, vectors_.first(q + u), kLanes, pre);
    }
  }

  // Whether h is projected. The cell then neither reads nor writes the h that is carried.
  bool projects() const noexcept {
    if constexpr (Options::kActs && kInfo.projects) return projection_.on();
    return false;
  }

  // h_{t-1} as the recurrent product sees it.
  const T* const* seen_rows() const noexcept {
    if constexpr (Options::kActs) return dropout_.on() ? dropped_rows_ : h_rows_;
    return h_rows_;
  }

  // Whether every gate sees an h of its own.
  bool by_gate() const noexcept {
    if constexpr (Options::kActs) return dropout_.by_gate();
    return false;
  }

  template <int kPhase>
  TileFunction<T> tile_of(Index units, Index rows, bool wide) const noexcept {
    using P = Phase<Cell, kPhase>;
    if constexpr (Options::kActs && kPhase == 0 && P::kRecurrent > 1) {
      if (by_gate()) {
        return gate_tile_function<V, P::kUnitVectors, P::kGates, P::kSeparate, P::kInputOnly>(units,
                                                                                              rows);
      }
    }
    if constexpr (P::kUneven) {
      return tile_function<V, P::kGates, P::kSeparate, P::kInputOnly>(rows, wide);
    } else {
      return tile_function<V>(static_cast<int>(units) * P::kGates, rows, wide);
    }
  }

  // The cell on a tile of `units` unit vectors from the q-th and `rows` rows. With one row the tile
  // may be a wide one: its neighbours follow each other as further unit vectors do.
  template <int kPhase>
  void epilogue(Index q, Index units, Index row, Index rows, const T* tile) noexcept {
    constexpr Index kSlots = Phase<Cell, kPhase>::kSlots;
    for (Index m = 0; m < rows; ++m) {
      for (Index u = 0; u < units; ++u, tile += kSlots * kLanes) {
        const Index unit = vectors_.first(q + u), n = vectors_.left(q + u);
        if (kLanes == 1 || n >= kLanes) {
          cell<kPhase, true>(row + m, unit, kLanes, tile);
        } else {
          cell<kPhase, false>(row + m, unit, n, tile);
        }
      }
    }
  }

  // What a cell takes of the sums of a unit, and behind them its own parameters and attention.
  template <int kPhase>
  using Pre = Lanes<V, Phase<Cell, kPhase>::kSlots + kInfo.cell_parameters + kInfo.attention>;

  template <int kPhase, bool kFull>
  [[gnu::always_inline]] void cell(Index row, Index unit, Index n, const T* tile) noexcept {
    Pre<kPhase> pre;
    for (int g = 0; g < Phase<Cell, kPhase>::kSlots; ++g) pre[g] = V::load(tile + g * kLanes);
    cell<kPhase, kFull>(row, unit, n, pre);
  }
  template <int kPhase, bool kFull>
  [[gnu::always_inline]] void cell(Index row, Index unit, Index n, Pre<kPhase>& pre) noexcept {
    using P = Phase<Cell, kPhase>;
    load_parameters(pass_.weights, kInfo.cell_parameters, unit, pre, P::kSlots);
    if constexpr (kInfo.attention) {
      pre[P::kSlots + kInfo.cell_parameters] = attention<V>(pass_, t_, pass_.rows[slots_[row]]);
    }
    Lanes<V, kInfo.states> state, next;
    enter<kFull>(row, unit, n, state);
    Lanes<V, kInfo.saved> saved;
    if constexpr (kTwoPhases) {
      Lanes<V, kFirstGates> gates;
      T* const kept = a_.gates + row * kFirstGates * a_.padded + unit;
      if constexpr (kPhase == 0) {
        const Index own = by_gate() ? (kSeeing - 1) * a_.padded : 0;  // the last gate's h
        state[0] = load_n<kFull, V>(seen_rows()[row] + own + unit, n);
        Cell::operand(pre, state, options_, gates).store(a_.operand + row * a_.padded + unit);
        for (int g = 0; g < kFirstGates; ++g) gates[g].store(kept + g * a_.padded);
        return;
      } else {
        for (int g = 0; g < kFirstGates; ++g) gates[g] = V::load(kept + g * a_.padded);
        Cell::forward(pre, gates, state, options_, next, saved);
      }
    } else {
      Cell::forward(pre, state, options_, next, saved);
    }
    leave<kFull>(row, unit, n, state, next, saved);
  }

  // The states before the step, and the options for these units.
  template <bool kFull>
  [[gnu::always_inline]] void enter(Index row, Index unit, Index n,
                                    Lanes<V, kInfo.states>& state) noexcept {
    state[0] = projects() ? V(T(0)) : load_n<kFull, V>(h_rows_[row] + unit, n);
    for (int k = 1; k < kInfo.states; ++k)
      state[k] = load_n<kFull, V>(state_rows_[k][row] + unit, n);
    if constexpr (Options::kActs) options_.enter(noise_.row(row, unit), noise_.stride());
  }

  // The states after it, to where they are carried, put out and saved.
  template <bool kFull>
  [[gnu::always_inline]] void leave(Index row, Index unit, Index n,
                                    const Lanes<V, kInfo.states>& state,
                                    Lanes<V, kInfo.states>& next,
                                    const Lanes<V, kInfo.saved>& saved) noexcept {
    const Index i = slots_[row];
    const V h = options_.template finish<kInfo.states>(state, next);
    store_padded<kFull>(next[0], (projects() ? projection_.made(row) : a_.h_next[i]) + unit, n);
    for (int k = 1; k < kInfo.states; ++k) {
      store_padded<kFull>(next[k], a_.state[k] + i * a_.padded + unit, n);
    }
    if (!projects()) store_n<kFull>(next[0], row_at(a_.y, t_, pass_.rows[i]) + unit, n);
    if (a_.saved == nullptr) return;
    T* to = this->on_tape(row) + unit;
    if constexpr (Options::kActs) to += pass_.layout.saved.cell * pass_.hidden_size;
    for (int k = 0; k < kInfo.saved; ++k, to += pass_.hidden_size) store_n<kFull>(saved[k], to, n);
    if constexpr (Options::kActs) {
      if (!pass_.layout.saved.keeps_carried) return;
      next[0] = h;
      for (int k = 0; k < kInfo.states; ++k, to += pass_.hidden_size) {
        if (k > 0 || !projects()) store_n<kFull>(next[k], to, n);
      }
    }
  }

  // A full vector, as long as it does not reach into the next head.
  template <bool kFull>
  static void store_padded(V v, T* to, Index n) noexcept {
    store_n<kFull || !kInfo.heads>(v, to, n);
  }

  UnitVectors<Cell, V> vectors_;
  typename Options::template Of<Cell, V> options_;
  const T** operand_rows_ = nullptr;
  HeadRows<Cell, V> heads_;
  ProductBeside<V> beside_;
  T* inputs_ = nullptr;  // of the steps to come, as beside_ takes them
};

}  // namespace simdrnn::SIMDRNN_ISA
