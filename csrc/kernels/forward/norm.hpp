// The forward stage of layer normalisation: between the products of a whole step and its cells.
//
//   pre = weight_x * normalise(W x) + weight_h * normalise(R h) + bias
//
// Each product is normalised over all gates of a row; where the cell keeps the parts of a gate
// apart, they stay so. A state is normalised once the row's are all made.
#pragma once
#include "abi/args.hpp"
#include "kernels/gemm/rows.hpp"
#include "kernels/options/layer_norm.hpp"
#include "kernels/simd/lanes.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

// What belongs to the norms of a layer and direction, wherever a row is.
template <class V>
struct Norms {
  using T = typename V::Scalar;

  Norms(const PassArgs<T>& args, const CellInfo& info) noexcept
      : pass(args),
        gates(info.gate_count),
        stride(args.weights.parameter_stride),
        parameters(args.weights.parameters + info.cell_parameters * stride) {}

  const PassArgs<T>& pass;
  int gates;
  Index stride;  // from parameter to parameter
  const T* parameters;

  // Their parameters: the weights of W x and of R h by gate; weight and bias of the state.
  int recurrent() const noexcept { return gates; }
  int state() const noexcept { return 2 * gates; }
  const T* parameter(int which) const noexcept { return parameters + which * stride; }
  V parameter(int which, Index unit) const noexcept { return V::load(parameter(which) + unit); }
  Moments<T> of_gates(const GateRow<T>& row) const noexcept {
    return moments<V>(row, gates, pass.hidden_size, pass.options.norm.epsilon);
  }
  Moments<T> of_state(const T* row) const noexcept {
    return moments<V>({row, 0, 1}, 1, pass.hidden_size, pass.options.norm.epsilon);
  }
};

// For all cells: what happens once a row.
template <class V>
class NormalisedRows {
 protected:
  using T = typename V::Scalar;
  static constexpr Index kLanes = V::kLanes;

 public:
  [[gnu::noinline]] NormalisedRows(const PassArgs<T>& pass, const CellInfo& info, Index padded,
                                   Scratch& scratch) noexcept
      : norms_(pass, info), saved_(info.saved), padded_(padded) {
    if (!pass.options.norm.on) return;
    tile_vectors_ = phase_of(info, 0).unit_vectors * info.gate_count;
    stride_ = vectors_of<V>(pass.hidden_size) * info.gate_count * kLanes;
    out_ = scratch.template take<T*>(pass.count);
    products_ = scratch.template take<T>(pass.count * stride_);
    if (info.normalise >= 0) half_ = scratch.template take<T>(info.saved * padded);
  }

  // R h of the step's rows.
  [[gnu::noinline]] void multiply(const T* const* h_rows, Index rows, bool backwards) noexcept {
    for (Index r = 0; r < rows; ++r) out_[r] = products_ + r * stride_;
    ProductArgs<T> p{};
    p.rows = rows;
    p.width = p.end = stride_;
    p.x_rows = p.h_rows = h_rows;
    p.h_depth = norms_.pass.hidden_size;
    p.x_panels = p.h_panels = norms_.pass.weights.h[0];
    p.tile_vectors = tile_vectors_;
    p.backwards = backwards;
    p.out = out_;
    multiply_rows<V>(p);
  }

  // Takes the r-th row, whose W x is in `x` as tiles have it; `sums`: its place on the tape, or
  // null.
  [[gnu::noinline]] void enter(Index r, const T* x, T* sums) noexcept {
    x_ = {x, kLanes, norms_.gates};
    h_ = {products_ + r * stride_, kLanes, norms_.gates};
    x_moments_ = norms_.of_gates(x_);
    h_moments_ = norms_.of_gates(h_);
    sums_ = sums;
  }

  // The state to be normalised, and what else the first half of the cell leaves.
  template <bool kFull, int kSaved>
  void keep(Index unit, Index n, V state, const Lanes<V, kSaved>& saved) noexcept {
    for (int k = 0; k + 1 < kSaved; ++k) saved[k].store(half_ + k * padded_ + unit);
    state.store(this->state() + unit);
    if (norms_.pass.options.norm.carried && sums_ != nullptr) {
      store_n<kFull>(state, sums_ + norms_.pass.layout.saved.state * norms_.pass.hidden_size + unit,
                     n);
    }
  }
  [[gnu::noinline]] void enter_state() noexcept { state_moments_ = norms_.of_state(state()); }
  // Returns the state before it is normalised.
  template <int kSaved>
  V kept(Index unit, Lanes<V, kSaved>& saved) const noexcept {
    for (int k = 0; k + 1 < kSaved; ++k) saved[k] = V::load(half_ + k * padded_ + unit);
    return V::load(state() + unit);
  }
  V normalised(Index unit) const noexcept {
    return fma(norms_.parameter(norms_.state(), unit),
               normalise(V::load(state() + unit), state_moments_),
               norms_.parameter(norms_.state() + 1, unit));
  }

