// Back through the projection of h: the twin of projection.hpp.
//
// What arrives at a step's h goes through zoneout and clip to the product's result, where it is
// kept beside d_pre: it is what dL/dW_hr is made of, with the cell's h. From there it goes to the
// cell.
#pragma once
#include "abi/args.hpp"
#include "kernels/backward/before.hpp"
#include "kernels/forward/projection.hpp"
#include "kernels/gemm/rows.hpp"
#include "kernels/simd/partial.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class V>
class BackwardProjection {
  using T = typename V::Scalar;
  using Row = BackwardRow<T>;
  static constexpr Index kLanes = V::kLanes;

 public:
  BackwardProjection(const BackwardArgs<T>& args, Scratch& scratch) noexcept
      : a_(args), pass_(args.pass), options_(args.pass, args.padded, scratch) {
    from_ = scratch.take<const T*>(on() ? pass_.count : 0);
    to_ = scratch.take<T*>(on() ? pass_.count : 0);
  }

  bool on() const noexcept { return pass_.projection.size > 0; }

  // Where the gradient of the cell's h is left, for the r-th row of the step.
  T* made(Index r) const noexcept { return a_.d_operand + r * a_.padded; }

  // Takes the gradient of h of the step's r-th row: what goes past the product stays in d_state.
  [[gnu::noinline]] void enter(Index t, Index r, const Row& row, Share part) noexcept {
    T* const product = a_.d_pre + row.number * a_.d_pre_stride +
                       pass_.layout.gradient.projected * pass_.hidden_size;
    from_[r] = product;
    to_[r] = made(r);
    options_.prepare(t, row.b, part.begin, round_up(part.end, kLanes));
    const SavedLayout& layout = pass_.layout.saved;
    const Index saved = (t * pass_.batch + row.b) * layout.width + layout.carried;
    const T* const h =
        layout.keeps_carried ? a_.saved + saved * pass_.hidden_size : row_at(a_.y, t, row.b);
    const T* const d_y = a_.d_y.data == nullptr ? nullptr : row_at(a_.d_y, t, row.b);
    T* const d_h = a_.d_state[0] + row.i * a_.padded;
    for (Index unit = part.begin; unit < part.end; unit += kLanes) {
      const Index n = part.end - unit;
      V arrived = V::load(d_h + unit), past;
      if (d_y != nullptr) arrived = arrived + load_up_to<V>(d_y + unit, n);
      const V d_product = options_.back(load_up_to<V>(h + unit, n), arrived, unit, past);
      store_up_to(d_product, product + unit, n);
      past.store(d_h + unit);
    }
  }

  // From the products of n rows to the cell's h, its units `part`.
  [[gnu::noinline]] void run(Index n, Share part) noexcept {
    meet(a_.gang);
    ProductArgs<T> p{};
    p.rows = n;
    p.width = pass_.hidden_size;
    p.begin = part.begin;
    p.end = part.end;
    p.x_rows = p.h_rows = from_;
    p.h_depth = pass_.projection.size;
    p.x_panels = p.h_panels = pass_.weights.projection_transposed;
    p.tile_vectors = kTileVectors;
    p.out = to_;
    multiply_rows<V>(p);
  }

 private:
  const BackwardArgs<T>& a_;
  const PassArgs<T>& pass_;
  ProjectionOptions<V> options_;
  const T** from_ = nullptr;
  T** to_ = nullptr;
};

}  // namespace simdrnn::SIMDRNN_ISA
