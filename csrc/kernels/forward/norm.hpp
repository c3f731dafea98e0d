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
template <class Cell, class V>
struct Norms {
  using T = typename V::Scalar;
  static constexpr CellInfo kInfo = Cell::info;
  static constexpr int kGates = kInfo.gates;
  // Their parameters: the weights of W x and of R h by gate; weight and bias of the state.
  static constexpr int kRecurrent = kGates, kState = 2 * kGates;

  const PassArgs<T>& pass;

  const T* parameter(int which) const noexcept {
    return pass.weights.parameters +
           (kInfo.cell_parameters + which) * pass.weights.parameter_stride;
  }
  V parameter(int which, Index unit) const noexcept { return V::load(parameter(which) + unit); }
  Moments<T> of_gates(const GateRow<T>& row) const noexcept {
    return moments<V>(row, kGates, pass.hidden_size, pass.options.norm.epsilon);
  }
  Moments<T> of_state(const T* row) const noexcept {
    return moments<V>({row, 0, 1}, 1, pass.hidden_size, pass.options.norm.epsilon);
  }
};

template <class Cell, class V>
class NormalisedRows {
  using T = typename V::Scalar;
  using P = Phase<Cell, 0>;
  static constexpr CellInfo kInfo = Cell::info;
  static constexpr int kGates = kInfo.gates, kJoint = kInfo.gates - kInfo.separate;
  static constexpr Index kLanes = V::kLanes;

 public:
  using Pre = Lanes<V, P::kSlots + kInfo.cell_parameters>;
  using Saved = Lanes<V, kInfo.saved>;

  NormalisedRows(const PassArgs<T>& pass, Index padded, Scratch& scratch) noexcept
      : norms_{pass}, padded_(padded) {
    if (!pass.options.norm.on) return;
    stride_ = vectors_of<V>(pass.hidden_size) * kGates * kLanes;
    out_ = scratch.template take<T*>(pass.count);
    products_ = scratch.template take<T>(pass.count * stride_);
    if constexpr (kInfo.normalise >= 0) half_ = scratch.template take<T>(kInfo.saved * padded);
  }

  // R h of the step's rows.
  void multiply(const T* const* h_rows, Index rows, bool backwards) noexcept {
    for (Index r = 0; r < rows; ++r) out_[r] = products_ + r * stride_;
    ProductArgs<T> p{};
    p.rows = rows;
    p.width = p.end = stride_;
    p.x_rows = p.h_rows = h_rows;
    p.h_depth = norms_.pass.hidden_size;
    p.x_panels = p.h_panels = norms_.pass.weights.h[0];
    p.tile_vectors = P::kUnitVectors * P::kGates;
    p.backwards = backwards;
    p.out = out_;
    multiply_rows<V>(p);
  }

  // The same where each gate sees an h of its own, gate_stride elements behind that of the gate
  // before.
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

  // Takes the r-th row, whose W x is in `x` as tiles have it; `sums`: its place on the tape, or
  // null.
  void enter(Index r, const T* x, T* sums) noexcept {
    x_ = {x, kLanes, kGates};
    h_ = {products_ + r * stride_, kLanes, kGates};
    x_moments_ = norms_.of_gates(x_);
    h_moments_ = norms_.of_gates(h_);
    sums_ = sums;
  }

  // The pre-activations of the units from `unit` on; leaves on the tape what backward needs.
  template <bool kFull>
  [[gnu::always_inline]] void pre(Index unit, Index n, bool keep, Pre& pre) noexcept {
    const Index hidden = norms_.pass.hidden_size;
    const T* const bias = norms_.pass.weights.bias[0] + unit * kGates;
    const T* const separate = norms_.pass.weights.bias_separate + unit * kInfo.separate;
    for (int g = 0; g < kGates; ++g) {
      const V x = V::load(x_.at(g, unit)), h = V::load(h_.at(g, unit));
      if (keep && sums_ != nullptr) {
        store_n<kFull>(x, sums_ + g * hidden + unit, n);
        store_n<kFull>(h, sums_ + (kGates + g) * hidden + unit, n);
      }
      const V weight = norms_.parameter(norms_.kRecurrent + g, unit);
      const V normal = normalise(h, h_moments_);
      pre[g] = fma(norms_.parameter(g, unit), normalise(x, x_moments_), V::load(bias + g * kLanes));
      if (g < kJoint) {
        pre[g] = fma(weight, normal, pre[g]);
      } else {
        pre[g + kInfo.separate] = fma(weight, normal, V::load(separate + (g - kJoint) * kLanes));
      }
    }
  }

  // The state to be normalised, and what else the first half of the cell leaves.
  template <bool kFull>
  void keep(Index unit, Index n, V state, const Saved& saved) noexcept {
    for (int k = 0; k + 1 < kInfo.saved; ++k) saved[k].store(half_ + k * padded_ + unit);
    state.store(this->state() + unit);
    if (norms_.pass.options.norm.carried && sums_ != nullptr) {
      store_n<kFull>(state, sums_ + 2 * kGates * norms_.pass.hidden_size + unit, n);
    }
  }
  void enter_state() noexcept { state_moments_ = norms_.of_state(state()); }
  // Returns the state before it is normalised.
  V kept(Index unit, Saved& saved) const noexcept {
    for (int k = 0; k + 1 < kInfo.saved; ++k) saved[k] = V::load(half_ + k * padded_ + unit);
    return V::load(state() + unit);
  }
  V normalised(Index unit) const noexcept {
    return fma(norms_.parameter(norms_.kState, unit),
               normalise(V::load(state() + unit), state_moments_),
               norms_.parameter(norms_.kState + 1, unit));
  }

 private:
  // R h of a unit vector, by gate, of a tile that has the separate parts behind the gates.
  static void keep_products(const T* tile, T* to) noexcept {
    for (int g = 0; g < kGates; ++g) {
      const int slot = g < kJoint ? g : g + kInfo.separate;
      V::load(tile + slot * kLanes).store(to + g * kLanes);
    }
  }

  T* state() const noexcept { return half_ + (kInfo.saved - 1) * padded_; }

  Norms<Cell, V> norms_;
  Index padded_, stride_ = 0;
  T** out_ = nullptr;
  T* products_ = nullptr;  // R h of the step's rows, [row][unit vector][gate][lane]
  T* half_ = nullptr;      // of one row, between the halves of the cell: (saved, padded)
  GateRow<T> x_{}, h_{};
  Moments<T> x_moments_{}, h_moments_{}, state_moments_{};
  T* sums_ = nullptr;
};

}  // namespace simdrnn::SIMDRNN_ISA
