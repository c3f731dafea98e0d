// Back-propagation through time for cells with a recurrent product: the twin of recurrent.hpp.
//
// A call walks a range of steps backwards for the rows of one thread, or of a gang that shares the
// hidden units. It leaves the gradients of the pre-activations in d_pre, one row per real step, and
// where that row's x and h_{t-1} are in x_rows and h_rows: the weight gradients are then one
// product over all threads' rows (gemm/product.hpp, layer/network.cpp).
#pragma once
#include "abi/args.hpp"
#include "gemm/product.hpp"
#include "kernels/previous.hpp"
#include "kernels/steps.hpp"
#include "kernels/trace.hpp"
#include "options/clip.hpp"
#include "options/step_gradient.hpp"
#include "simd/lanes.hpp"
#include "simd/partial.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class Cell, class V, template <class> class Clips>
class Backward {
  using T = typename V::Scalar;
  static constexpr CellInfo kInfo = Cell::info;
  static constexpr Index kLanes = V::kLanes;
  static constexpr bool kTwoPhases = kInfo.phases == 2;
  static constexpr int kSlots = kInfo.gates + kInfo.separate;

 public:
  explicit Backward(const BackwardArgs<T>& args) noexcept
      : a_(args), run_(args.run), clips_(args.run.limits), scratch_(args.scratch) {
    const Index count = run_.count, all = count * (a_.end - a_.begin);
    rows_ = scratch_.template take<Row>(count);
    first_ = scratch_.template take<const T*>(count);
    second_ = scratch_.template take<const T*>(count);
    out_ = scratch_.template take<T*>(count);
    d_x_from_ = scratch_.template take<const T*>(a_.d_x.data != nullptr ? all : 0);
    d_x_to_ = scratch_.template take<T*>(a_.d_x.data != nullptr ? all : 0);
    if constexpr (kTwoPhases) d_operand_rows_ = scratch_.template take<T*>(count);
    units_ = own_part(run_.hidden_size);
  }

  Index scratch_used() const noexcept { return scratch_.used(); }

  void run() noexcept {
    for (Index step = a_.end - 1; step >= a_.begin; --step) {
      t_ = time_of(run_, step);
      const Index n = begin_step(step);
      if (n > 0) {
        for (Index r = 0; r < n; ++r) row(rows_[r]);
        meet(a_.gang);
        if constexpr (kTwoPhases) {
          through_operand(n);
          meet(a_.gang);
        }
        through_recurrent(n);
      }
      leave_fresh();
    }
    if (a_.d_x.data != nullptr) through_input();
  }

 private:
  // One row of the step at hand. Null pointers stand for zeros.
  struct Row {
    Index i, b, number;          // slot, batch index, row of d_pre
    const T* state[kMaxStates];  // before the step
  };

  // This part's columns of `width`, in full vectors.
  Share own_part(Index width) const noexcept {
    const Share share = share_of(a_.gang, vectors_of<V>(width));
    return {share.begin * kLanes, share.end * kLanes < width ? share.end * kLanes : width};
  }

  // Lists the rows that took this step; hands the held outputs' gradients of the others on.
  Index begin_step(Index step) noexcept {
    const Index at = (a_.end - 1 - step) * run_.batch;
    Index n = 0;
    for (Index i = 0; i < run_.count; ++i) {
      const Index b = run_.rows[i];
      if (!(flags_at(run_, t_, b) & kStepReal)) {
        if (run_.hold && a_.d_y.data != nullptr) {
          add(row_at(a_.d_y, t_, b), a_.d_state[0] + i * a_.padded);
        }
        continue;
      }
      Row& row = rows_[n++];
      row.i = i;
      row.b = b;
      row.number = a_.position == nullptr ? at + b : a_.position[at + b];
      states_before(a_, kInfo, step, b, row.state);
      if (a_.gang.part == 0) {
        a_.x_rows[row.number] = row_at(run_.x, t_, b);
        a_.h_rows[row.number] = row.state[0];
      }
      if (a_.d_x.data != nullptr) {
        d_x_from_[d_x_rows_] = a_.d_pre + row.number * a_.d_pre_stride;
        d_x_to_[d_x_rows_++] = row_at(a_.d_x, t_, b);
      }
    }
    return n;
  }

