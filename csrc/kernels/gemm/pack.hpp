// Packed weights: what the register tile streams through.
//
// Hidden units are taken in vectors of kLanes, zero-padded, and vectors in tiles of U (the last may
// be narrower). A phase with G gates packs, for a matrix with K columns,   [tile][k][unit
// vector][gate][lane]; one k step of a tile is contiguous. Biases are the same without k. The
// transposed matrices of the backward products are packed as if they had one gate:
// [tile][k][vector][lane], K running over the gates' rows.
//
// Where R has heads, vectors are cut head by head, so that none holds units of two: the last one of
// each head is zero-padded. A transposed R is then one such matrix per head and gate.
#pragma once
#include "abi/args.hpp"
#include "kernels/gemm/tile.hpp"

namespace simdrnn::SIMDRNN_ISA {

// The shape of one phase of a cell: which gates it computes and how its tiles are cut.
template <class Cell, int kPhase>
struct Phase {
  static constexpr CellInfo info = Cell::info;
  static constexpr int kFirst = kPhase == 0 ? 0 : info.gates - 1;
  static constexpr int kGates = info.phases == 1 ? info.gates : kPhase == 0 ? info.gates - 1 : 1;
  static constexpr int kSeparate = info.separate;
  static constexpr int kInputOnly = kPhase == 0 ? info.input_only : 0;
  static constexpr int kRecurrent = kGates - kInputOnly;  // gates with a recurrent product
  static constexpr bool kSeesHidden = kPhase == 1 && info.second_sees_h;  // instead of x
  static constexpr int kSlots = kGates + kSeparate;
  // Whether some of the tile's vectors differ from the others, by what follows them or is not
  // there.
  static constexpr bool kUneven = kSeparate > 0 || (kInputOnly > 0 && kRecurrent > 0);
  static constexpr int kUnitVectors = kUneven ? 1 : kTileVectors / kSlots;  // U
  // Blocks of rows: of weight_ih that go with x, of weight_hh that go with h or the operand.
  static constexpr int kFirstRecurrent = kPhase == 0 ? 0 : recurrent_blocks(info) - 1;
  static constexpr int kJoint = kRecurrent - kSeparate;
  static_assert(kSeparate == 0 || kInputOnly == 0, "no cell has needed both yet");
  static_assert(!info.second_sees_h || (info.phases == 2 && recurrent_gates(info) == 1),
                "a gate of a second phase, and with dropout by gate the only one that sees h");
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
                int unit_vectors, Index heads, typename V::Scalar* to) noexcept {
  constexpr Index kLanes = V::kLanes;
  const Index head = hidden / heads, head_vectors = vectors_of<V>(head);
  const Index vectors = heads * head_vectors;
  for (Index q = 0; q < vectors; q += unit_vectors) {
    const Index width = unit_vectors < vectors - q ? unit_vectors : vectors - q;
    const Index step = width * gates * kLanes;
    for (Index u = 0; u < width; ++u) {
      for (Index g = 0; g < gates; ++g) {
        for (Index lane = 0; lane < kLanes; ++lane) {
          const Index within = (q + u) % head_vectors * kLanes + lane;
          const Index unit = (q + u) / head_vectors * head + within;
          typename V::Scalar* column = to + (u * gates + g) * kLanes + lane;
          if (within < head) {
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

// Elements of one head's block of one gate's R, transposed.
template <class V>
constexpr Index head_panel(Index head) noexcept {
  return round_up(head, V::kLanes) * head;
}

// Packs R head by head, each gate by gate.
template <class V>
void pack_heads(const PackArgs<typename V::Scalar>& a, Index gates,
                typename V::Scalar* to) noexcept {
  const Index head = a.hidden_size / a.heads;
  for (Index j = 0; j < a.heads; ++j) {
    for (Index g = 0; g < gates; ++g, to += head_panel<V>(head)) {
      pack_rows<V>(a.weight_hh + (g * a.hidden_size + j * head) * head, head, head, to);
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

// Sums the biases of a phase's gates, block by block; those of the separate recurrent parts stay
// apart.
template <class Cell, int kPhase, class T>
void sum_biases(const PackArgs<T>& a, T* sum) noexcept {
  using P = Phase<Cell, kPhase>;
  constexpr int kInputBlocks = input_blocks(Cell::info);
  constexpr int kRecurrent = kPhase == 0 ? 0 : recurrent_gates(Cell::info) - 1;
  const Index hidden = a.hidden_size;
  for (Index g = 0; g < P::kGates; ++g) {
    const bool input = a.bias_ih != nullptr && P::kFirst + g < kInputBlocks;
    const bool recurrent = a.bias_hh != nullptr && g < P::kJoint;
    for (Index i = 0; i < hidden; ++i) {
      const T input_bias = input ? a.bias_ih[(P::kFirst + g) * hidden + i] : T(0);
      const T recurrent_bias = recurrent ? a.bias_hh[(kRecurrent + g) * hidden + i] : T(0);
      sum[g * hidden + i] = input_bias + recurrent_bias;
    }
  }
}

template <class V, class Cell, int kPhase>
void pack_phase(const PackArgs<typename V::Scalar>& a,
                Pieces<typename V::Scalar>& pieces) noexcept {
  using T = typename V::Scalar;
  using P = Phase<Cell, kPhase>;
  static_assert(!P::info.heads || (P::info.phases == 1 && P::kSeparate == 0 && P::kInputOnly == 0 &&
                                   P::kUnitVectors == 1 && P::info.cell_parameters == 0),
                "what heads have not been made to go with");
  const Index hidden = a.hidden_size, input = P::kSeesHidden ? hidden : a.input_size;
  const Index h_size = a.projected_size > 0 ? a.projected_size : hidden;
  const Index depth = h_size / a.heads;
  const Index lanes = a.heads * vectors_of<V>(hidden / a.heads) * V::kLanes;
  const Index h_lanes = a.heads * vectors_of<V>(depth) * V::kLanes;
  // What the backward product takes apart from the rest, and which block of weight_hh it begins at.
  constexpr int kApart = P::kSeesHidden ? 1 : P::kSeparate;
  constexpr int kFirstApart = P::kSeesHidden ? P::kFirstRecurrent - 1 : P::kJoint;
  T* x = pieces.take(lanes * P::kGates * input);
  T* h = pieces.take(lanes * P::kRecurrent * depth);
  T* bias = pieces.take(lanes * P::kGates);
  T* transposed = pieces.take(h_lanes * P::kJoint * (hidden / a.heads));
  T* apart = pieces.take(h_lanes * kApart * hidden);
  T* bias_separate = pieces.take(lanes * P::kSeparate);
  T* sum = pieces.take(P::kGates * hidden);  // bias in the user's order
  if (pieces.base == nullptr) return;
  if constexpr (P::kSeesHidden) {
    pack_gates<V>(a.weight_hh, kFirstApart, 1, hidden, hidden, P::kUnitVectors, a.heads, x);
  } else {
    pack_gates<V>(a.weight_ih, P::kFirst, P::kGates, hidden, input, P::kUnitVectors, a.heads, x);
  }
  pack_gates<V>(a.weight_hh, P::kFirstRecurrent, P::kRecurrent, hidden, depth, P::kUnitVectors,
                a.heads, h);
  sum_biases<Cell, kPhase>(a, sum);
  pack_gates<V>(sum, 0, P::kGates, hidden, 1, P::kUnitVectors, a.heads, bias);
  const Index block = hidden * h_size;
  if (a.heads > 1) {
    pack_heads<V>(a, P::kGates, transposed);
  } else if constexpr (P::kJoint > 0) {
    pack_rows<V>(a.weight_hh + P::kFirstRecurrent * block, P::kJoint * hidden, h_size, transposed);
  }
  if constexpr (kApart > 0) {
    pack_rows<V>(a.weight_hh + kFirstApart * block, kApart * hidden, h_size, apart);
  }
  if constexpr (P::kSeparate > 0) {
    if (a.bias_hh != nullptr) {
      pack_gates<V>(a.bias_hh, P::kJoint, P::kSeparate, hidden, 1, P::kUnitVectors, 1,
                    bias_separate);
    } else {
      for (Index i = 0; i < lanes * P::kSeparate; ++i) bias_separate[i] = 0;
    }
  }
  a.packed->x[kPhase] = x;
  a.packed->h[kPhase] = h;
  a.packed->bias[kPhase] = bias;
  a.packed->h_transposed[kPhase] = transposed;
  a.packed->h_transposed_separate = apart;
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
  pack_gates<V>(a.weight_hr, 0, 1, size, hidden, kTileVectors, 1, forward);
  pack_rows<V>(a.weight_hr, size, hidden, transposed);
  a.packed->projection = forward;
  a.packed->projection_transposed = transposed;
}

template <class V, class Cell>
Index pack(const PackArgs<typename V::Scalar>& a) noexcept {
  Pieces<typename V::Scalar> pieces{a.out, 0};
  pack_phase<V, Cell, 0>(a, pieces);
  if constexpr (Cell::info.phases == 2) pack_phase<V, Cell, 1>(a, pieces);
  constexpr int kInputBlocks = input_blocks(Cell::info);
  const Index depth = kInputBlocks * a.hidden_size;
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
      const auto* const parameter = a.parameters[i / stride];
      parameters[i] = parameter != nullptr && unit < a.hidden_size ? parameter[unit] : 0;
    }
  }
  return pieces.used;
}

}  // namespace simdrnn::SIMDRNN_ISA
