// Products of one matrix for each row of a batch, as attention takes them over a sequence of its
// own for each: scores of queries against it, contexts out of it, and the way back, which is made
// of the same. A batch row's results depend on no other row.
#pragma once
#include "engine/dense.hpp"

namespace simdrnn {

// A matrix (rows, width) for each row of a batch, with unit inner stride.
template <class E>
struct DenseMatrices {
  E* data;
  Index stride;      // from one row of the batch to the next
  Index row_stride;  // within its matrix
};

template <class T>
class DenseBatch {
 public:
  // `count` matrices (rows, width), packed both ways.
  DenseBatch(DenseMatrices<const T> matrices, Index count, Index rows, Index width,
             const KernelTable& isa);

  // y (count, queries, rows) of x (count, queries, width): every query times every row of its own
  // matrix, in one chain over the width.
  void forward(DenseMatrices<const T> x, Index queries, DenseMatrices<T> y,
               const DenseRun& run) const;
  // x (count, queries, width) of y (count, queries, rows): the sum of its rows, each times a
  // number, in one chain over them.
  void backward(DenseMatrices<const T> y, Index queries, DenseMatrices<T> x,
                const DenseRun& run) const;

  [[nodiscard]] Index count() const { return count_; }
  [[nodiscard]] Index rows() const { return rows_; }
  [[nodiscard]] Index width() const { return width_; }

 private:
  void multiply(DenseMatrices<const T> from, Index depth, Index panels_at, Index columns,
                Index queries, DenseMatrices<T> to, const DenseRun& run) const;

  Index count_, rows_, width_;
  Index forward_, both_;  // elements of one matrix packed for forward, and for both ways
  const KernelTable& table_;
  AlignedBuffer memory_;
};

// Overwrites d_matrices (count, rows, width), C-contiguous, or adds to them: the sum over queries
// of y (count, queries, rows) times x (count, queries, width), one chain in the order of the
// queries.
template <class T>
void dense_batch_gradient(DenseMatrices<const T> y, Index rows, DenseMatrices<const T> x,
                          Index width, Index count, Index queries, T* d_matrices, bool add,
                          const KernelTable& isa, const DenseRun& run);

}  // namespace simdrnn
