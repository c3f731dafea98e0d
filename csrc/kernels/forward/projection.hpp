// From the h that the cell made, (H), to the one that is carried, (P): h = W_hr * cell's h,
// clipped, then zoneout.
//
// It acts on all rows of a step at once, behind the cells. Every h is one chain of FMAs over the
// units, from 0 in ascending order. Source: Sak, Senior & Beaufays 2014, arXiv:1402.1128; the clip
// is TensorFlow's proj_clip.
#pragma once
#include "abi/args.hpp"
#include "kernels/gemm/rows.hpp"
#include "kernels/options/noise.hpp"
#include "kernels/simd/partial.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

// The options that act on the projected h. Each row of it is padded to full vectors.
template <class V>
class ProjectionOptions {
  using T = typename V::Scalar;

 public:
  ProjectionOptions(const PassArgs<T>& pass, Index padded, Scratch& scratch) noexcept
      : pass_(pass), high_(pass.options.limits.projected), low_(-pass.options.limits.projected) {
    if (zoneout().on && pass.draw.training) drawn_ = scratch.take<T>(padded);
  }

  // Draws for row b of the batch, the units [begin, end).
  void prepare(Index t, Index b, Index begin, Index end) noexcept {
    if (drawn_ == nullptr) return;
    draw_row(pass_.draw, zoneout_of(0), t, b, zoneout(), T(0), T(1), begin, end, drawn_ + begin);
  }

  // h of the vector at a unit, clipped.
  V clip(V h) const noexcept { return max(low_, min(high_, h)); }
  // What is carried of it.
  V mix(V h, V before, Index unit) const noexcept {
    if (!zoneout().on) return h;
    const V share = update(unit);
    return fma(share, h, (V(T(1)) - share) * before);
  }

  // Back through both, given what `clip` returned: the gradient for the product, and what goes past
  // it to the h before.
  V back(V h, V d_h, Index unit, V& past) const noexcept {
    past = V(T(0));
    if (zoneout().on) {
      const V share = update(unit);
      past = (V(T(1)) - share) * d_h;
      d_h = share * d_h;
    }
    return pass_.options.limits.projected < T(__builtin_inf())
               ? zero_unless_between(low_, h, high_, d_h)
               : d_h;
  }

 private:
  const Chance<T>& zoneout() const noexcept { return pass_.projection.zoneout; }
  // The new h's share.
  V update(Index unit) const noexcept {
    return drawn_ == nullptr ? V(T(1) - zoneout().probability) : V::load(drawn_ + unit);
  }

  const PassArgs<T>& pass_;
  V high_, low_;
  T* drawn_ = nullptr;  // of the row at hand
};

template <class V>
class ForwardProjection {
  using T = typename V::Scalar;
  static constexpr Index kLanes = V::kLanes;

 public:
  ForwardProjection(const ForwardArgs<T>& args, Scratch& scratch) noexcept
      : a_(args), pass_(args.pass), options_(args.pass, args.padded, scratch) {
    from_ = scratch.take<const T*>(on() ? pass_.count : 0);
    to_ = scratch.take<T*>(on() ? pass_.count : 0);
  }

  bool on() const noexcept { return pass_.projection.size > 0; }

  // Where the cell leaves the h of the r-th row of the step.
  T* made(Index r) const noexcept { return a_.operand + r * a_.padded; }

  // Makes h of the step's n rows, whose slots are given and whose h was at `before`.
  [[gnu::noinline]] void run(Index t, Index n, const Index* slots,
                             const T* const* before) noexcept {
    const Index vectors = vectors_of<V>(pass_.projection.size);
    const Share share = share_of(a_.gang, vectors);
    const Index size = pass_.projection.size, begin = share.begin * kLanes;
    const Index end = share.end * kLanes < size ? share.end * kLanes : size;
    multiply(n, slots, begin, end, t);
    for (Index r = 0; r < n; ++r) {
      options_.prepare(t, pass_.rows[slots[r]], begin, round_up(end, kLanes));
      each_vector<V>(begin, end, [&](Index unit, Index count, auto full) noexcept {
        finish<full>(t, slots[r], before[r], unit, count);
      });
    }
    meet(a_.gang);
  }

 private:
  void multiply(Index n, const Index* slots, Index begin, Index end, Index t) noexcept {
    for (Index r = 0; r < n; ++r) {
      from_[r] = made(r);
      to_[r] = a_.h_next[slots[r]];
    }
    ProductArgs<T> p{};
    p.rows = n;
    p.width = pass_.projection.size;
    p.begin = begin;
    p.end = end;
    p.x_rows = p.h_rows = from_;
    p.h_depth = pass_.hidden_size;
    p.x_panels = p.h_panels = pass_.weights.projection;
    p.tile_vectors = kTileVectors;
    p.backwards = n <= kTileRows && (t + pass_.turn) % 2 != 0;
    p.out = to_;
    multiply_rows<V>(p);
  }

  template <bool kFull>
  void finish(Index t, Index slot, const T* before, Index unit, Index n) noexcept {
    T* const next = a_.h_next[slot] + unit;
    const Index b = pass_.rows[slot];
    const V h = options_.clip(load_n<kFull, V>(next, n));
    const V carried = options_.mix(h, load_n<kFull, V>(before + unit, n), unit);
    carried.store(next);
    store_n<kFull>(carried, row_at(a_.y, t, b) + unit, n);
    if (a_.saved == nullptr || !pass_.layout.saved.keeps_carried) return;
    const SavedLayout& layout = pass_.layout.saved;
    const Index place = (t * pass_.batch + b) * layout.width + layout.carried;
    store_n<kFull>(h, a_.saved + place * pass_.hidden_size + unit, n);
  }

  const ForwardArgs<T>& a_;
  const PassArgs<T>& pass_;
  ProjectionOptions<V> options_;
  const T** from_ = nullptr;
  T** to_ = nullptr;
};

}  // namespace simdrnn::SIMDRNN_ISA
