// Sums over rows that are gradients: of outer products for weights, of the rows themselves for
// biases.
#pragma once
#include "abi/args.hpp"
#include "kernels/gemm/pack.hpp"
#include "kernels/gemm/tile.hpp"
#include "kernels/simd/partial.hpp"

namespace simdrnn::SIMDRNN_ISA {

// kColumns columns of d_pre times one packed block of the operand.
template <class V, int kColumns, int kVectors>
void outer_tile(const OuterArgs<typename V::Scalar>& a, Index column) noexcept {
  using T = typename V::Scalar;
  constexpr Index kLanes = V::kLanes;
  V acc[kColumns][kVectors];
  T* out = a.out + column * a.out_stride;
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      acc[c][v] = a.overwrite ? V(T(0))
                              : load_up_to<V>(out + c * a.out_stride + v * kLanes,
                                              a.operand_width - v * kLanes);
    }
  }
  const T* d = a.d_pre + a.first + column;
  const T* operand = a.scratch;
  for (Index r = 0; r < a.rows; ++r, d += a.d_pre_stride, operand += kVectors * kLanes) {
    V w[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) w[v] = V::load(operand + v * kLanes);
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      const V x(d[c]);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) acc[c][v] = fma(x, w[v], acc[c][v]);
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      store_up_to<V>(acc[c][v], out + c * a.out_stride + v * kLanes, a.operand_width - v * kLanes);
    }
  }
}

template <class V, int kVectors>
void outer_columns(const OuterArgs<typename V::Scalar>& a, Index column, Index columns) noexcept {
  switch (columns) {
    case 1:
      return outer_tile<V, 1, kVectors>(a, column);
    case 2:
      return outer_tile<V, 2, kVectors>(a, column);
    case 3:
      return outer_tile<V, 3, kVectors>(a, column);
    default:
      break;
  }
  if constexpr (kTileRows > 3) {
    switch (columns) {
      case 4:
        return outer_tile<V, 4, kVectors>(a, column);
      case 5:
        return outer_tile<V, 5, kVectors>(a, column);
      default:
        return outer_tile<V, 6, kVectors>(a, column);
    }
  }
}

template <class V>
void outer(const OuterArgs<typename V::Scalar>& a) noexcept {
  constexpr Index kLanes = V::kLanes;
  const Index vectors = vectors_of<V>(a.operand_width);
  // Copied once, padded, and then streamed by every block of columns.
  auto* to = a.scratch;
  for (Index r = 0; r < a.rows; ++r, to += vectors * kLanes) {
    const auto* from = a.operand[r] + a.operand_begin;
    for (Index v = 0; v < vectors; ++v) {
      load_up_to<V>(from + v * kLanes, a.operand_width - v * kLanes).store(to + v * kLanes);
    }
  }
  RowBlocks blocks(a.columns);
  for (Index column = 0; column < a.columns;) {
    const Index columns = blocks.next();
    switch (vectors) {
      case 1:
        outer_columns<V, 1>(a, column, columns);
        break;
      case 2:
        outer_columns<V, 2>(a, column, columns);
        break;
      case 3:
        outer_columns<V, 3>(a, column, columns);
        break;
      default:
        outer_columns<V, 4>(a, column, columns);
        break;
    }
    column += columns;
  }
}

template <class V>
void sum(const SumArgs<typename V::Scalar>& a) noexcept {
  using T = typename V::Scalar;
  constexpr Index kLanes = V::kLanes;
  for (Index c = 0; c < a.columns; c += kLanes) {
    const Index n = a.columns - c;
    V total = a.overwrite ? V(T(0)) : load_up_to<V>(a.out + c, n);
    const T* d = a.d_pre + a.first + c;
    for (Index r = 0; r < a.rows; ++r) {
      total = total + load_up_to<V>(d + r * a.d_pre_stride, n);
    }
    store_up_to(total, a.out + c, n);
  }
}

}  // namespace simdrnn::SIMDRNN_ISA
