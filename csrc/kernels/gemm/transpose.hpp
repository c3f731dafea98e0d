// Transposing blocks of kLanes x kLanes in registers: every cache line is read and written once,
// and whole. Column by column each line would be touched kLanes times, and where rows are a power
// of two apart it is gone from the cache in between.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/gemm/tile.hpp"
#include "kernels/simd/partial.hpp"
#include "kernels/simd/vec.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class V, int kBlock = 1>
[[gnu::always_inline]] inline void transpose(V* rows) noexcept {
  if constexpr (kBlock < V::kLanes) {
    for (int i = 0; i < V::kLanes; ++i) {
      if ((i & kBlock) == 0) V::template exchange<kBlock>(rows[i], rows[i | kBlock]);
    }
    transpose<V, 2 * kBlock>(rows);
  }
}

// Where rows go as they are: (rows, width), its columns in panels of kTileVectors vectors, one
// after the other, the last padded with zeros to whole vectors. Nowhere if `to` is null.
template <class V>
struct RowPanels {
  static constexpr Index kColumns = kTileVectors * V::kLanes;
  typename V::Scalar* to = nullptr;
  Index rows = 0, width = 0;

  // Place of a row's column, which begins a vector.
  [[nodiscard]] typename V::Scalar* at(Index row, Index column) const noexcept {
    const Index within = column % kColumns, first = column - within;
    return to + first * rows + row * stride(column) + within;
  }
  // From one row to the next, at a column.
  [[nodiscard]] Index stride(Index column) const noexcept {
    const Index first = column - column % kColumns;
    const Index columns = kColumns < width - first ? kColumns : width - first;
    return (columns + V::kLanes - 1) / V::kLanes * V::kLanes;
  }
};

// A matrix's rows: `count` of them, `stride` apart, from row number `first` of where they go to.
template <class V>
struct Rows {
  const typename V::Scalar* from;
  Index stride, count, first;
};

template <bool kStream, class V>
[[gnu::always_inline]] inline void put(V value, typename V::Scalar* to) noexcept {
  kStream ? value.stream(to) : value.store(to);
}

// Writes rows of `depth` values as `depth` vectors, `step` apart, whose lanes are the rows, and the
// rows themselves to `panels`. Lanes without a row become zero.
template <class V, bool kWhole, bool kPanels, bool kStream>
[[gnu::always_inline]] inline void rows_to_lanes_of(const Rows<V>& rows, Index depth, Index step,
                                                    typename V::Scalar* to,
                                                    const RowPanels<V>& panels) noexcept {
  constexpr Index kLanes = V::kLanes;
  for (Index k = 0; k < depth; k += kLanes) {
    const Index left = depth - k < kLanes ? depth - k : kLanes;
    V block[kLanes];
    for (int row = 0; row < kLanes; ++row) {
      const auto* source = rows.from + row * rows.stride + k;
      if (kWhole || row < rows.count) {
        block[row] = left == kLanes ? V::load(source) : V::load(source, left);
      } else {
        block[row] = V(0);
      }
    }
    if constexpr (kPanels) {
      auto* place = panels.at(rows.first, k);
      const Index stride = panels.stride(k);
      for (int row = 0; row < kLanes; ++row) {
        if (kWhole || row < rows.count) put<kStream>(block[row], place + row * stride);
      }
    }
    transpose(block);
    for (int row = 0; row < kLanes; ++row) {
      if (row < left) put<kStream>(block[row], to + (k + row) * step);
    }
  }
}

template <class V, bool kStream>
void rows_to_lanes(const Rows<V>& rows, Index depth, Index step, typename V::Scalar* to,
                   const RowPanels<V>& panels) noexcept {
  const bool whole = rows.count == V::kLanes;
  if (panels.to == nullptr) {
    whole ? rows_to_lanes_of<V, true, false, kStream>(rows, depth, step, to, panels)
          : rows_to_lanes_of<V, false, false, kStream>(rows, depth, step, to, panels);
  } else {
    whole ? rows_to_lanes_of<V, true, true, kStream>(rows, depth, step, to, panels)
          : rows_to_lanes_of<V, false, true, kStream>(rows, depth, step, to, panels);
  }
}

// Vectors of a cache line.
template <class V>
inline constexpr Index kLineVectors = 64 / (V::kLanes * Index(sizeof(typename V::Scalar)));

// The rows of a tile's vectors at once, for vectors that are only part of a line: what is written
// past the caches has to be whole lines, one after the other.
template <class V>
void stream_tile(const Rows<V>* tile, const RowPanels<V>* panels, Index count, Index depth,
                 typename V::Scalar* to) noexcept {
  using T = typename V::Scalar;
  constexpr Index kLanes = V::kLanes, kColumns = kLineVectors<V> * kLanes;
  alignas(64) T lanes[kColumns * kTileVectors * kLanes];
  const Index step = count * kLanes;
  for (Index k = 0; k < depth; k += kColumns) {
    const Index left = depth - k < kColumns ? depth - k : kColumns;
    for (Index v = 0; v < count; ++v) {
      const Rows<V>& rows = tile[v];
      const T* const from = rows.from + k;
      // Of so many rows at once the hardware does not foresee all, and rows a power of two apart
      // have no room to wait in the first-level cache.
      constexpr Index kAhead = 8 * kColumns;
      for (Index row = 0; row < rows.count; ++row) {
        __builtin_prefetch(from + row * rows.stride + kAhead, 0, 2);
      }
      if (panels[v].to != nullptr) {
        T* const place = panels[v].at(rows.first, k);
        const Index stride = panels[v].stride(k);
        for (Index row = 0; row < rows.count; ++row) {
          for (Index j = 0; j < left; j += kLanes) {
            load_up_to<V>(from + row * rows.stride + j, left - j).stream(place + row * stride + j);
          }
        }
      }
      for (Index j = 0; j < left; j += kLanes) {
        V block[kLanes];
        for (int row = 0; row < kLanes; ++row) {
          block[row] =
              row < rows.count ? load_up_to<V>(from + row * rows.stride + j, left - j) : V(0);
        }
        transpose(block);
        for (int i = 0; i < kLanes; ++i) block[i].store(lanes + (j + i) * step + v * kLanes);
      }
    }
    for (Index i = 0; i < left * step; i += kLanes) V::load(lanes + i).stream(to + k * step + i);
  }
}

// What rows_to_lanes made of rows, the other way: from their vectors, `step` apart, to `panels`.
template <class V, bool kStream>
void lanes_to_panels(const typename V::Scalar* from, Index depth, Index step, const Rows<V>& rows,
                     const RowPanels<V>& panels) noexcept {
  constexpr Index kLanes = V::kLanes;
  constexpr Index kVectors = kStream && kLanes > 1 ? kLineVectors<V> : 1;
  for (Index k = 0; k < depth; k += kVectors * kLanes) {
    V block[kVectors][kLanes];
    for (int v = 0; v < kVectors; ++v) {
      for (int i = 0; i < kLanes; ++i) {
        const Index at = k + v * kLanes + i;
        block[v][i] = at < depth ? V::load(from + at * step) : V(0);
      }
      transpose(block[v]);
    }
    auto* place = panels.at(rows.first, k);
    const Index stride = panels.stride(k);
    for (int row = 0; row < kLanes; ++row) {
      for (int v = 0; v < kVectors; ++v) {
        if (row < rows.count && k + v * kLanes < depth) {
          put<kStream>(block[v][row], place + row * stride + v * kLanes);
        }
      }
    }
  }
}

}  // namespace simdrnn::SIMDRNN_ISA
