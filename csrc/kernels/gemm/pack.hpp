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
#include "kernels/gemm/transpose.hpp"

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

// Gates of a (all gates * H, K) matrix, or of a bias (K = 1).
template <class V>
struct GateRows {
  const typename V::Scalar* from;
  Index first, gates;  // of the matrix's blocks of H rows
  Index hidden, depth, heads;
  bool stream = false;        // past the caches
  Index part = 0, parts = 1;  // its tiles are cut into so many parts, of which this is one
};

// Where a gate's rows go as they are, and at which row they begin.
template <class V>
struct GatePanels {
  RowPanels<V> panels;
  Index first_row = 0;
};

// The vectors of a tile: their rows of the matrix, the gates they are of (of heads each has gates
// of its own, numbered head by head), and where in the packed form the tile begins.
template <class V>
struct GateTile {
  Rows<V> rows[kTileVectors];
  Index gate[kTileVectors];
  Index count, at;
  [[nodiscard]] Index step() const noexcept { return count * V::kLanes; }  // from k to k + 1
};

template <class V>
GateTile<V> gate_tile(const GateRows<V>& m, Index unit_vectors, Index tile) noexcept {
  const Index head = m.hidden / m.heads, head_vectors = vectors_of<V>(head);
  const Index q = tile * unit_vectors, vectors = m.heads * head_vectors;
  const Index width = unit_vectors < vectors - q ? unit_vectors : vectors - q;
  GateTile<V> found;
  found.count = 0;
  found.at = q * m.gates * V::kLanes * m.depth;
  for (Index u = 0; u < width; ++u) {
    const Index of_head = (q + u) / head_vectors;
    const Index within = (q + u) % head_vectors * V::kLanes;
    const Index unit = of_head * head + within;
    const Index units = head - within < V::kLanes ? head - within : V::kLanes;
    for (Index g = 0; g < m.gates; ++g, ++found.count) {
      const Index row = (m.first + g) * m.hidden + unit;
      const auto* const from = m.from == nullptr ? nullptr : m.from + row * m.depth;
      found.rows[found.count] = {from, m.depth, units, unit};
      found.gate[found.count] = of_head * m.gates + g;
    }
  }
  return found;
}

// Calls act(tile, panels) for each tile of this part. `panels_of(gate)` says where that gate's rows
// go beside the tile.
template <class V, class PanelsOf, class Act>
[[gnu::always_inline]] inline void each_gate_tile(const GateRows<V>& m, int unit_vectors,
                                                  PanelsOf panels_of, Act act) noexcept {
  const Index vectors = m.heads * vectors_of<V>(m.hidden / m.heads);
  const Index tiles = ceil_div(vectors, unit_vectors);
  for (Index i = tiles * m.part / m.parts; i < tiles * (m.part + 1) / m.parts; ++i) {
    GateTile<V> tile = gate_tile(m, unit_vectors, i);
    RowPanels<V> panels[kTileVectors];
    for (Index v = 0; v < tile.count; ++v) {
      const GatePanels<V> besides = panels_of(tile.gate[v]);
      tile.rows[v].first += besides.first_row;
      panels[v] = besides.panels;
    }
    act(tile, panels);
  }
}

// Packs gates for the forward product, and their rows as `panels_of` says.
template <class V, class PanelsOf>
void pack_gates(const GateRows<V>& m, int unit_vectors, PanelsOf panels_of,
                typename V::Scalar* to) noexcept {
  const auto pack = [&](const GateTile<V>& tile, const RowPanels<V>* panels) noexcept {
    if constexpr (V::kLanes > 1 && kLineVectors<V> > 1) {
      if (m.stream) return stream_tile<V>(tile.rows, panels, tile.count, m.depth, to + tile.at);
    }
    for (Index v = 0; v < tile.count; ++v) {
      auto* const lanes = to + tile.at + v * V::kLanes;
      m.stream ? rows_to_lanes<V, true>(tile.rows[v], m.depth, tile.step(), lanes, panels[v])
               : rows_to_lanes<V, false>(tile.rows[v], m.depth, tile.step(), lanes, panels[v]);
    }
  };
  each_gate_tile<V>(m, unit_vectors, panels_of, pack);
}

