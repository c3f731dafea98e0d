// Rows times packed weights, cut into register tiles. The recurrent step itself is in
// kernels/forward/loop.hpp, because its epilogue is the cell.
#pragma once
#include "abi/args.hpp"
#include "kernels/gemm/pack.hpp"
#include "kernels/gemm/tile.hpp"
#include "kernels/simd/partial.hpp"

namespace simdrnn::SIMDRNN_ISA {

// out[r][begin, end) = init + x_rows[r] * x_panels + h_rows[r] * h_panels; `begin` is the start of
// a vector, the matrices have `width` columns.
template <class T>
struct ProductArgs {
  Index rows, width, begin, end;
  const T* const* x_rows;
  const T* const* h_rows;
  Index x_depth, h_depth;
  const T* x_panels;
  const T* h_panels;
  Index h_first, h_panel_depth;  // the part of deeper panels that is taken; depth 0: all of them
  int tile_vectors;              // how the panels were cut
  const T* bias;    // end elements padded to full vectors, or null: start from 0, or from out
  bool accumulate;  // start from out
  bool backwards;   // from the last tile to the first: see kernels/forward/loop.hpp
  T* const* out;
};

template <class V>
constexpr Index kTileBuffer = kTileRows * kTileVectors * V::kLanes;

// How multiply_rows forms a tile of so many vectors, or kWideTiles of them, and rows.
template <class V>
struct Tiles {
  using T = typename V::Scalar;
  void operator()(int vectors, Index rows, bool wide, const TileArgs<T>& t, T* out) const noexcept {
    tile_function<V>(vectors, rows, wide)(t, out);
  }
};

// Columns [first, first + columns) of all rows: a tile, or for a lone row perhaps kWideTiles of
// them.
template <class V, class Form>
void multiply_tile(const ProductArgs<typename V::Scalar>& a, Index first, Index columns, bool wide,
                   const Form& form) noexcept {
  using T = typename V::Scalar;
  constexpr Index kLanes = V::kLanes;
  alignas(64) T out[kTileBuffer<V>];
  alignas(64) T init[kTileBuffer<V>];
  const Index vectors = vectors_of<V>(columns);
  TileArgs<T> t{};
  t.x_depth = a.x_depth;
  t.h_depth = a.h_depth;
  const Index tile = a.tile_vectors * kLanes, start = first / tile * tile;
  t.panel_stride = tile < a.width - start ? tile : round_up(a.width - start, kLanes);
  t.x_panel = a.x_panels + start * a.x_depth + (first - start);
  const Index panel_depth = a.h_panel_depth > 0 ? a.h_panel_depth : a.h_depth;
  t.h_panel = a.h_panels + start * panel_depth + a.h_first * t.panel_stride + (first - start);
  t.init = init;
  if (a.bias != nullptr) {
    t.init = a.bias + first;
  } else if (a.accumulate) {
    t.init_stride = vectors * kLanes;
  } else {
    for (Index v = 0; v < vectors; ++v) V(T(0)).store(init + v * kLanes);
  }
  RowBlocks blocks(a.rows);
  for (Index row = 0; row < a.rows;) {
    const Index rows = blocks.next();
    t.x_rows = a.x_rows + row;
    t.h_rows = a.h_rows + row;
    if (a.accumulate) {
      for (Index m = 0; m < rows; ++m) {
        for (Index v = 0; v < vectors; ++v) {
          load_up_to<V>(a.out[row + m] + first + v * kLanes, columns - v * kLanes)
              .store(init + (m * vectors + v) * kLanes);
        }
      }
    }
    form(wide ? a.tile_vectors : static_cast<int>(vectors), rows, wide, t, out);
    for (Index m = 0; m < rows; ++m) {
      for (Index v = 0; v < vectors; ++v) {
        store_up_to<V>(V::load(out + (m * vectors + v) * kLanes),
                       a.out[row + m] + first + v * kLanes, columns - v * kLanes);
      }
    }
    row += rows;
  }
}

template <class V, class Form = Tiles<V>>
void multiply_rows(const ProductArgs<typename V::Scalar>& a, const Form& form = {}) noexcept {
  const Index tile = a.tile_vectors * V::kLanes;
  // A wide tile takes its neighbour for one as deep as itself.
  const bool lone = a.rows == 1 && a.h_panel_depth == 0;
  const Index width = lone ? kWideTiles * tile : tile;
  // Columns that are in one stretch of `width`: it whole, or its tiles one by one.
  const auto stretch = [&](Index first, Index last) noexcept {
    if (lone && last - first == width) {
      multiply_tile<V>(a, first, width, true, form);
      return;
    }
    while (first < last) {
      const Index next = (first / tile + 1) * tile, end = next < last ? next : last;
      multiply_tile<V>(a, first, end - first, false, form);
      first = end;
    }
  };
  if (!a.backwards) {
    for (Index first = a.begin, next = (first / width + 1) * width; first < a.end; next += width) {
      const Index last = next < a.end ? next : a.end;
      stretch(first, last);
      first = last;
    }
  } else {
    for (Index last = a.end; last > a.begin;) {
      const Index start = (last - 1) / width * width, first = start > a.begin ? start : a.begin;
      stretch(first, last);
      last = first;
    }
  }
}

}  // namespace simdrnn::SIMDRNN_ISA
