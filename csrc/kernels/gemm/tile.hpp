// The register tile: M rows times one panel of packed weights (pack.hpp), accumulators in
// registers.
//
// Every output is one chain of FMAs: its initial value, then the input part in ascending k, then
// the recurrent part in ascending k. Rows, tiles and threads never share or split a chain, so no
// output depends on M, on the batch, or on how work was cut; lanes are separate outputs, so it does
// not depend on the ISA either.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/simd/vec.hpp"

namespace simdrnn::SIMDRNN_ISA {

// Vectors per tile at most: with kTileRows rows they fill the register file.
inline constexpr int kTileVectors = 4;
// One row alone takes this many neighbouring tiles at once: 4 chains would wait on the latency of
// the FMA.
inline constexpr int kWideTiles = 2;

// Whether a row's sums can stay in registers while the cell works on them. With 16 registers the
// cell needs them all: one row of 32 units was 2 % slower so.
inline constexpr bool kManyRegisters = kTileRows > 3;

// Left operands are given as pointers to rows, so that any subset of a batch, of any layout, is one
// block.
template <class T>
struct TileArgs {
  const T* const* x_rows;  // M rows of x_depth elements; depth 0: no input part
  const T* const* h_rows;
  Index x_depth, h_depth;
  const T* x_panel;  // [k][vector][lane]
  const T* h_panel;
  Index panel_stride;      // elements from k to k + 1: more than the tile's where it is part of one
  const T* init;           // [row][vector][lane], init_stride elements from row to row
  Index init_stride;       // 0: a bias, the same for all rows
  const T* init_separate;  // [vector][lane], for the separate recurrent parts
  Index gate_stride;       // elements from one gate's h to the next one's, where each has its own
};

// acc[j][m][slot(v)] += rows[m][k] * panel_j[v], one k of J panels that are `next` elements apart.
// The last kSeparate vectors of a recurrent part go to slots of their own, behind the input part's.
template <int kVectors, int kSeparate, class V, int J, int M, int kSlots>
[[gnu::always_inline]] inline void add_product(V (&acc)[J][M][kSlots],
                                               const typename V::Scalar* const (&rows)[M], Index k,
                                               const typename V::Scalar* panel,
                                               Index next) noexcept {
#pragma GCC unroll 8
  for (int j = 0; j < J; ++j) {
    V w[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) w[v] = V::load(panel + j * next + v * V::kLanes);
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
      const V x(rows[m][k]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        V& sum = acc[j][m][v < kVectors - kSeparate ? v : v + kSeparate];
        sum = fma(x, w[v], sum);
      }
    }
  }
}

// The same for k in [0, depth), ascending; a panel is [k][vector][lane].
template <int kVectors, int kSeparate, class V, int J, int M, int kSlots>
[[gnu::always_inline]] inline void accumulate(V (&acc)[J][M][kSlots],
                                              const typename V::Scalar* const* rows, Index depth,
                                              const typename V::Scalar* panel,
                                              Index stride) noexcept {
  const typename V::Scalar* row[M];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) row[m] = rows[m];
  const Index next = depth * stride;  // from one tile's panel to its neighbour's
  for (Index k = 0; k < depth; ++k, panel += stride) {
    add_product<kVectors, kSeparate>(acc, row, k, panel, next);
  }
}

// What the sums of J neighbouring tiles of M rows begin with.
template <int kVectors, int kSeparate, class V, int J, int M, int kSlots>
[[gnu::always_inline]] inline void begin_sums(const TileArgs<typename V::Scalar>& a,
                                              V (&acc)[J][M][kSlots]) noexcept {
  constexpr int kLanes = V::kLanes;
  static_assert(kSlots == kVectors + kSeparate);
#pragma GCC unroll 8
  for (int j = 0; j < J; ++j) {
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        acc[j][m][v] = V::load(a.init + m * a.init_stride + (j * kVectors + v) * kLanes);
      }
#pragma GCC unroll 8
      for (int s = 0; s < kSeparate; ++s) {
        acc[j][m][kVectors + s] = V::load(a.init_separate + (j * kSeparate + s) * kLanes);
      }
    }
  }
}

// The sums. The last kInputOnly vectors have no recurrent part: the recurrent panel is narrower by
// them.
template <int kVectors, int kSeparate, int kInputOnly, class V, int J, int M, int kSlots>
[[gnu::always_inline]] inline void sum_up(const TileArgs<typename V::Scalar>& a,
                                          V (&acc)[J][M][kSlots]) noexcept {
  begin_sums<kVectors, kSeparate>(a, acc);
  if (a.x_depth > 0) accumulate<kVectors, 0>(acc, a.x_rows, a.x_depth, a.x_panel, a.panel_stride);
  if constexpr (kInputOnly == 0) {
    accumulate<kVectors, kSeparate>(acc, a.h_rows, a.h_depth, a.h_panel, a.panel_stride);
  } else {
    constexpr int kRecurrent = kVectors - kInputOnly;
    accumulate<kRecurrent, 0>(acc, a.h_rows, a.h_depth, a.h_panel, kRecurrent * V::kLanes);
  }
}

// The same into out[j][m][slot][lane].
template <class V, int kVectors, int kSeparate, int kInputOnly, int M, int J>
void tile(const TileArgs<typename V::Scalar>& a, typename V::Scalar* out) noexcept {
  constexpr int kSlots = kVectors + kSeparate;
  constexpr int kLanes = V::kLanes;
  V acc[J][M][kSlots];
  sum_up<kVectors, kSeparate, kInputOnly>(a, acc);
#pragma GCC unroll 8
  for (int j = 0; j < J; ++j) {
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
      for (int v = 0; v < kSlots; ++v) {
        acc[j][m][v].store(out + ((j * M + m) * kSlots + v) * kLanes);
      }
    }
  }
}

