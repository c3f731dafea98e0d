// The rows of a backward pass, step by step: which took the step, what was before it, what was
// random about it, and where the gradients go that leave the recurrence.
#pragma once
#include "abi/args.hpp"
#include "kernels/backward/before.hpp"
#include "kernels/backward/projection.hpp"
#include "kernels/backward/through_h.hpp"
#include "kernels/backward/trace.hpp"
#include "kernels/gemm/beside.hpp"
#include "kernels/gemm/rows.hpp"
#include "kernels/options/noise.hpp"
#include "kernels/options/step_gradient.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

// For all cells: what happens once a step and row does not depend on the equations.
template <class V>
class BackwardRows {
 protected:
  using T = typename V::Scalar;
  using Row = BackwardRow<T>;
  static constexpr Index kLanes = V::kLanes;

  // `acts`: whether options may act at all.
  [[gnu::noinline]] BackwardRows(const BackwardArgs<T>& args, const CellInfo& info,
                                 bool acts) noexcept
      : a_(args),
        pass_(args.pass),
        info_(info),
        acts_(acts),
        looks_at_h_(args.trace != nullptr || clips_step_gradient(args.pass.options.limits)),
        scratch_(args.scratch),
        noise_(pass_, info.states, args.padded, acts, scratch_),
        dropout_(pass_, recurrent_gates(info), args.padded, acts, scratch_),
        recurrent_(args, info, dropout_, scratch_),
        projection_(args, scratch_) {
    const Index count = pass_.count, all = count * (a_.end - a_.begin);
    rows_ = scratch_.template take<Row>(count);
    d_x_from_ = scratch_.template take<const T*>(a_.d_x.data != nullptr ? all : 0);
    d_x_to_ = scratch_.template take<T*>(a_.d_x.data != nullptr ? all : 0);
    units_ = own_part(pass_.hidden_size);
    of_h_ = own_part(pass_.h_size);
    if (!overlaps()) return;
    lanes_ = scratch_.template take<T>(beside_.buffer_size(input_depth()));
    beside_.begin_nothing();
  }

  // Whether dL/dx of the steps behind is formed beside R^T d_pre of the step at hand.
  bool overlaps() const noexcept { return kManyRegisters && a_.overlap && a_.d_x.data != nullptr; }
  ProductBeside<V>* beside() noexcept { return overlaps() ? &beside_ : nullptr; }

  // This part's columns of `width`, in full vectors.
  Share own_part(Index width) const noexcept {
    const Share share = share_of(a_.gang, vectors_of<V>(width));
    return {share.begin * kLanes, share.end * kLanes < width ? share.end * kLanes : width};
  }

  // Where the step's values of a row begin on the tape.
  const T* on_tape(const Row& row) const noexcept {
    return a_.saved + (t_ * pass_.batch + row.b) * pass_.layout.saved.width * pass_.hidden_size;
  }

