// Packed weights: what the register tile streams through.
//
// Hidden units are taken in vectors of kLanes, zero-padded, and vectors in tiles of U (the last may
// be narrower). A phase with G gates packs, for a matrix with K columns,   [tile][k][unit
// vector][gate][lane]; one k step of a tile is contiguous. Biases are the same without k. The
// transposed matrices of the backward products are packed as if they had one gate:
// [tile][k][vector][lane], K running over the gates' rows.
#pragma once
#include "abi/args.hpp"
#include "gemm/panel.hpp"

namespace simdrnn::SIMDRNN_ISA {

// The shape of one phase of a cell: which gates it computes and how its tiles are cut.
template <class Cell, int kPhase>
struct Phase {
  static constexpr CellInfo info = Cell::info;
  static constexpr int kFirst = kPhase == 0 ? 0 : info.gates - 1;
  static constexpr int kGates = info.phases == 1 ? info.gates : kPhase == 0 ? info.gates - 1 : 1;
  static constexpr int kSeparate = info.separate;
  static constexpr int kSlots = kGates + kSeparate;
  // U; one where separate parts follow the tile's gates
  static constexpr int kUnitVectors = kSeparate > 0 ? 1 : kTileVectors / kSlots;
  static_assert(kSlots <= kTileVectors,
                "a cell with more gates than a tile has vectors needs a wider tile");
};

constexpr Index ceil_div(Index a, Index b) noexcept { return (a + b - 1) / b; }
constexpr Index round_up(Index a, Index b) noexcept { return ceil_div(a, b) * b; }

template <class V>
constexpr Index vectors_of(Index width) noexcept {
  return ceil_div(width, V::kLanes);
}

// Packs gates [first, first + gates) of a (all gates * H, K) matrix, or of a bias (K = 1).
template <class V>
void pack_gates(const typename V::Scalar* from, Index first, Index gates, Index hidden, Index depth,
                int unit_vectors, typename V::Scalar* to) noexcept {
  constexpr Index kLanes = V::kLanes;
  const Index vectors = vectors_of<V>(hidden);
  for (Index q = 0; q < vectors; q += unit_vectors) {
    const Index width = unit_vectors < vectors - q ? unit_vectors : vectors - q;
    const Index step = width * gates * kLanes;
    for (Index u = 0; u < width; ++u) {
      for (Index g = 0; g < gates; ++g) {
        for (Index lane = 0; lane < kLanes; ++lane) {
          const Index unit = (q + u) * kLanes + lane;
          typename V::Scalar* column = to + (u * gates + g) * kLanes + lane;
          if (unit < hidden) {
            const typename V::Scalar* row = from + ((first + g) * hidden + unit) * depth;
            for (Index k = 0; k < depth; ++k) column[k * step] = row[k];
          } else {
            for (Index k = 0; k < depth; ++k) column[k * step] = 0;
          }
        }
      }
    }
    to += step * depth;
  }
}

// Packs a (depth, width) matrix whose rows are the k steps.
template <class V>
void pack_rows(const typename V::Scalar* from, Index depth, Index width,
               typename V::Scalar* to) noexcept {
  constexpr Index kTile = kTileVectors * V::kLanes;
  for (Index first = 0; first < width; first += kTile) {
    const Index columns = kTile < width - first ? kTile : width - first;
    const Index padded = round_up(columns, V::kLanes);
    for (Index k = 0; k < depth; ++k, to += padded) {
      const typename V::Scalar* row = from + k * width + first;
      for (Index c = 0; c < columns; ++c) to[c] = row[c];
      for (Index c = columns; c < padded; ++c) to[c] = 0;
    }
  }
}

// Hands out pieces of one buffer, or only counts when there is none.
template <class T>
struct Pieces {
  T* base;
  Index used;
  T* take(Index count) noexcept {
    T* piece = base == nullptr ? nullptr : base + used;
    used += round_up(count, 64 / Index(sizeof(T)));  // cache lines
    return piece;
  }
};

template <class V, class Cell, int kPhase>
void pack_phase(const PackArgs<typename V::Scalar>& a,
                Pieces<typename V::Scalar>& pieces) noexcept {
  using T = typename V::Scalar;
  using P = Phase<Cell, kPhase>;
  const Index hidden = a.hidden_size, input = a.input_size;
  const Index h_size = a.projected_size > 0 ? a.projected_size : hidden;
  const Index lanes = vectors_of<V>(hidden) * V::kLanes;
  const Index h_lanes = vectors_of<V>(h_size) * V::kLanes;
  T* x = pieces.take(lanes * P::kGates * input);
  T* h = pieces.take(lanes * P::kGates * h_size);
  T* bias = pieces.take(lanes * P::kGates);
  T* transposed = pieces.take(h_lanes * (P::kGates - P::kSeparate) * hidden);
  T* separate = pieces.take(h_lanes * P::kSeparate * hidden);
  T* bias_separate = pieces.take(lanes * P::kSeparate);
  T* sum = pieces.take((P::kFirst + P::kGates) * hidden);  // bias in the user's order
  if (pieces.base == nullptr) return;
  pack_gates<V>(a.weight_ih, P::kFirst, P::kGates, hidden, input, P::kUnitVectors, x);
  pack_gates<V>(a.weight_hh, P::kFirst, P::kGates, hidden, h_size, P::kUnitVectors, h);
  const Index first_separate = P::kFirst + P::kGates - P::kSeparate;
  for (Index i = 0; i < (P::kFirst + P::kGates) * hidden; ++i) {
    const T input_bias = a.bias_ih == nullptr ? T(0) : a.bias_ih[i];
    const T recurrent_bias = a.bias_hh == nullptr ? T(0) : a.bias_hh[i];
    sum[i] = i < first_separate * hidden ? input_bias + recurrent_bias : input_bias;
  }
  pack_gates<V>(sum, P::kFirst, P::kGates, hidden, 1, P::kUnitVectors, bias);
  pack_rows<V>(a.weight_hh + P::kFirst * hidden * h_size, (P::kGates - P::kSeparate) * hidden,
               h_size, transposed);
  if constexpr (P::kSeparate > 0) {
    pack_rows<V>(a.weight_hh + first_separate * hidden * h_size, P::kSeparate * hidden, h_size,
                 separate);
    if (a.bias_hh != nullptr) {
      pack_gates<V>(a.bias_hh, first_separate, P::kSeparate, hidden, 1, P::kUnitVectors,
                    bias_separate);
    } else {
      for (Index i = 0; i < lanes * P::kSeparate; ++i) bias_separate[i] = 0;
    }
  }
  a.packed->x[kPhase] = x;
  a.packed->h[kPhase] = h;
  a.packed->bias[kPhase] = bias;
  a.packed->h_transposed[kPhase] = transposed;
  a.packed->h_transposed_separate = separate;
  a.packed->bias_separate = bias_separate;
}

// W_hr for the product with the cell's h, whose k steps are its columns, and W_hr^T.
template <class V>
void pack_projection(const PackArgs<typename V::Scalar>& a,
                     Pieces<typename V::Scalar>& pieces) noexcept {
  const Index hidden = a.hidden_size, size = a.projected_size;
  if (size == 0) return;
  auto* forward = pieces.take(vectors_of<V>(size) * V::kLanes * hidden);
  auto* transposed = pieces.take(vectors_of<V>(hidden) * V::kLanes * size);
  if (pieces.base == nullptr) return;
  pack_gates<V>(a.weight_hr, 0, 1, size, hidden, kTileVectors, forward);
  pack_rows<V>(a.weight_hr, size, hidden, transposed);
  a.packed->projection = forward;
  a.packed->projection_transposed = transposed;
}

template <class V, class Cell>
Index pack(const PackArgs<typename V::Scalar>& a) noexcept {
  Pieces<typename V::Scalar> pieces{a.out, 0};
  pack_phase<V, Cell, 0>(a, pieces);
  if constexpr (Cell::info.phases == 2) pack_phase<V, Cell, 1>(a, pieces);
  const Index depth = Cell::info.gates * a.hidden_size;
  auto* x = pieces.take(vectors_of<V>(a.input_size) * V::kLanes * depth);
  if (pieces.base != nullptr) {
    pack_rows<V>(a.weight_ih, depth, a.input_size, x);
    a.packed->x_transposed = x;
  }
  pack_projection<V>(a, pieces);
  const Index stride = vectors_of<V>(a.hidden_size) * V::kLanes;
  auto* parameters = pieces.take(a.parameter_count * stride);
  if (pieces.base != nullptr) {
    a.packed->parameters = parameters;
    a.packed->parameter_stride = stride;
    for (Index i = 0; i < a.parameter_count * stride; ++i) {
      const Index unit = i % stride;
      parameters[i] = unit < a.hidden_size ? a.parameters[i / stride][unit] : 0;
    }
  }
  return pieces.used;
}

}  // namespace simdrnn::SIMDRNN_ISA