// The same for one tile whose gates see an h each: gate g's is gate_stride elements behind that of
// the gate before.
template <class V, int kUnits, int kGates, int kSeparate, int kInputOnly, int M>
void tile_by_gate(const TileArgs<typename V::Scalar>& a, typename V::Scalar* out) noexcept {
  constexpr int kVectors = kUnits * kGates, kSlots = kVectors + kSeparate;
  constexpr int kLanes = V::kLanes;
  V acc[1][M][kSlots];
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      acc[0][m][v] = V::load(a.init + m * a.init_stride + v * kLanes);
    }
#pragma GCC unroll 8
    for (int s = 0; s < kSeparate; ++s)
      acc[0][m][kVectors + s] = V::load(a.init_separate + s * kLanes);
  }
  if (a.x_depth > 0) accumulate<kVectors, 0>(acc, a.x_rows, a.x_depth, a.x_panel, a.panel_stride);
  static_assert(kUnits == 1 || kInputOnly == 0, "the gates of several units would alternate");
  constexpr int kRecurrent = kVectors - kInputOnly;
  const Index stride = kInputOnly == 0 ? a.panel_stride : Index(kRecurrent * kLanes);
  const typename V::Scalar* panel = a.h_panel;
  for (Index k = 0; k < a.h_depth; ++k, panel += stride) {
#pragma GCC unroll 8
    for (int v = 0; v < kRecurrent; ++v) {
      const V w = V::load(panel + v * kLanes);
#pragma GCC unroll 8
      for (int m = 0; m < M; ++m) {
        V& sum = acc[0][m][v < kVectors - kSeparate ? v : v + kSeparate];
        sum = fma(V(a.h_rows[m][v % kGates * a.gate_stride + k]), w, sum);
      }
    }
  }
#pragma GCC unroll 8
  for (int m = 0; m < M; ++m) {
#pragma GCC unroll 8
    for (int v = 0; v < kSlots; ++v) acc[0][m][v].store(out + (m * kSlots + v) * kLanes);
  }
}

template <class T>
using TileFunction = void (*)(const TileArgs<T>&, T*) noexcept;

// The tile for `rows` rows (and kWideTiles neighbours if `wide`, for one row).
template <class V, int kVectors, int kSeparate, int kInputOnly>
TileFunction<typename V::Scalar> tile_function(Index rows, bool wide) noexcept {
  if (wide) return tile<V, kVectors, kSeparate, kInputOnly, 1, kWideTiles>;
  switch (rows) {
    case 1:
      return tile<V, kVectors, kSeparate, kInputOnly, 1, 1>;
    case 2:
      return tile<V, kVectors, kSeparate, kInputOnly, 2, 1>;
    case 3:
      return tile<V, kVectors, kSeparate, kInputOnly, 3, 1>;
    default:
      break;
  }
  if constexpr (kTileRows > 3) {
    switch (rows) {
      case 4:
        return tile<V, kVectors, kSeparate, kInputOnly, 4, 1>;
      case 5:
        return tile<V, kVectors, kSeparate, kInputOnly, 5, 1>;
      default:
        return tile<V, kVectors, kSeparate, kInputOnly, 6, 1>;
    }
  }
  return nullptr;
}
static_assert(kTileRows == 3 || kTileRows == 6, "tile_function lists the row counts");

// The tile of gates with an h each for `rows` rows and `units` <= kUnits unit vectors.
template <class V, int kUnits, int kGates, int kSeparate, int kInputOnly, int M = kTileRows>
TileFunction<typename V::Scalar> gate_tile_function(Index units, Index rows) noexcept {
  if constexpr (kUnits > 1) {
    if (units < kUnits) {
      return gate_tile_function<V, kUnits - 1, kGates, kSeparate, kInputOnly>(units, rows);
    }
  }
  if constexpr (M > 1) {
    if (rows < M) {
      return gate_tile_function<V, kUnits, kGates, kSeparate, kInputOnly, M - 1>(units, rows);
    }
  }
  return tile_by_gate<V, kUnits, kGates, kSeparate, kInputOnly, M>;
}

// The tile for a panel of `vectors` <= kTileVectors vectors.
template <class V>
TileFunction<typename V::Scalar> tile_function(int vectors, Index rows, bool wide) noexcept {
  switch (vectors) {
    case 1:
      return tile_function<V, 1, 0, 0>(rows, wide);
    case 2:
      return tile_function<V, 2, 0, 0>(rows, wide);
    case 3:
      return tile_function<V, 3, 0, 0>(rows, wide);
    default:
      return tile_function<V, 4, 0, 0>(rows, wide);
  }
}

// Cuts n rows into blocks of at most kTileRows, as equal as can be: 7 rows are 4 + 3, not 6 + 1,
// because a lone row waits on latency.
struct RowBlocks {
  Index rows_left, blocks_left;
  explicit RowBlocks(Index n) noexcept
      : rows_left(n), blocks_left((n + kTileRows - 1) / kTileRows) {}
  Index next() noexcept {
    const Index rows = (rows_left + blocks_left - 1) / blocks_left;
    rows_left -= rows;
    --blocks_left;
    return rows;
  }
};

}  // namespace simdrnn::SIMDRNN_ISA
