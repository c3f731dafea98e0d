// The rows of a backward pass, step by step: which took the step, what was before it, and where the
// gradients go that leave the recurrence.
#pragma once
#include "abi/args.hpp"
#include "kernels/backward/before.hpp"
#include "kernels/gemm/rows.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class Cell, class V>
class BackwardRows {
 protected:
  using T = typename V::Scalar;
  static constexpr CellInfo kInfo = Cell::info;
  static constexpr Index kLanes = V::kLanes;
  static constexpr int kInputBlocks = input_blocks(kInfo);

  // One row of the step at hand.
  struct Row {
    Index i, b, number;          // slot, batch index, row of d_pre
    const T* state[kMaxStates];  // before the step
    const T* seen_h;             // h as the recurrent product saw it
  };

  explicit BackwardRows(const BackwardArgs<T>& args) noexcept
      : a_(args), pass_(args.pass), scratch_(args.scratch) {
    const Index count = pass_.count, all = count * (a_.end - a_.begin);
    rows_ = scratch_.template take<Row>(count);
    d_x_from_ = scratch_.template take<const T*>(a_.d_x.data != nullptr ? all : 0);
    d_x_to_ = scratch_.template take<T*>(a_.d_x.data != nullptr ? all : 0);
    units_ = own_part(pass_.hidden_size);
    of_h_ = own_part(pass_.h_size);
  }

  // This part's columns of `width`, in full vectors.
  Share own_part(Index width) const noexcept {
    const Share share = share_of(a_.gang, vectors_of<V>(width));
    return {share.begin * kLanes, share.end * kLanes < width ? share.end * kLanes : width};
  }

  // Where the step's values of a row begin on the tape.
  const T* on_tape(const Row& row) const noexcept {
    return a_.saved + (t_ * pass_.batch + row.b) * pass_.saved_width * pass_.hidden_size;
  }

  // Lists the rows that took this step; hands the held outputs' gradients of the others on.
  Index begin_step(Index step) noexcept {
    t_ = time_of(pass_, step);
    const Index at = (a_.end - 1 - step) * pass_.batch;
    Index n = 0;
    for (Index i = 0; i < pass_.count; ++i) {
      const Index b = pass_.rows[i];
      if (!(flags_at(pass_, t_, b) & kStepReal)) {
        if (pass_.hold && a_.d_y.data != nullptr) {
          add(row_at(a_.d_y, t_, b), a_.d_state[0] + i * a_.padded, of_h_);
        }
        continue;
      }
      Row& row = rows_[n++];
      row.i = i;
      row.b = b;
      row.number = a_.position == nullptr ? at + b : a_.position[at + b];
      states_before(a_, kInfo, step, b, row.state);
      row.seen_h = row.state[0];
      if (a_.d_x.data != nullptr) {
        d_x_from_[d_x_rows_] = a_.d_pre + row.number * a_.d_pre_stride;
        d_x_to_[d_x_rows_++] = row_at(a_.d_x, t_, b);
      }
    }
    return n;
  }

  // dL/dx = W^T d_pre for all rows of this call at once.
  void through_input() noexcept {
    if (d_x_rows_ == 0) return;
    const Share share = own_part(pass_.input_size);
    ProductArgs<T> p{};
    p.rows = d_x_rows_;
    p.width = pass_.input_size;
    p.begin = share.begin;
    p.end = share.end;
    p.x_rows = p.h_rows = d_x_from_;
    p.h_depth = kInputBlocks * pass_.hidden_size;
    p.x_panels = p.h_panels = pass_.weights.x_transposed;
    p.tile_vectors = kTileVectors;
    p.accumulate = a_.accumulate_d_x;
    p.out = d_x_to_;
    multiply_rows<V>(p);
  }

  // Where the states were made fresh before this step, their gradient is the initial states'.
  void leave_fresh() noexcept {
    if (pass_.flags == nullptr) return;
    for (Index i = 0; i < pass_.count; ++i) {
      const Index b = pass_.rows[i];
      if (!(flags_at(pass_, t_, b) & kStepFresh)) continue;
      for (int k = 0; k < kInfo.states; ++k) {
        const Share part = k == 0 ? of_h_ : units_;
        T* const carried = a_.d_state[k] + i * a_.padded;
        add(carried, a_.d_after_reset[k] + b * (k == 0 ? pass_.h_size : pass_.hidden_size), part);
        fill_zero(carried + part.begin, part.end - part.begin);
      }
    }
  }

  // to += from.
  static void add(const T* from, T* to, Share part) noexcept {
    for (Index i = part.begin; i < part.end; ++i) to[i] += from[i];
  }

  const BackwardArgs<T>& a_;
  const PassArgs<T>& pass_;
  Scratch scratch_;
  Row* rows_ = nullptr;
  const T** d_x_from_ = nullptr;
  T** d_x_to_ = nullptr;
  Index d_x_rows_ = 0;
  Share units_{};  // hidden units of this part
  Share of_h_{};   // its elements of h: the same, unless h is projected
  Index t_ = 0;
};

}  // namespace simdrnn::SIMDRNN_ISA