  void row(const Row& row) noexcept {
    T* const d_h = a_.d_state[0] + row.i * a_.padded;
    if (a_.trace != nullptr) trace_arriving(a_, kInfo, t_, row.b, row.i, units_);
    clip_step_gradient<V>(run_.limits, d_h + units_.begin, units_.end - units_.begin);
    if (a_.trace != nullptr) trace_states(a_, kInfo, t_, row.b, row.i, units_);
    Index unit = units_.begin;
    for (; unit + kLanes <= units_.end; unit += kLanes) cell<true>(row, d_h, unit, kLanes);
    if (unit < units_.end) cell<false>(row, d_h, unit, units_.end - unit);
  }

  template <bool kFull>
  [[gnu::always_inline]] void load_saved(const Row& row, Index unit, Index n,
                                         Lanes<V, kInfo.saved>& saved) noexcept {
    const Index hidden = run_.hidden_size;
    const T* p = a_.saved + (t_ * run_.batch + row.b) * kInfo.saved * hidden + unit;
    for (int k = 0; k < kInfo.saved; ++k, p += hidden) saved[k] = load_n<kFull, V>(p, n);
  }

  template <bool kFull>
  [[gnu::always_inline]] void cell(const Row& row, T* d_h, Index unit, Index n) noexcept {
    Lanes<V, kInfo.saved> saved;
    load_saved<kFull>(row, unit, n, saved);
    Lanes<V, kInfo.states> state, next, d_next, d_state;
    for (int k = 0; k < kInfo.states; ++k) state[k] = load_n<kFull, V>(row.state[k] + unit, n);
    next[0] = load_n<kFull, V>(row_at(a_.y, t_, row.b) + unit, n);
    for (int k = 1; k < kInfo.states; ++k) next[k] = saved[kInfo.saved - kInfo.states + k];
    d_next[0] = V::load(d_h + unit);
    if (a_.d_y.data != nullptr)
      d_next[0] = d_next[0] + load_n<kFull, V>(row_at(a_.d_y, t_, row.b) + unit, n);
    d_next[0] = clips_.through_hidden_clip(next[0], d_next[0]);
    for (int k = 1; k < kInfo.states; ++k) {
      d_next[k] = V::load(a_.d_state[k] + row.i * a_.padded + unit);
    }
    Lanes<V, kSlots> d_pre;
    Cell::backward(saved, state, next, d_next, clips_, d_pre, d_state);
    d_state[0].store(d_h + unit);
    for (int k = 1; k < kInfo.states; ++k) {
      d_state[k].store(a_.d_state[k] + row.i * a_.padded + unit);
    }
    T* const to = a_.d_pre + row.number * a_.d_pre_stride + unit;
    for (int g = kTwoPhases ? 1 : 0; g < kSlots; ++g) {
      store_n<kFull>(d_pre[g], to + g * run_.hidden_size, n);
    }
  }

  // The second phase's product back to its operand, and from there into d_pre of the reset gate and
  // h.
  void through_operand(Index n) noexcept {
    const Index hidden = run_.hidden_size;
    ProductArgs<T> p{};
    for (Index r = 0; r < n; ++r) {
      first_[r] = a_.d_pre + rows_[r].number * a_.d_pre_stride + (kInfo.gates - 1) * hidden;
      d_operand_rows_[r] = a_.d_operand + r * a_.padded;
    }
    p.rows = n;
    p.width = hidden;
    p.begin = units_.begin;
    p.end = units_.end;
    p.h_depth = hidden;
    p.x_rows = p.h_rows = first_;
    p.x_panels = p.h_panels = run_.weights.h_transposed[1];
    p.tile_vectors = kTileVectors;
    p.out = d_operand_rows_;
    multiply_rows<V>(p);
    for (Index r = 0; r < n; ++r) {
      Index unit = units_.begin;
      for (; unit + kLanes <= units_.end; unit += kLanes) operand<true>(rows_[r], r, unit, kLanes);
      if (unit < units_.end) operand<false>(rows_[r], r, unit, units_.end - unit);
    }
  }

  template <bool kFull>
  [[gnu::always_inline]] void operand(const Row& row, Index r, Index unit, Index n) noexcept {
    if constexpr (kTwoPhases) {
      Lanes<V, kInfo.saved> saved;
      load_saved<kFull>(row, unit, n, saved);
      Lanes<V, kInfo.states> state;
      for (int k = 0; k < kInfo.states; ++k) state[k] = load_n<kFull, V>(row.state[k] + unit, n);
      V d_pre, value;
      T* const d_h = a_.d_state[0] + row.i * a_.padded + unit;
      const V d_operand = V::load(a_.d_operand + r * a_.padded + unit);
      (V::load(d_h) + Cell::operand_backward(saved, state, d_operand, clips_, d_pre, value))
          .store(d_h);
      store_n<kFull>(d_pre, a_.d_pre + row.number * a_.d_pre_stride + unit, n);
      store_n<kFull>(value, a_.operand + row.number * run_.hidden_size + unit, n);
    }
  }

