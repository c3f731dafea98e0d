// The rows of a forward pass, step by step: which take part, where their inputs and states are, and
// the input products formed for several steps at once.
#pragma once
#include "abi/args.hpp"
#include "kernels/forward/unit_vectors.hpp"
#include "kernels/gemm/rows.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class Cell, class V>
class ForwardRows {
 protected:
  using T = typename V::Scalar;
  static constexpr CellInfo kInfo = Cell::info;
  static constexpr Index kLanes = V::kLanes;
  static constexpr bool kTwoPhases = kInfo.phases == 2;
  static constexpr int kHoisted = kInfo.second_sees_h ? 1 : kInfo.phases;  // phases with a W x

  explicit ForwardRows(const ForwardArgs<T>& args) noexcept
      : a_(args), pass_(args.pass), scratch_(args.scratch), vectors_(args.pass) {
    const Index hoisted_rows = a_.hoist_steps > 0 ? a_.hoist_steps * pass_.count : pass_.count;
    x_rows_ = scratch_.template take<const T*>(hoisted_rows);
    h_rows_ = scratch_.template take<const T*>(pass_.count);
    slots_ = scratch_.template take<Index>(pass_.count);
    for (int k = 1; k < kInfo.states; ++k) {
      state_rows_[k] = scratch_.template take<const T*>(pass_.count);
    }
    if (a_.hoist_steps > 0) {
      hoisted_out_ = scratch_.template take<T*>(hoisted_rows);
      for (int p = 0; p < kHoisted; ++p) {
        hoisted_stride_[p] = vectors_.count() * gates_of(p) * kLanes;
        hoisted_[p] = scratch_.template take<T>(hoisted_rows * hoisted_stride_[p]);
      }
    }
  }

  static constexpr Index gates_of(int p) noexcept {
    return kInfo.phases == 1 ? kInfo.gates : p == 0 ? kInfo.gates - 1 : 1;
  }

  // W x + bias of all real steps in [begin, end), row after row in the order the steps will ask for
  // them. (With layer normalisation W x: biases are added behind it.)
  void hoist(Index begin, Index end) noexcept {
    Index n = 0;
    for (Index step = begin; step < end; ++step) {
      const Index t = time_of(pass_, step);
      for (Index i = 0; i < pass_.count; ++i) {
        const Index b = pass_.rows[i];
        if (flags_at(pass_, t, b) & kStepReal) x_rows_[n++] = row_at(pass_.x, t, b);
      }
    }
    hoist_phase<0>(n);
    if constexpr (kHoisted == 2) hoist_phase<1>(n);
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
    p.h_depth = pass_.input_size;
    p.x_panels = p.h_panels = pass_.weights.x[kPhase];
    p.tile_vectors = P::kUnitVectors * P::kGates;
    p.bias = pass_.options.norm.on ? nullptr : pass_.weights.bias[kPhase];
    p.out = hoisted_out_;
    multiply_rows<V>(p);
  }

  // Lists the rows that take the step, and where their states are; fills the outputs of the others.
  Index begin_step(Index step) noexcept {
    const Index t = time_of(pass_, step), hidden = pass_.hidden_size, h_size = pass_.h_size;
    t_ = t;
    Index n = 0;
    for (Index i = 0; i < pass_.count; ++i) {
      const Index b = pass_.rows[i];
      const unsigned flags = flags_at(pass_, t, b);
      if (flags & kStepFresh) a_.origin[i] = kAfterReset;
      const T* const* const given = a_.origin[i] == kAfterReset ? pass_.after_reset : pass_.initial;
      const bool carried = a_.origin[i] == kCarried;
      const T* const h = carried ? a_.h[i] : given[0] + b * h_size;
      if (flags & kStepReal) {
        if (a_.hoist_steps == 0) x_rows_[n] = row_at(pass_.x, t, b);
        h_rows_[n] = h;
        for (int k = 1; k < kInfo.states; ++k) {
          state_rows_[k][n] = carried ? a_.state[k] + i * a_.padded : given[k] + b * hidden;
        }
        slots_[n++] = i;
      } else if (a_.gang.part == 0) {
        T* const y = row_at(a_.y, t, b);
        if (pass_.hold) {
          copy(h, y, h_size);
        } else {
          fill_zero(y, h_size);
        }
      }
    }
    return n;
  }

  // Where the step's values of its r-th row begin on the tape.
  T* on_tape(Index r) const noexcept {
    const Index at = t_ * pass_.batch + pass_.rows[slots_[r]];
    return a_.saved + at * pass_.saved_width * pass_.hidden_size;
  }

  // The states of the rows that took the step are the new ones from now on.
  void end_step(Index n) noexcept {
    for (Index r = 0; r < n; ++r) {
      const Index i = slots_[r];
      T* const swap = a_.h[i];
      a_.h[i] = a_.h_next[i];
      a_.h_next[i] = swap;
      a_.origin[i] = kCarried;
    }
    hoisted_row_ += n;
  }

  const ForwardArgs<T>& a_;
  const PassArgs<T>& pass_;
  Scratch scratch_;
  UnitVectors<Cell, V> vectors_;
  const T** x_rows_ = nullptr;  // of the rows that take the step, in slot order
  const T** h_rows_ = nullptr;
  Index* slots_ = nullptr;  // which of the thread's rows they are
  T** hoisted_out_ = nullptr;
  T* hoisted_[kMaxPhases] = {};  // [row][unit vector][gate][lane]
  Index hoisted_stride_[kMaxPhases] = {};
  Index hoisted_row_ = 0;  // first row of the current step
  const T** state_rows_[kMaxStates] = {};
  Index t_ = 0;  // of the step at hand
};

}  // namespace simdrnn::SIMDRNN_ISA
