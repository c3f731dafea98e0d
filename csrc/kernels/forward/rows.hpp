// The rows of a forward pass, step by step: which take part, where their inputs and states are, and
// the input products formed for several steps at once.
#pragma once
#include "abi/args.hpp"
#include "kernels/forward/projection.hpp"
#include "kernels/gemm/beside.hpp"
#include "kernels/gemm/pack.hpp"
#include "kernels/gemm/rows.hpp"
#include "kernels/options/noise.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

// For all cells: what happens once a step and row does not depend on the equations.
template <class V>
class ForwardRows {
 protected:
  using T = typename V::Scalar;
  static constexpr Index kLanes = V::kLanes;

  // `vectors`: of hidden units. Whether options may act at all decides whether this is a call: the
  // plain loops' small steps feel one.
  [[gnu::noinline]] ForwardRows(const ForwardArgs<T>& args, const CellInfo& info, Index vectors,
                                Truth<true>) noexcept
      : ForwardRows(args, info, vectors, true) {}
  [[gnu::always_inline]] ForwardRows(const ForwardArgs<T>& args, const CellInfo& info,
                                     Index vectors, Truth<false>) noexcept
      : ForwardRows(args, info, vectors, false) {}

  // Phases with a W x.
  int hoisted_phases() const noexcept { return info_.second_sees_h ? 1 : info_.phases; }

  // W x + bias of all real steps in [begin, end), row after row in the order the steps will ask for
  // them, from the given row on. (With layer normalisation W x: biases are added behind it.)
  [[gnu::noinline]] void hoist(Index begin, Index end, Index first_row) noexcept {
    const Index n = list_inputs(begin, end);
    for (int phase = 0; phase < hoisted_phases(); ++phase) {
      multiply_rows<V>(hoisted_product(phase, n, first_row));
    }
  }

  // Finds the inputs of all real steps in [begin, end); returns how many they are.
  Index list_inputs(Index begin, Index end) noexcept {
    Index n = 0;
    for (Index step = begin; step < end; ++step) {
      const Index t = time_of(pass_, step);
      for (Index i = 0; i < pass_.count; ++i) {
        const Index b = pass_.rows[i];
        if (flags_at(pass_, t, b) & kStepReal) x_rows_[n++] = row_at(pass_.x, t, b);
      }
    }
    return n;
  }

  // This thread's part of a phase's product of n rows.
  ProductArgs<T> hoisted_product(int phase, Index n, Index first_row) noexcept {
    const PhaseShape shape = phase_of(info_, phase);
    for (Index r = 0; r < n || (a_.overlap && r < kBesideRows); ++r) {
      hoisted_out_[r] = hoisted_[phase] + (first_row + r) * hoisted_stride_[phase];
    }
    ProductArgs<T> p{};
    const int tile = shape.unit_vectors * shape.gates;
    const Index width = tile * kLanes;
    const Share share = share_of(a_.gang, ceil_div(hoisted_stride_[phase], width));
    p.rows = n;
    p.width = hoisted_stride_[phase];
    p.begin = share.begin * width;
    p.end = share.end * width;
    if (p.end > hoisted_stride_[phase]) p.end = hoisted_stride_[phase];
    p.x_rows = p.h_rows = x_rows_;
    p.h_depth = pass_.input_size;
    p.x_panels = p.h_panels = pass_.weights.x[phase];
    p.tile_vectors = tile;
    p.bias = pass_.options.norm.on ? nullptr : pass_.weights.bias[phase];
    p.out = hoisted_out_;
    return p;
  }

  // Lists the rows that take the step, and where their states are; fills the outputs of the others.
  // With options a call; the plain loops, whose small steps feel it, have it in line.
  [[gnu::noinline]] Index begin_step(Index step) noexcept { return list_rows(step, info_.states); }
  [[gnu::always_inline]] Index list_rows(Index step, int states) noexcept {
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
        for (int k = 1; k < states; ++k) {
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

  // Draws what is random about the n rows of the step, their units [begin, end), and drops h for
  // the recurrent product.
  [[gnu::noinline]] void draw(Index n, Index begin, Index end) noexcept {
    for (Index r = 0; r < n; ++r) {
      noise_.prepare(r, t_, pass_.rows[slots_[r]], begin, end);
      if (!dropout_.on()) continue;
      T* const to = dropped_ + r * dropout_.masks_per_row() * a_.padded;
      for (Index g = 0; g < dropout_.masks_per_row(); ++g) {
        multiply(h_rows_[r], dropout_.mask(slots_[r], g), to + g * a_.padded, pass_.h_size);
      }
      dropped_rows_[r] = to;
    }
  }

  // Where the step's values of its r-th row begin on the tape.
  T* on_tape(Index r) const noexcept {
    const Index at = t_ * pass_.batch + pass_.rows[slots_[r]];
    return a_.saved + at * pass_.layout.saved.width * pass_.hidden_size;
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
  const CellInfo& info_;
  Scratch scratch_;
  StepNoise<V> noise_;
  RecurrentDropout<V> dropout_;
  ForwardProjection<V> projection_;
  T* dropped_ = nullptr;  // h as recurrent dropout leaves it, row by row
  const T** dropped_rows_ = nullptr;
  const T** x_rows_ = nullptr;  // of the rows that take the step, in slot order
  const T** h_rows_ = nullptr;
  Index* slots_ = nullptr;  // which of the thread's rows they are
  T** hoisted_out_ = nullptr;
  T* hoisted_[kMaxPhases] = {};  // [row][unit vector][gate][lane]
  Index hoisted_stride_[kMaxPhases] = {};
  Index hoisted_row_ = 0;  // first row of the current step
  const T** state_rows_[kMaxStates] = {};
  Index t_ = 0;  // of the step at hand

 private:
  [[gnu::always_inline]] ForwardRows(const ForwardArgs<T>& args, const CellInfo& info,
                                     Index vectors, bool acts) noexcept
      : a_(args),
        pass_(args.pass),
        info_(info),
        scratch_(args.scratch),
        noise_(pass_, info.states, args.padded, acts, scratch_),
        dropout_(pass_, recurrent_gates(info), args.padded, acts, scratch_),
        projection_(args, scratch_) {
    if (dropout_.counted()) {
      dropped_ = scratch_.template take<T>(pass_.count * dropout_.masks_per_row() * a_.padded);
      dropped_rows_ = scratch_.template take<const T*>(pass_.count);
    }
    const Index hoisted_rows = a_.hoist_steps > 0 ? a_.hoist_steps * pass_.count : pass_.count;
    x_rows_ = scratch_.template take<const T*>(hoisted_rows);
    h_rows_ = scratch_.template take<const T*>(pass_.count);
    slots_ = scratch_.template take<Index>(pass_.count);
    for (int k = 1; k < info.states; ++k) {
      state_rows_[k] = scratch_.template take<const T*>(pass_.count);
    }
    if (a_.hoist_steps > 0) lay_out_hoisted(hoisted_rows, vectors);
  }

  [[gnu::noinline]] void lay_out_hoisted(Index rows, Index vectors) noexcept {
    hoisted_out_ = scratch_.template take<T*>(rows);
    for (int p = 0; p < hoisted_phases(); ++p) {
      hoisted_stride_[p] = vectors * phase_of(info_, p).gates * kLanes;
      hoisted_[p] = scratch_.template take<T>(rows * hoisted_stride_[p]);
    }
  }
};

}  // namespace simdrnn::SIMDRNN_ISA