  // dL/dh_{t-1} += R^T d_pre, over the gates that see R h_{t-1}.
  void through_recurrent(Index n) noexcept {
    const Index hidden = run_.hidden_size;
    const Index joint = kTwoPhases ? kInfo.gates - 1 : kInfo.gates - kInfo.separate;
    ProductArgs<T> p{};
    for (Index r = 0; r < n; ++r) {
      first_[r] = a_.d_pre + rows_[r].number * a_.d_pre_stride;
      second_[r] = first_[r] + kInfo.gates * hidden;  // the separate recurrent parts
      out_[r] = a_.d_state[0] + rows_[r].i * a_.padded;
    }
    p.rows = n;
    p.width = hidden;
    p.begin = units_.begin;
    p.end = units_.end;
    if constexpr (kInfo.separate > 0) {
      p.x_rows = first_;
      p.x_depth = joint * hidden;
      p.x_panels = run_.weights.h_transposed[0];
      p.h_rows = second_;
      p.h_depth = kInfo.separate * hidden;
      p.h_panels = run_.weights.h_transposed_separate;
    } else {
      p.x_rows = p.h_rows = first_;
      p.h_depth = joint * hidden;
      p.x_panels = p.h_panels = run_.weights.h_transposed[0];
    }
    p.tile_vectors = kTileVectors;
    p.accumulate = true;
    p.backwards = n <= kTileRows && t_ % 2 != 0;
    p.out = out_;
    multiply_rows<V>(p);
  }

  // dL/dx = W^T d_pre for all rows of this call at once.
  void through_input() noexcept {
    if (d_x_rows_ == 0) return;
    const Share share = own_part(run_.input_size);
    ProductArgs<T> p{};
    p.rows = d_x_rows_;
    p.width = run_.input_size;
    p.begin = share.begin;
    p.end = share.end;
    p.x_rows = p.h_rows = d_x_from_;
    p.h_depth = kInfo.gates * run_.hidden_size;
    p.x_panels = p.h_panels = run_.weights.x_transposed;
    p.tile_vectors = kTileVectors;
    p.accumulate = a_.accumulate_d_x;
    p.out = d_x_to_;
    multiply_rows<V>(p);
  }

  // Where the states were made fresh before this step, their gradient is the initial states'.
  void leave_fresh() noexcept {
    if (run_.flags == nullptr) return;
    const Index hidden = run_.hidden_size;
    for (Index i = 0; i < run_.count; ++i) {
      const Index b = run_.rows[i];
      if (!(flags_at(run_, t_, b) & kStepFresh)) continue;
      for (int k = 0; k < kInfo.states; ++k) {
        T* const carried = a_.d_state[k] + i * a_.padded;
        add(carried, a_.d_initial[k] + b * hidden);
        fill_zero(carried + units_.begin, units_.end - units_.begin);
      }
    }
  }

  // to += from, on this part's units.
  void add(const T* from, T* to) noexcept {
    for (Index i = units_.begin; i < units_.end; ++i) to[i] += from[i];
  }

  const BackwardArgs<T>& a_;
  const RunArgs<T>& run_;
  Clips<V> clips_;
  Scratch scratch_;
  Row* rows_ = nullptr;
  const T** first_ = nullptr;
  const T** second_ = nullptr;
  T** out_ = nullptr;
  const T** d_x_from_ = nullptr;
  T** d_x_to_ = nullptr;
  Index d_x_rows_ = 0;
  Share units_{};  // hidden units of this part
  T** d_operand_rows_ = nullptr;
  Index t_ = 0;
};

template <class Cell, class V>
void backward(const BackwardArgs<typename V::Scalar>& args) noexcept {
  if (args.run.clipped) {
    Backward<Cell, V, Clipped>(args).run();
  } else {
    Backward<Cell, V, Unclipped>(args).run();
  }
}

template <class Cell, class V>
Index backward_scratch(const BackwardArgs<typename V::Scalar>& args) noexcept {
  BackwardArgs<typename V::Scalar> sizes = args;
  sizes.scratch = nullptr;
  return Backward<Cell, V, Unclipped>(sizes).scratch_used();
}

}  // namespace simdrnn::SIMDRNN_ISA