// The same where all is packed but for the panels.
template <class V, class PanelsOf>
void panels_of_packed(const GateRows<V>& m, int unit_vectors, PanelsOf panels_of,
                      const typename V::Scalar* packed) noexcept {
  const auto pack = [&](const GateTile<V>& tile, const RowPanels<V>* panels) noexcept {
    for (Index v = 0; v < tile.count; ++v) {
      const auto* const lanes = packed + tile.at + v * V::kLanes;
      m.stream ? lanes_to_panels<V, true>(lanes, m.depth, tile.step(), tile.rows[v], panels[v])
               : lanes_to_panels<V, false>(lanes, m.depth, tile.step(), tile.rows[v], panels[v]);
    }
  };
  each_gate_tile<V>(m, unit_vectors, panels_of, pack);
}

template <class V>
void pack_gates(const GateRows<V>& m, int unit_vectors, typename V::Scalar* to) noexcept {
  pack_gates<V>(m, unit_vectors, [](Index) { return GatePanels<V>{}; }, to);
}

// Elements of one head's block of one gate's R, transposed.
template <class V>
constexpr Index head_panel(Index head) noexcept {
  return round_up(head, V::kLanes) * head;
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

template <class T>
struct BiasPieces {
  T* sum;  // in the user's order
  T* packed;
  T* separate;
};

template <class V>
void pack_biases(const PackArgs<typename V::Scalar>& a, const CellInfo& info, int phase,
                 const BiasPieces<typename V::Scalar>& to) noexcept {
  const PhaseShape p = phase_of(info, phase);
  const Index hidden = a.hidden_size;
  sum_biases(a, info, phase, to.sum);
  pack_gates<V>({to.sum, 0, p.gates, hidden, 1, a.heads}, p.unit_vectors, to.packed);
  if (p.separate > 0 && a.bias_hh != nullptr) {
    pack_gates<V>({a.bias_hh, p.joint, p.separate, hidden, 1, 1}, p.unit_vectors, to.separate);
  } else {
    const Index lanes = a.heads * vectors_of<V>(hidden / a.heads) * V::kLanes;
    for (Index i = 0; i < lanes * p.separate; ++i) to.separate[i] = 0;
  }
}

// Matrices of this many bytes, packed for both ways by pack_dense, are written past the caches.
// (Cells are told by the engine, which knows how large the last cache is.)
constexpr Index kStreamBytes = Index{4} << 20;

// One layer and direction on its way into its packed forms.
template <class V>
class Packer {
  using T = typename V::Scalar;

 public:
  Packer(const PackArgs<T>& args, const CellInfo& info) noexcept
      : a_(args), info_(info), forward_{args.out, 0}, backward_{args.out_backward, 0} {}

  PackedElements run() noexcept {
    const Index depth = input_blocks(info_) * a_.hidden_size;
    T* const x = backward_.take(vectors_of<V>(a_.input_size) * V::kLanes * depth);
    if (wanted()) a_.packed->x_transposed = x;
    for (int phase = 0; phase < info_.phases; ++phase) pack_phase(phase, {x, depth, a_.input_size});
    if (a_.projected_size > 0) pack_projection();
    pack_parameters();
    V::finish_streams();
    return {forward_.used, backward_.used};
  }

 private:
  [[nodiscard]] bool anew() const noexcept { return a_.out != nullptr; }
  [[nodiscard]] bool wanted() const noexcept { return a_.out_backward != nullptr; }

  // A matrix, which goes to `place` unless it is there, and besides to its gates' panels.
  template <class PanelsOf>
  void pack(GateRows<V> m, int unit_vectors, PanelsOf panels_of, const T*& place,
            T* to) const noexcept {
    m.stream = a_.stream;
    m.part = a_.part;
    m.parts = a_.parts;
    if (anew()) {
      place = to;
      pack_gates<V>(m, unit_vectors, panels_of, to);
    } else if (wanted()) {
      m.from = nullptr;
      panels_of_packed<V>(m, unit_vectors, panels_of, place);
    }
  }

  void pack_phase(int phase, const RowPanels<V>& x_transposed) noexcept {
    const PhaseShape p = phase_of(info_, phase);
    const Index hidden = a_.hidden_size, input = p.sees_hidden ? hidden : a_.input_size;
    const Index h_size = a_.projected_size > 0 ? a_.projected_size : hidden;
    const Index depth = h_size / a_.heads, head = hidden / a_.heads;
    const Index lanes = a_.heads * vectors_of<V>(head) * V::kLanes;
    const Index h_lanes = a_.heads * vectors_of<V>(depth) * V::kLanes;
    // What the backward product takes apart from the rest, and at which block of weight_hh it
    // begins.
    const int apart_gates = p.sees_hidden ? 1 : p.separate;
    const int first_apart = p.sees_hidden ? p.first_recurrent - 1 : p.joint;
    T* const x = forward_.take(lanes * p.gates * input);
    T* const h = forward_.take(lanes * p.recurrent * depth);
    T* const transposed = backward_.take(h_lanes * p.joint * head);
    T* const apart = backward_.take(h_lanes * apart_gates * hidden);
    if (wanted()) {
      a_.packed->h_transposed[phase] = transposed;
      a_.packed->h_transposed_separate = apart;
    }
    const RowPanels<V> apart_panels{apart, apart_gates * hidden, h_size};
    if (p.sees_hidden) {
      pack(
          {a_.weight_hh, first_apart, 1, hidden, hidden, a_.heads}, p.unit_vectors,
          [&](Index) { return GatePanels<V>{apart_panels, 0}; }, a_.packed->x[phase], x);
    } else {
      pack(
          {a_.weight_ih, p.first, p.gates, hidden, input, a_.heads}, p.unit_vectors,
          [&](Index g) { return GatePanels<V>{x_transposed, (p.first + g % p.gates) * hidden}; },
          a_.packed->x[phase], x);
    }
    pack(
        {a_.weight_hh, p.first_recurrent, p.recurrent, hidden, depth, a_.heads}, p.unit_vectors,
        [&](Index g) {
          if (a_.heads > 1) return head_panels(transposed, head, g, p.recurrent);
          if (g >= p.joint) return GatePanels<V>{apart_panels, (g - p.joint) * hidden};
          return GatePanels<V>{{transposed, p.joint * hidden, h_size}, g * hidden};
        },
        a_.packed->h[phase], h);
    pack_biases(phase, lanes);
  }

  // A head's block of a gate's R, by itself: its rows are numbered from the head's first unit.
  static GatePanels<V> head_panels(T* transposed, Index head, Index gate, Index gates) noexcept {
    if (transposed == nullptr) return {};
    return {{transposed + gate * head_panel<V>(head), head, head}, -(gate / gates) * head};
  }

  void pack_biases(int phase, Index lanes) noexcept {
    const PhaseShape p = phase_of(info_, phase);
    T* const packed = forward_.take(lanes * p.gates);
    T* const separate = forward_.take(lanes * p.separate);
    T* const sum = forward_.take(p.gates * a_.hidden_size);
    if (!anew()) return;
    a_.packed->bias[phase] = packed;
    a_.packed->bias_separate = separate;
    if (a_.part == 0)
      simdrnn::SIMDRNN_ISA::pack_biases<V>(a_, info_, phase, {sum, packed, separate});
  }

  // W_hr for the product with the cell's h, whose k steps are its columns, and W_hr^T.
  void pack_projection() noexcept {
    const Index hidden = a_.hidden_size, size = a_.projected_size;
    T* const forward = forward_.take(vectors_of<V>(size) * V::kLanes * hidden);
    T* const transposed = backward_.take(vectors_of<V>(hidden) * V::kLanes * size);
    if (wanted()) a_.packed->projection_transposed = transposed;
    const RowPanels<V> panels{transposed, size, hidden};
    pack(
        {a_.weight_hr, 0, 1, size, hidden, 1}, kTileVectors,
        [&](Index) { return GatePanels<V>{panels, 0}; }, a_.packed->projection, forward);
  }

  // Of the cell itself, and of layer normalisation.
  void pack_parameters() noexcept {
    const Index stride = vectors_of<V>(a_.hidden_size) * V::kLanes;
    T* const parameters = forward_.take(a_.parameter_count * stride);
    if (!anew()) return;
    a_.packed->parameters = parameters;
    a_.packed->parameter_stride = stride;
    for (Index i = 0; a_.part == 0 && i < a_.parameter_count * stride; ++i) {
      const Index unit = i % stride;
      const T* const parameter = a_.parameters[i / stride];
      parameters[i] = parameter != nullptr && unit < a_.hidden_size ? parameter[unit] : 0;
    }
  }

  const PackArgs<T>& a_;
  const CellInfo& info_;
  Pieces<T> forward_, backward_;
};

template <class V>
[[gnu::noinline]] PackedElements pack_cell(const PackArgs<typename V::Scalar>& a,
                                           const CellInfo& info) noexcept {
  return Packer<V>(a, info).run();
}

template <class V, class Cell>
PackedElements pack(const PackArgs<typename V::Scalar>& a) noexcept {
  return pack_cell<V>(a, Cell::info);
}

}  // namespace simdrnn::SIMDRNN_ISA
