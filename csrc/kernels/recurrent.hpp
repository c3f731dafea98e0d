// The forward time loop of cells with a recurrent product, generic over cell, clips and vector
// type.
//
// One thread, or a gang that shares the tiles, runs all steps of its rows: per step, for each tile
// of hidden units, for each block of rows, the register tile forms the pre-activations and the cell
// consumes them while they are in the first-level cache.
#pragma once
#include "abi/args.hpp"
#include "gemm/product.hpp"
#include "kernels/steps.hpp"
#include "options/clip.hpp"
#include "simd/lanes.hpp"
#include "simd/partial.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class Cell, class V, template <class> class Clips>
class Forward {
  using T = typename V::Scalar;
  static constexpr CellInfo kInfo = Cell::info;
  static constexpr Index kLanes = V::kLanes;
  static constexpr bool kTwoPhases = kInfo.phases == 2;

 public:
  explicit Forward(const ForwardArgs<T>& args) noexcept
      : a_(args), run_(args.run), clips_(args.run.limits), scratch_(args.scratch) {
    const Index hoisted_rows = a_.hoist_steps > 0 ? a_.hoist_steps * run_.count : run_.count;
    const Index vectors = vectors_of<V>(run_.hidden_size);
    x_rows_ = scratch_.template take<const T*>(hoisted_rows);
    h_rows_ = scratch_.template take<const T*>(run_.count);
    slots_ = scratch_.template take<Index>(run_.count);
    for (int k = 1; k < kInfo.states; ++k) {
      state_rows_[k] = scratch_.template take<const T*>(run_.count);
    }
    if (a_.hoist_steps > 0) {
      hoisted_out_ = scratch_.template take<T*>(hoisted_rows);
      for (int p = 0; p < kInfo.phases; ++p) {
        hoisted_stride_[p] = vectors * gates_of(p) * kLanes;
        hoisted_[p] = scratch_.template take<T>(hoisted_rows * hoisted_stride_[p]);
      }
    }
    if constexpr (kTwoPhases) operand_rows_ = scratch_.template take<const T*>(run_.count);
  }

  Index scratch_used() const noexcept { return scratch_.used(); }

  void run() noexcept {
    const Index chunk = a_.hoist_steps > 0 ? a_.hoist_steps : 1;
    for (Index s = a_.begin; s < a_.end; s += chunk) {
      const Index end = s + chunk < a_.end ? s + chunk : a_.end;
      if (a_.hoist_steps > 0) hoist(s, end);
      hoisted_row_ = 0;
      for (Index step = s; step < end; ++step) {
        const Index n = begin_step(step);
        if (n == 0) continue;
        t_ = time_of(run_, step);
        phase<0>(n);
        if constexpr (kTwoPhases) phase<1>(n);
        for (Index r = 0; r < n; ++r) {
          const Index i = slots_[r];
          T* const swap = a_.h[i];
          a_.h[i] = a_.h_next[i];
          a_.h_next[i] = swap;
          a_.at_initial[i] = 0;
        }
        hoisted_row_ += n;
      }
    }
  }

 private:
  static constexpr Index gates_of(int p) noexcept {
    return kInfo.phases == 1 ? kInfo.gates : p == 0 ? kInfo.gates - 1 : 1;
  }

  // W x + bias of all real steps in [begin, end), row after row in the order the steps will ask for
  // them.
  void hoist(Index begin, Index end) noexcept {
    Index n = 0;
    for (Index step = begin; step < end; ++step) {
      const Index t = time_of(run_, step);
      for (Index i = 0; i < run_.count; ++i) {
        const Index b = run_.rows[i];
        if (flags_at(run_, t, b) & kStepReal) x_rows_[n++] = row_at(run_.x, t, b);
      }
    }
    hoist_phase<0>(n);
    if constexpr (kTwoPhases) hoist_phase<1>(n);
  }

