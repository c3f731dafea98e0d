// Back through the recurrent product: from the gradients of a step's pre-activations to those of h
// before it, through recurrent dropout.
#pragma once
#include "abi/args.hpp"
#include "kernels/gemm/pack.hpp"
#include "kernels/gemm/rows.hpp"
#include "kernels/options/noise.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

// How many gradients come before those of the pre-activations in a row of d_pre: with layer
// normalisation those of W x and of R h, by gate.
template <class Cell, class T>
inline Index sums_before(const PassArgs<T>& pass) noexcept {
  return pass.options.norm.on ? 2 * Cell::info.gates * pass.hidden_size : 0;
}

template <class Cell, class V, class Options>
class RecurrentGradient {
  using T = typename V::Scalar;
  static constexpr CellInfo kInfo = Cell::info;
  static constexpr bool kTwoPhases = kInfo.phases == 2;
  static constexpr int kSeeing = recurrent_gates(kInfo);  // gates that see h
  // Slots whose gradients go through R to h: the first ones, and some that stand apart from them.
  static constexpr int kJoint = joint_gates(kInfo);
  static constexpr int kApart = kInfo.second_sees_h ? 1 : kInfo.separate;
  static constexpr int kFirstApart = kInfo.second_sees_h ? kInfo.gates - 1 : kInfo.gates;
  using Dropout = RecurrentDropout<V, Options, kSeeing>;

 public:
  RecurrentGradient(const BackwardArgs<T>& args, const Dropout& dropout, Scratch& scratch) noexcept
      : a_(args), pass_(args.pass), dropout_(dropout) {
    first_ = scratch.take<const T*>(pass_.count);
    second_ = scratch.take<const T*>(pass_.count);
    out_ = scratch.take<T*>(pass_.count);
    if constexpr (kInfo.heads) parts_ = scratch.take<T*>(pass_.count);
    if (dropout_.counted()) d_dropped_ = scratch.take<T>(pass_.count * a_.padded);
  }

  // dL/dh_{t-1} += R^T d_pre, over the gates that see R h_{t-1}, for the n rows of the step;
  // `of_h` is this part of h.
  template <class Row>
  void run(Index t, Index n, const Row* rows, Share of_h) noexcept {
    if constexpr (kJoint + kApart == 0) return;
    t_ = t;
    of_h_ = of_h;
    for (Index r = 0; r < n; ++r) {
      out_[r] = dropout_.on() ? d_dropped_ + r * a_.padded : a_.d_state[0] + rows[r].i * a_.padded;
      first_[r] = a_.d_pre + rows[r].number * a_.d_pre_stride;
      second_[r] = first_[r] + kFirstApart * pass_.hidden_size;
      if constexpr (Options::kActs && normalisable(kInfo)) {
        if (!pass_.options.norm.on) continue;
        first_[r] = second_[r];  // all recurrent parts are there
        second_[r] = first_[r] + kJoint * pass_.hidden_size;
      }
    }
    if constexpr (kInfo.heads) {
      if (pass_.heads > 1) return through_heads(n, rows);
    }
    if constexpr (Options::kActs) {
      if (dropout_.by_gate()) return through_gates(n, rows);
    }
    ProductArgs<T> p = product(n);
    if constexpr (kApart > 0) {
      p.x_rows = first_;
      p.x_depth = kJoint * pass_.hidden_size;
      p.x_panels = pass_.weights.h_transposed[0];
      p.h_rows = second_;
      p.h_depth = kApart * pass_.hidden_size;
      p.h_panels = pass_.weights.h_transposed_separate;
    } else {
      p.x_rows = p.h_rows = first_;
      p.h_depth = kJoint * pass_.hidden_size;
      p.x_panels = p.h_panels = pass_.weights.h_transposed[0];
    }
    p.accumulate = !dropout_.on();
    multiply_rows<V>(p);
    if constexpr (Options::kActs) add_masked(n, rows, 0);
  }

 private:
  // The same where each gate saw an h of its own.
  template <class Row>
  void through_gates(Index n, const Row* rows) noexcept {
    constexpr Index kSeen = kTwoPhases ? kJoint : kSeeing;
    for (Index g = 0; g < kSeen; ++g) {
      ProductArgs<T> p = product(n);
      p.x_rows = p.h_rows = g < kJoint ? first_ : second_;
      p.h_depth = pass_.hidden_size;
      p.h_first = (g < kJoint ? g : g - kJoint) * pass_.hidden_size;
      p.h_panel_depth = (g < kJoint ? kJoint : kInfo.separate) * pass_.hidden_size;
      p.x_panels = p.h_panels =
          g < kJoint ? pass_.weights.h_transposed[0] : pass_.weights.h_transposed_separate;
      multiply_rows<V>(p);
      add_masked(n, rows, g);
      // The next gate's gradients.
      for (Index r = 0; r < n; ++r) (g < kJoint ? first_ : second_)[r] += pass_.hidden_size;
    }
  }

  // The same where R has heads: each head's h from its own gates' rows, one gate after the other.
  // This part's units begin with a vector of each head (engine/network.hpp sees to it).
  template <class Row>
  void through_heads(Index n, const Row* rows) noexcept {
    const Index hidden = pass_.hidden_size, head = hidden / pass_.heads;
    const bool by_gate = dropout_.by_gate();
    for (Index g = 0; g < kInfo.gates; ++g) {
      const T* panel = pass_.weights.h_transposed[0] + g * head_panel<V>(head);
      ProductArgs<T> p = product(n);
      p.backwards = false;
      p.width = p.h_depth = head;
      p.x_rows = p.h_rows = second_;
      p.accumulate = by_gate ? false : g > 0 || !dropout_.on();
      p.out = parts_;
      for (Index at = 0; at < hidden; at += head, panel += kInfo.gates * head_panel<V>(head)) {
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
      if constexpr (Options::kActs) {
        if (by_gate || g + 1 == kInfo.gates) add_masked(n, rows, by_gate ? g : 0);
      }
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
  template <class Row>
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
