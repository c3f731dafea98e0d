// Rows times a packed matrix, for what is no recurrent layer: sr.Linear, heads, attention.
#pragma once
#include "abi/args.hpp"
#include "kernels/gemm/pack.hpp"
#include "kernels/gemm/rows.hpp"

namespace simdrnn::SIMDRNN_ISA {

// Rows that go through all panels before the next ones do: enough that reading the panels again is
// hidden behind the products, few enough that 512 floats of each stay in the second-level cache.
inline constexpr Index kDenseRows = 96;

template <class V>
void dense(const DenseArgs<typename V::Scalar>& a) noexcept {
  using T = typename V::Scalar;
  const T* x[kDenseRows];
  T* out[kDenseRows];
  for (Index first = 0; first < a.rows; first += kDenseRows) {
    const Index rows = kDenseRows < a.rows - first ? kDenseRows : a.rows - first;
    for (Index r = 0; r < rows; ++r) {
      x[r] = a.x + (first + r) * a.x_stride;
      out[r] = a.out + (first + r) * a.out_stride;
    }
    ProductArgs<T> product{};
    product.rows = rows;
    product.width = a.width;
    product.begin = a.begin;
    product.end = a.end;
    product.x_rows = x;
    product.h_rows = x;  // of depth 0
    product.x_depth = a.depth;
    product.x_panels = a.panels;
    product.h_panels = a.panels;
    product.tile_vectors = kTileVectors;
    product.bias = a.bias;
    product.out = out;
    multiply_rows<V>(product);
  }
}

template <class V>
void pack_dense(const DensePackArgs<typename V::Scalar>& a) noexcept {
  const bool stream = a.width * a.depth * Index(sizeof(typename V::Scalar)) >= kStreamBytes;
  const RowPanels<V> transposed{a.transposed, a.width, a.depth};
  pack_gates<V>(
      {a.matrix, 0, 1, a.width, a.depth, 1, stream, a.part, a.parts}, kTileVectors,
      [&](Index) { return GatePanels<V>{transposed, 0}; }, a.panels);
  V::finish_streams();
}

}  // namespace simdrnn::SIMDRNN_ISA