  template <int kPhase>
  void hoist_phase(Index n) noexcept {
    using P = Phase<Cell, kPhase>;
    for (Index r = 0; r < n; ++r) hoisted_out_[r] = hoisted_[kPhase] + r * hoisted_stride_[kPhase];
    ProductArgs<T> p{};
    constexpr Index kTileWidth = P::kUnitVectors * P::kGates * kLanes;
    const Share share = share_of(a_.gang, ceil_div(hoisted_stride_[kPhase], kTileWidth));
    p.rows = n;
    p.width = hoisted_stride_[kPhase];
    p.begin = share.begin * kTileWidth;
    p.end = share.end * kTileWidth;
    if (p.end > hoisted_stride_[kPhase]) p.end = hoisted_stride_[kPhase];
    p.x_rows = p.h_rows = x_rows_;
    p.h_depth = run_.input_size;
    p.x_panels = p.h_panels = run_.weights.x[kPhase];
    p.tile_vectors = P::kUnitVectors * P::kGates;
    p.bias = run_.weights.bias[kPhase];
    p.out = hoisted_out_;
    multiply_rows<V>(p);
  }

  // Lists the rows that take the step, and where their states are; fills the outputs of the others.
  Index begin_step(Index step) noexcept {
    const Index t = time_of(run_, step), hidden = run_.hidden_size;
    Index n = 0;
    for (Index i = 0; i < run_.count; ++i) {
      const Index b = run_.rows[i];
      const unsigned flags = flags_at(run_, t, b);
      if (flags & kStepFresh) a_.at_initial[i] = 1;
      const T* const h = a_.at_initial[i] != 0 ? run_.initial[0] + b * hidden : a_.h[i];
      if (flags & kStepReal) {
        if (a_.hoist_steps == 0) x_rows_[n] = row_at(run_.x, t, b);
        h_rows_[n] = h;
        for (int k = 1; k < kInfo.states; ++k) {
          state_rows_[k][n] =
              a_.at_initial[i] != 0 ? run_.initial[k] + b * hidden : a_.state[k] + i * a_.padded;
        }
        slots_[n++] = i;
      } else if (a_.gang.part == 0) {
        T* const y = row_at(a_.y, t, b);
        if (run_.hold) {
          copy(h, y, hidden);
        } else {
          fill_zero(y, hidden);
        }
      }
    }
    return n;
  }

  template <int kPhase>
  void phase(Index n) noexcept {
    using P = Phase<Cell, kPhase>;
    if constexpr (kPhase == 1) {
      for (Index r = 0; r < n; ++r) operand_rows_[r] = a_.operand + r * a_.padded;
    }
    const Index all = vectors_of<V>(run_.hidden_size);
    const Share share = share_of(a_.gang, ceil_div(all, P::kUnitVectors));
    const Index begin = share.begin * P::kUnitVectors;
    const Index end = share.end * P::kUnitVectors < all ? share.end * P::kUnitVectors : all;
    // Every other step goes backwards through the tiles: of weights that do not fit a cache, those
    // used last are then still there.
    constexpr Index kTile = P::kUnitVectors, kWide = kWideTiles * kTile;
    const Index width = n == 1 ? kWide : kTile;
    // Divided by constants: a division by a variable is felt at H = 16.
    const Index count = n == 1 ? ceil_div(end - begin, kWide) : ceil_div(end - begin, kTile);
    for (Index j = 0; j < count; ++j) {
      const Index first =
          begin + (n > kTileRows || (t_ + run_.turn) % 2 == 0 ? j : count - 1 - j) * width;
      const Index last = first + width < end ? first + width : end;
      const bool wide = n == 1 && last - first == width;
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
    const Index first = q * P::kGates * kLanes;
    TileArgs<T> t{};
    t.h_depth = run_.hidden_size;
    t.h_panel = run_.weights.h[kPhase] + first * t.h_depth;
    t.init_separate = run_.weights.bias_separate + q * P::kSeparate * kLanes;
    t.panel_stride = (wide ? P::kUnitVectors : end - q) * P::kGates * kLanes;
    if (a_.hoist_steps > 0) {
      t.init_stride = hoisted_stride_[kPhase];
    } else {
      t.x_depth = run_.input_size;
      t.x_panel = run_.weights.x[kPhase] + first * t.x_depth;
      t.init = run_.weights.bias[kPhase] + first;
    }
    const T* const* const h_rows = kPhase == 0 ? h_rows_ : operand_rows_;
    RowBlocks blocks(n);
    for (Index row = 0; row < n;) {
      const Index rows = blocks.next();
      t.x_rows = x_rows_ + row;
      t.h_rows = h_rows + row;
      if (a_.hoist_steps > 0) {
        t.init = hoisted_[kPhase] + (hoisted_row_ + row) * hoisted_stride_[kPhase] + first;
      }
      tile_of<P>(wide ? P::kUnitVectors : end - q, rows, wide)(t, out);
      epilogue<kPhase>(q, end - q, row, rows, out);
      row += rows;
    }
  }

  template <class P>
  static TileFunction<T> tile_of(Index units, Index rows, bool wide) noexcept {
    if constexpr (P::kSeparate > 0) {
      return tile_function<V, P::kGates, P::kSeparate>(rows, wide);
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
        const Index unit = (q + u) * kLanes;
        const Index n = run_.hidden_size - unit;
        if (n >= kLanes) {
          cell<kPhase, true>(row + m, unit, kLanes, tile);
        } else {
          cell<kPhase, false>(row + m, unit, n, tile);
        }
      }
    }
  }

