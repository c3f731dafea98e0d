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
struct PhaseShape {
  int first, gates;     // of the cell's
  int separate;         // of the last of them, W x and R h apart
  int input_only;       // of the last of them, without a recurrent product
  int recurrent;        // gates with one
  bool sees_hidden;     // instead of x
  int slots;            // sums of a unit: the gates', and what is separate behind them
  bool uneven;          // whether some of the tile's vectors differ by what follows or is missing
  int unit_vectors;     // of a tile
  int first_recurrent;  // block of rows of weight_hh, for h or for the operand
  int joint;            // gates that are sums of both
};

[[gnu::always_inline]] constexpr PhaseShape phase_of(const CellInfo& info, int phase) noexcept {
  PhaseShape p{};
  p.first = phase == 0 ? 0 : info.gate_count - info.second_gates;
  p.gates = phase == 0 ? info.gate_count - info.second_gates : info.second_gates;
  p.separate = info.separate;
  p.input_only = phase == 0 ? info.input_only : 0;
  p.recurrent = p.gates - p.input_only;
  p.sees_hidden = phase == 1 && info.second_sees_h;
  p.slots = p.gates + p.separate;
  p.uneven = p.separate > 0 || (p.input_only > 0 && p.recurrent > 0);
  p.unit_vectors = p.uneven ? 1 : kTileVectors / p.slots;
  p.first_recurrent = phase == 0 ? 0 : recurrent_blocks(info) - info.second_gates;
  p.joint = p.recurrent - p.separate;
  return p;
}

// The same at compile time.
template <class Cell, int kPhase>
struct Phase {
  static constexpr CellInfo info = Cell::info;
  static constexpr PhaseShape shape = phase_of(info, kPhase);
  static constexpr int kGates = shape.gates, kSeparate = shape.separate;
  static constexpr int kInputOnly = shape.input_only, kRecurrent = shape.recurrent;
  static constexpr int kSlots = shape.slots, kUnitVectors = shape.unit_vectors;
  static constexpr bool kSeesHidden = shape.sees_hidden, kUneven = shape.uneven;
  static_assert(kSeparate == 0 || kInputOnly == 0, "no cell has needed both yet");
  static_assert(!info.second_sees_h || (info.phases == 2 && recurrent_gates(info) == 1),
                "a gate of a second phase, and with dropout by gate the only one that sees h");
  static_assert(kSlots <= kTileVectors,
                "a cell with more gates than a tile has vectors needs a wider tile");
  static_assert(!info.heads || (info.phases == 1 && kSeparate == 0 && kInputOnly == 0 &&
                                kUnitVectors == 1 && info.cell_parameters == 0),
                "what heads have not been made to go with");
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
template <class T>
void sum_biases(const PackArgs<T>& a, const CellInfo& info, int phase, T* sum) noexcept {
  const PhaseShape p = phase_of(info, phase);
  const int input_rows = input_blocks(info);
  const int first_recurrent = phase == 0 ? 0 : recurrent_gates(info) - info.second_gates;
  const Index hidden = a.hidden_size;
  for (Index g = 0; g < p.gates; ++g) {
    const bool input = a.bias_ih != nullptr && p.first + g < input_rows;
    const bool recurrent = a.bias_hh != nullptr && g < p.joint;
    for (Index i = 0; i < hidden; ++i) {
      const T input_bias = input ? a.bias_ih[(p.first + g) * hidden + i] : T(0);
      const T recurrent_bias = recurrent ? a.bias_hh[(first_recurrent + g) * hidden + i] : T(0);
      sum[g * hidden + i] = input_bias + recurrent_bias;
    }
  }
}

template <class V>
void pack_phase(const PackArgs<typename V::Scalar>& a, const CellInfo& info, int phase,
                Pieces<typename V::Scalar>& pieces) noexcept {
  using T = typename V::Scalar;
  const PhaseShape p = phase_of(info, phase);
  const Index hidden = a.hidden_size, input = p.sees_hidden ? hidden : a.input_size;
  const Index h_size = a.projected_size > 0 ? a.projected_size : hidden;
  const Index depth = h_size / a.heads;
  const Index lanes = a.heads * vectors_of<V>(hidden / a.heads) * V::kLanes;
  const Index h_lanes = a.heads * vectors_of<V>(depth) * V::kLanes;
  // What the backward product takes apart from the rest, and which block of weight_hh it begins at.
  const int apart_gates = p.sees_hidden ? 1 : p.separate;
  const int first_apart = p.sees_hidden ? p.first_recurrent - 1 : p.joint;
  T* x = pieces.take(lanes * p.gates * input);
  T* h = pieces.take(lanes * p.recurrent * depth);
  T* bias = pieces.take(lanes * p.gates);
  T* transposed = pieces.take(h_lanes * p.joint * (hidden / a.heads));
  T* apart = pieces.take(h_lanes * apart_gates * hidden);
  T* bias_separate = pieces.take(lanes * p.separate);
  T* sum = pieces.take(p.gates * hidden);  // bias in the user's order
  if (pieces.base == nullptr) return;
  if (p.sees_hidden) {
    pack_gates<V>(a.weight_hh, first_apart, 1, hidden, hidden, p.unit_vectors, a.heads, x);
  } else {
    pack_gates<V>(a.weight_ih, p.first, p.gates, hidden, input, p.unit_vectors, a.heads, x);
  }
  pack_gates<V>(a.weight_hh, p.first_recurrent, p.recurrent, hidden, depth, p.unit_vectors, a.heads,
                h);
  sum_biases(a, info, phase, sum);
  pack_gates<V>(sum, 0, p.gates, hidden, 1, p.unit_vectors, a.heads, bias);
  const Index block = hidden * h_size;
  if (a.heads > 1) {
    pack_heads<V>(a, p.gates, transposed);
  } else if (p.joint > 0) {
    pack_rows<V>(a.weight_hh + p.first_recurrent * block, p.joint * hidden, h_size, transposed);
  }
  if (apart_gates > 0) {
    pack_rows<V>(a.weight_hh + first_apart * block, apart_gates * hidden, h_size, apart);
  }
  if (p.separate > 0) {
    if (a.bias_hh != nullptr) {
      pack_gates<V>(a.bias_hh, p.joint, p.separate, hidden, 1, p.unit_vectors, 1, bias_separate);
    } else {
      for (Index i = 0; i < lanes * p.separate; ++i) bias_separate[i] = 0;
    }
  }
  a.packed->x[phase] = x;
  a.packed->h[phase] = h;
  a.packed->bias[phase] = bias;
  a.packed->h_transposed[phase] = transposed;
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

template <class V>
[[gnu::noinline]] Index pack_cell(const PackArgs<typename V::Scalar>& a,
                                  const CellInfo& info) noexcept {
  Pieces<typename V::Scalar> pieces{a.out, 0};
  for (int phase = 0; phase < info.phases; ++phase) pack_phase<V>(a, info, phase, pieces);
  const Index depth = input_blocks(info) * a.hidden_size;
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

template <class V, class Cell>
Index pack(const PackArgs<typename V::Scalar>& a) noexcept {
  return pack_cell<V>(a, Cell::info);
}

}  // namespace simdrnn::SIMDRNN_ISA
