// Back through the recurrent product: from the gradients of a step's pre-activations to those of h
// before it, through recurrent dropout.
#pragma once
#include "abi/args.hpp"
#include "kernels/backward/before.hpp"
#include "kernels/gemm/beside.hpp"
#include "kernels/gemm/pack.hpp"
#include "kernels/gemm/rows.hpp"
#include "kernels/options/noise.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class V>
class RecurrentGradient {
  using T = typename V::Scalar;
  using Row = BackwardRow<T>;
  using Dropout = RecurrentDropout<V>;

 public:
  [[gnu::noinline]] RecurrentGradient(const BackwardArgs<T>& args, const CellInfo& info,
                                      const Dropout& dropout, Scratch& scratch) noexcept
      : a_(args), pass_(args.pass), info_(info), dropout_(dropout) {
    first_ = scratch.take<const T*>(pass_.count);
    second_ = scratch.take<const T*>(pass_.count);
    out_ = scratch.take<T*>(pass_.count);
    parts_ = scratch.take<T*>(info.heads ? pass_.count : 0);
    if (dropout_.counted()) d_dropped_ = scratch.take<T>(pass_.count * a_.padded);
  }

  // dL/dh_{t-1} += R^T d_pre, over the gates that see R h_{t-1}, for the n rows of the step;
  // `of_h` is this part of h. With `beside`, if not null, beside it.
  [[gnu::noinline]] void run(Index t, Index n, const Row* rows, Share of_h,
                             ProductBeside<V>* beside) noexcept {
    through(t, n, rows, of_h, beside, info_, true);
  }

  // The same in line, for the plain loops, whose small steps feel a call: they know the cell, and
  // that options do not act, at compile time.
  [[gnu::always_inline]] void through(Index t, Index n, const Row* rows, Share of_h,
                                      ProductBeside<V>* beside, const CellInfo& info,
                                      bool acts) noexcept {
    const Index joint = joint_gates(info), apart = info.second_sees_h ? 1 : info.separate;
    if (joint + apart == 0) return;
    t_ = t;
    of_h_ = of_h;
    const bool drops = acts && dropout_.on();
    const GradientLayout& at = pass_.layout.gradient;
    for (Index r = 0; r < n; ++r) {
      out_[r] = drops ? d_dropped_ + r * a_.padded : a_.d_state[0] + rows[r].i * a_.padded;
      first_[r] = second_[r] = a_.d_pre + rows[r].number * a_.d_pre_stride;
      if (acts) first_[r] += at.of_h * pass_.hidden_size;
      if (acts || apart > 0) second_[r] += at.of_h_apart * pass_.hidden_size;
    }
    if (acts && pass_.heads > 1) return through_heads(n, rows);
    if (acts && dropout_.by_gate()) return through_gates(n, rows);
    ProductArgs<T> p = product(n);
    p.x_rows = p.h_rows = first_;
    p.x_panels = p.h_panels = pass_.weights.h_transposed[0];
    if (apart > 0) {
      p.x_depth = joint * pass_.hidden_size;
      p.h_rows = second_;
      p.h_depth = apart * pass_.hidden_size;
      p.h_panels = pass_.weights.h_transposed_separate;
    } else {
      p.h_depth = joint * pass_.hidden_size;
    }
    p.accumulate = !drops;
    if (kManyRegisters && beside != nullptr) {
      multiply_row_beside(p, *beside);
    } else {
      multiply_rows<V>(p);
    }
    if (acts) add_masked(n, rows, 0);
  }

 private:
  // The same where each gate saw an h of its own.
  void through_gates(Index n, const Row* rows) noexcept {
    const Index joint = joint_gates(info_);
    const Index seen = info_.phases == 2 ? joint : recurrent_gates(info_);
    for (Index g = 0; g < seen; ++g) {
      ProductArgs<T> p = product(n);
      p.x_rows = p.h_rows = g < joint ? first_ : second_;
      p.h_depth = pass_.hidden_size;
      p.h_first = (g < joint ? g : g - joint) * pass_.hidden_size;
      p.h_panel_depth = (g < joint ? joint : info_.separate) * pass_.hidden_size;
      p.x_panels = p.h_panels =
          g < joint ? pass_.weights.h_transposed[0] : pass_.weights.h_transposed_separate;
      multiply_rows<V>(p);
      add_masked(n, rows, g);
      // The next gate's gradients.
      for (Index r = 0; r < n; ++r) (g < joint ? first_ : second_)[r] += pass_.hidden_size;
    }
  }

  // The same where R has heads: each head's h from its own gates' rows, one gate after the other.
  // This part's units begin with a vector of each head (engine/network.hpp sees to it).
  void through_heads(Index n, const Row* rows) noexcept {
    const Index hidden = pass_.hidden_size, head = hidden / pass_.heads;
    const bool by_gate = dropout_.by_gate();
    for (Index g = 0; g < info_.gate_count; ++g) {
      const T* panel = pass_.weights.h_transposed[0] + g * head_panel<V>(head);
      ProductArgs<T> p = product(n);
      p.backwards = false;
      p.width = p.h_depth = head;
      p.x_rows = p.h_rows = second_;
      p.accumulate = by_gate ? false : g > 0 || !dropout_.on();
      p.out = parts_;
      for (Index at = 0; at < hidden; at += head, panel += info_.gate_count * head_panel<V>(head)) {
        p.begin = of_h_.begin > at ? of_h_.begin - at : 0;
        p.end = of_h_.end < at + head ? of_h_.end - at : head;
        if (p.begin >= p.end) continue;
        for (Index r = 0; r < n; ++r) {
          second_[r] = first_[r] + g * hidden + at;
          parts_[r] = out_[r] + at;
        }
        p.x_panels = p.h_panels = panel;
        multiply_rows<V>(p);
      }
      if (by_gate || g + 1 == info_.gate_count) add_masked(n, rows, by_gate ? g : 0);
    }
  }

  ProductArgs<T> product(Index n) const noexcept {
    ProductArgs<T> p{};
    p.rows = n;
    p.width = pass_.h_size;
    p.begin = of_h_.begin;
    p.end = of_h_.end;
    p.tile_vectors = kTileVectors;
    p.backwards = n <= kTileRows && t_ % 2 != 0;
    p.out = out_;
    return p;
  }

  // From h as recurrent dropout left it, for gate g, to h.
  void add_masked(Index n, const Row* rows, Index g) noexcept {
    if (!dropout_.on()) return;
    for (Index r = 0; r < n; ++r) {
      const T* const mask = dropout_.mask(rows[r].i, g);
      T* const d_h = a_.d_state[0] + rows[r].i * a_.padded;
      for (Index u = of_h_.begin; u < of_h_.end; ++u) d_h[u] += mask[u] * out_[r][u];
    }
  }

  const BackwardArgs<T>& a_;
  const PassArgs<T>& pass_;
  const CellInfo& info_;
  const Dropout& dropout_;
  Index t_ = 0;
  Share of_h_{};
  const T** first_ = nullptr;
  const T** second_ = nullptr;
  T** out_ = nullptr;
  T** parts_ = nullptr;     // of one head
  T* d_dropped_ = nullptr;  // (count, padded H): gradients for h as recurrent dropout left it
};

}  // namespace simdrnn::SIMDRNN_ISA