  // Lists the rows that took this step; hands the held outputs' gradients of the others on. With
  // options a call; the plain loops, whose small steps feel it, have it in line.
  [[gnu::noinline]] Index begin_step(Index step) noexcept { return list_rows(step, info_); }
  [[gnu::always_inline]] Index list_rows(Index step, const CellInfo& info) noexcept {
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
      states_before(a_, info, step, b, row.state);
      row.seen_h = row.state[0];
      if (a_.d_x.data != nullptr) {
        d_x_from_[d_x_rows_] = a_.d_pre + row.number * a_.d_pre_stride;
        d_x_to_[d_x_rows_++] = row_at(a_.d_x, t_, b);
      }
    }
    return n;
  }

  // dL/dx = W^T d_pre for all rows of this call at once, but for those that were begun.
  [[gnu::noinline]] void through_input() noexcept {
    if (overlaps()) beside_.finish();
    if (d_x_begun_ < d_x_rows_) multiply_rows<V>(input_product(d_x_rows_));
  }

  // Begins dL/dx of the steps behind, once they are enough, beside those to come.
  void begin_input() noexcept {
    if (overlaps() && d_x_rows_ - d_x_begun_ >= kBesideRows) begin_inputs();
  }
  [[gnu::noinline]] void begin_inputs() noexcept {
    beside_.finish();
    beside_.begin(input_product(d_x_begun_ + kBesideRows), lanes_);
    d_x_begun_ += kBesideRows;
  }

  // dL/dx of the rows that were not begun, up to `end`.
  ProductArgs<T> input_product(Index end) const noexcept {
    const Share share = own_part(pass_.input_size);
    ProductArgs<T> p{};
    p.rows = end - d_x_begun_;
    p.width = pass_.input_size;
    p.begin = share.begin;
    p.end = share.end;
    p.x_rows = p.h_rows = d_x_from_ + d_x_begun_;
    p.h_depth = input_depth();
    p.x_panels = p.h_panels = pass_.weights.x_transposed;
    p.tile_vectors = kTileVectors;
    p.accumulate = a_.accumulate_d_x;
    p.out = d_x_to_ + d_x_begun_;
    return p;
  }
  Index input_depth() const noexcept { return input_blocks(info_) * pass_.hidden_size; }

  // Where the states were made fresh before this step, their gradient is the initial states'.
  void leave_fresh() noexcept {
    if (pass_.flags != nullptr) add_fresh();
  }

  // From h as it is carried to what the cell made of it.
  void through_projection(Index n) noexcept {
    for (Index r = 0; r < n; ++r) projection_.enter(t_, r, rows_[r], of_h_);
    projection_.run(n, units_);
  }

  // Notes what the weight gradients need of a row, and clips what arrives at its h.
  void enter(Row& row, Index r) noexcept {
    if (acts_) prepare(row, r);
    if (a_.gang.part == 0) {
      a_.x_rows[row.number] = row_at(pass_.x, t_, row.b);
      a_.h_rows[row.number] = row.seen_h;
    }
    if (looks_at_h_) look_at_h(row);
  }

  // to += from.
  static void add(const T* from, T* to, Share part) noexcept {
    for (Index i = part.begin; i < part.end; ++i) to[i] += from[i];
  }

  const BackwardArgs<T>& a_;
  const PassArgs<T>& pass_;
  const CellInfo& info_;
  bool acts_;
  bool looks_at_h_;  // whether what arrives at h is traced or clipped
  Scratch scratch_;
  StepNoise<V> noise_;
  RecurrentDropout<V> dropout_;
  RecurrentGradient<V> recurrent_;
  BackwardProjection<V> projection_;
  Row* rows_ = nullptr;
  const T** d_x_from_ = nullptr;
  T** d_x_to_ = nullptr;
  Index d_x_rows_ = 0, d_x_begun_ = 0;
  ProductBeside<V> beside_;
  T* lanes_ = nullptr;  // d_pre of several steps, as beside_ takes it
  Share units_{};       // hidden units of this part
  Share of_h_{};        // its elements of h: the same, unless h is projected
  Index t_ = 0;

 private:
  // Shows what arrives at a row's h, and clips it.
  [[gnu::noinline]] void look_at_h(const Row& row) noexcept {
    T* const d_h = a_.d_state[0] + row.i * a_.padded;
    if (a_.trace != nullptr) trace_arriving(a_, info_, t_, row.b, row.i, of_h_);
    clip_step_gradient<V>(pass_.options.limits, d_h + of_h_.begin, of_h_.end - of_h_.begin);
    if (a_.trace != nullptr) trace_states(a_, info_, t_, row.b, row.i, of_h_, units_);
  }

  // What was random about the n-th row of the step.
  [[gnu::noinline]] void prepare(Row& row, Index n) noexcept {
    noise_.prepare(n, t_, row.b, units_.begin, round_up(units_.end, kLanes));
    if (!dropout_.on()) return;
    const Index at = of_h_.begin, size = pass_.h_size;
    T* const dropped = a_.dropped_h + row.number * dropout_.masks_per_row() * size;
    for (Index g = 0; g < dropout_.masks_per_row(); ++g) {
      T* const to = dropped + g * size + at;
      multiply(row.state[0] + at, dropout_.mask(row.i, g) + at, to, of_h_.end - at);
    }
    row.seen_h = dropped;
  }

  [[gnu::noinline]] void add_fresh() noexcept {
    for (Index i = 0; i < pass_.count; ++i) {
      const Index b = pass_.rows[i];
      if (!(flags_at(pass_, t_, b) & kStepFresh)) continue;
      for (int k = 0; k < info_.states; ++k) {
        const Share part = k == 0 ? of_h_ : units_;
        T* const carried = a_.d_state[k] + i * a_.padded;
        add(carried, a_.d_after_reset[k] + b * (k == 0 ? pass_.h_size : pass_.hidden_size), part);
        fill_zero(carried + part.begin, part.end - part.begin);
      }
    }
  }
};

}  // namespace simdrnn::SIMDRNN_ISA