 protected:
  T* state() const noexcept { return half_ + (saved_ - 1) * padded_; }

  Norms<V> norms_;
  Index saved_, padded_, stride_ = 0;
  int tile_vectors_ = 0;
  T** out_ = nullptr;
  T* products_ = nullptr;  // R h of the step's rows, [row][unit vector][gate][lane]
  T* half_ = nullptr;      // of one row, between the halves of the cell: (saved, padded)
  GateRow<T> x_{}, h_{};
  Moments<T> x_moments_{}, h_moments_{}, state_moments_{};
  T* sums_ = nullptr;
};

template <class Cell, class V>
class NormalisedGates : public NormalisedRows<V> {
  using Rows = NormalisedRows<V>;
  using typename Rows::T;
  using P = Phase<Cell, 0>;
  static constexpr CellInfo kInfo = Cell::info;
  static constexpr int kGates = kInfo.gate_count, kJoint = kGates - kInfo.separate;
  static constexpr Index kLanes = V::kLanes;

 public:
  using Pre = Lanes<V, P::kSlots + kInfo.cell_parameters>;
  using Rows::Rows;

  // R h of the step's rows, where each gate sees an h of its own, gate_stride elements behind that
  // of the gate before.
  void multiply_by_gate(const T* const* h_rows, Index rows, Index gate_stride) noexcept {
    if constexpr (kGates > 1) {
      const PackedWeights<T>& weights = norms_.pass.weights;
      const Index all = vectors_of<V>(norms_.pass.hidden_size);
      alignas(64) T out[kTileBuffer<V>];
      alignas(64) const T zeros[kTileBuffer<V>] = {};
      TileArgs<T> t{};
      t.h_depth = norms_.pass.hidden_size;
      t.init = t.init_separate = zeros;
      t.gate_stride = gate_stride;
      for (Index q = 0; q < all; q += P::kUnitVectors) {
        const Index units = P::kUnitVectors < all - q ? P::kUnitVectors : all - q;
        t.h_panel = weights.h[0] + q * kGates * kLanes * t.h_depth;
        t.panel_stride = units * kGates * kLanes;
        RowBlocks blocks(rows);
        for (Index row = 0; row < rows;) {
          const Index n = blocks.next();
          t.h_rows = h_rows + row;
          gate_tile_function<V, P::kUnitVectors, kGates, P::kSeparate, P::kInputOnly>(units, n)(
              t, out);
          const T* from = out;
          for (Index m = 0; m < n; ++m, ++row) {
            T* to = products_ + row * stride_ + q * kGates * kLanes;
            for (Index u = 0; u < units; ++u, from += P::kSlots * kLanes, to += kGates * kLanes)
              keep_products(from, to);
          }
        }
      }
    }
  }

  // The pre-activations of the units from `unit` on; leaves on the tape what backward needs.
  template <bool kFull>
  [[gnu::always_inline]] void pre(Index unit, Index n, bool keep, Pre& pre) noexcept {
    const Index hidden = norms_.pass.hidden_size;
    const T* const bias = norms_.pass.weights.bias[0] + unit * kGates;
    const T* const separate = norms_.pass.weights.bias_separate + unit * kInfo.separate;
    const Index of_h = norms_.pass.layout.saved.of_h;
    for (int g = 0; g < kGates; ++g) {
      const V x = V::load(x_.at(g, unit)), h = V::load(h_.at(g, unit));
      if (keep && sums_ != nullptr) {
        store_n<kFull>(x, sums_ + g * hidden + unit, n);
        store_n<kFull>(h, sums_ + (of_h + g) * hidden + unit, n);
      }
      const V weight = norms_.parameter(norms_.recurrent() + g, unit);
      const V normal = normalise(h, h_moments_);
      pre[g] = fma(norms_.parameter(g, unit), normalise(x, x_moments_), V::load(bias + g * kLanes));
      if (g < kJoint) {
        pre[g] = fma(weight, normal, pre[g]);
      } else {
        pre[g + kInfo.separate] = fma(weight, normal, V::load(separate + (g - kJoint) * kLanes));
      }
    }
  }

 private:
  using Rows::norms_, Rows::x_, Rows::h_, Rows::x_moments_, Rows::h_moments_, Rows::sums_;
  using Rows::products_, Rows::stride_;

  // R h of a unit vector, by gate, of a tile that has the separate parts behind the gates.
  static void keep_products(const T* tile, T* to) noexcept {
    for (int g = 0; g < kGates; ++g) {
      const int slot = g < kJoint ? g : g + kInfo.separate;
      V::load(tile + slot * kLanes).store(to + g * kLanes);
    }
  }
};

}  // namespace simdrnn::SIMDRNN_ISA
