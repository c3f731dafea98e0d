// Affine maps of rows, y = W x + b, and the way back: by the tiles and chains of the layers, so
// that a row's result depends on no other row, on no thread and on no instruction set.
#pragma once
#include <functional>
#include <memory>

#include "abi/kernel_table.hpp"
#include "engine/spare_buffer.hpp"

namespace simdrnn {

// `count` rows with unit inner stride.
template <class E>
struct DenseRows {
  E* data;
  Index stride, count;
};

// How a call is run.
struct DenseRun {
  int threads;  // 0: team::limit()
  bool flush_denormals;
  std::function<void()> poll;  // called between parallel regions; may throw to stop
};

// How many threads so much work is shared by; `threads` is the most, 0: team::limit().
[[nodiscard]] int threads_for(double flops, int threads);

// Of `count` pieces that take so much work in all, how many come between two looks at Ctrl-C.
[[nodiscard]] Index between_looks(double flops, Index count, int threads);

// One version of the weights; it never changes.
template <class T>
class Dense {
 public:
  // weight (outputs, inputs); bias (outputs) or null. From and to `spare`, if there is such, its
  // memory comes and goes.
  Dense(Index outputs, Index inputs, const T* weight, const T* bias, const KernelTable& isa,
        std::shared_ptr<SpareBuffer> spare = nullptr);
  Dense(const Dense&) = delete;
  Dense& operator=(const Dense&) = delete;
  ~Dense();

  void forward(DenseRows<const T> x, DenseRows<T> y, const DenseRun& run) const;
  // The same on this thread alone, which asks nobody for anything.
  void forward_here(DenseRows<const T> x, DenseRows<T> y) const noexcept;
  // dL/dx from dL/dy.
  void backward(DenseRows<const T> d_y, DenseRows<T> d_x, const DenseRun& run) const;

  [[nodiscard]] Index outputs() const { return outputs_; }
  [[nodiscard]] Index inputs() const { return inputs_; }
  [[nodiscard]] const KernelTable& table() const { return table_; }
  [[nodiscard]] std::size_t packed_bytes() const { return memory_.bytes(); }

 private:
  void multiply(DenseRows<const T> x, Index depth, const T* panels, const T* bias, Index width,
                DenseRows<T> y, const DenseRun& run) const;

  Index outputs_, inputs_;
  const KernelTable& table_;
  const std::shared_ptr<SpareBuffer> spare_;
  AlignedBuffer memory_;
  const T *panels_ = nullptr, *transposed_ = nullptr, *bias_ = nullptr;
};

// Overwrites d_weight (outputs, inputs): the sum over rows of dL/dy times x, one chain each in the
// order of the rows. And d_bias (outputs), if it is not null: the sum of dL/dy in that order, in
// double precision, rounded once.
template <class T>
void dense_weight_gradient(DenseRows<const T> d_y, Index outputs, DenseRows<const T> x,
                           Index inputs, T* d_weight, T* d_bias, const KernelTable& isa,
                           const DenseRun& run);

}  // namespace simdrnn
