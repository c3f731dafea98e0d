// Rows of a table by their numbers, and the way back: sums over the places where each was used.
#pragma once
#include "engine/dense.hpp"

namespace simdrnn {

// Row i of `out` (count, width) is row indices[i] of `table` (rows, width), both C-contiguous.
// Returns false, and `out` is worth nothing, where an index is not in [0, rows).
template <class T>
bool gather(const T* table, Index rows, Index width, const std::int64_t* indices, Index count,
            T* out, int threads);

// Overwrites d_table (rows, width): row v is the sum of the rows i of d_out with indices[i] = v, in
// double precision, in their order, and then rounded. Returns false, and has written nothing, where
// an index is not in [0, rows).
template <class T>
bool scatter_add(DenseRows<const T> d_out, Index width, const std::int64_t* indices, T* d_table,
                 Index rows, int threads);

}  // namespace simdrnn