  template <int kPhase, bool kFull>
  [[gnu::always_inline]] void cell(Index row, Index unit, Index n, const T* tile) noexcept {
    using P = Phase<Cell, kPhase>;
    const Index i = slots_[row];
    const Index b = run_.rows[i];
    Lanes<V, P::kSlots> pre;
    for (int g = 0; g < P::kSlots; ++g) pre[g] = V::load(tile + g * kLanes);
    Lanes<V, kInfo.states> state, next;
    state[0] = load_n<kFull, V>(h_rows_[row] + unit, n);
    for (int k = 1; k < kInfo.states; ++k)
      state[k] = load_n<kFull, V>(state_rows_[k][row] + unit, n);
    Lanes<V, kInfo.saved> saved;
    if constexpr (kTwoPhases) {
      Lanes<V, kInfo.gates - 1> gates;
      T* const kept = a_.gates + row * (kInfo.gates - 1) * a_.padded + unit;
      if constexpr (kPhase == 0) {
        Cell::operand(pre, state, clips_, gates).store(a_.operand + row * a_.padded + unit);
        for (int g = 0; g < kInfo.gates - 1; ++g) gates[g].store(kept + g * a_.padded);
        return;
      } else {
        for (int g = 0; g < kInfo.gates - 1; ++g) gates[g] = V::load(kept + g * a_.padded);
        Cell::forward(pre, gates, state, clips_, next, saved);
      }
    } else {
      Cell::forward(pre, state, clips_, next, saved);
    }
    next[0] = clips_.clip_hidden(next[0]);
    next[0].store(a_.h_next[i] + unit);
    for (int k = 1; k < kInfo.states; ++k) next[k].store(a_.state[k] + i * a_.padded + unit);
    store_n<kFull>(next[0], row_at(a_.y, t_, b) + unit, n);
    if (a_.saved != nullptr) {
      T* to = a_.saved + (t_ * run_.batch + b) * kInfo.saved * run_.hidden_size + unit;
      for (int k = 0; k < kInfo.saved; ++k, to += run_.hidden_size) store_n<kFull>(saved[k], to, n);
    }
  }

  const ForwardArgs<T>& a_;
  const RunArgs<T>& run_;
  Clips<V> clips_;
  Scratch scratch_;
  const T** x_rows_ = nullptr;  // of the rows that take the step, in slot order
  const T** h_rows_ = nullptr;
  Index* slots_ = nullptr;  // which of the thread's rows they are
  T** hoisted_out_ = nullptr;
  T* hoisted_[kMaxPhases] = {};  // [row][unit vector][gate][lane]
  Index hoisted_stride_[kMaxPhases] = {};
  Index hoisted_row_ = 0;  // first row of the current step
  const T** state_rows_[kMaxStates] = {};
  const T** operand_rows_ = nullptr;
  Index t_ = 0;
};

template <class Cell, class V>
void forward(const ForwardArgs<typename V::Scalar>& args) noexcept {
  if (args.run.clipped) {
    Forward<Cell, V, Clipped>(args).run();
  } else {
    Forward<Cell, V, Unclipped>(args).run();
  }
}

template <class Cell, class V>
Index forward_scratch(const ForwardArgs<typename V::Scalar>& args) noexcept {
  ForwardArgs<typename V::Scalar> sizes = args;
  sizes.scratch = nullptr;
  return Forward<Cell, V, Unclipped>(sizes).scratch_used();
}

}  // namespace simdrnn::SIMDRNN_ISA
