// Sums over the rows of a chunk of gate gradients: the products that are gradients of weights, and
// the plain sums of biases. Each thread takes a slice of the gradients' columns, so that every
// result is one chain over the rows, whoever computes it. And sums over the units of one row.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "abi/kernel_table.hpp"
#include "abi/sums.hpp"
#include "engine/memory.hpp"
#include "engine/steps.hpp"

namespace simdrnn {

template <class T>
class RowSums {
  // Rows of one outer product: its copy of the operand stays in the second-level cache.
  static constexpr Index kOuterRows = 512;

 public:
  RowSums(const ProductKernels<T>& products, int threads, T* d_pre, Index stride)
      : products_(products), threads_(threads), d_pre_(d_pre), stride_(stride) {}

  [[nodiscard]] T* d_pre() const { return d_pre_; }
  [[nodiscard]] Index stride() const { return stride_; }

  // The next thread's working memory.
  void lay_out_thread(Index rows, Carver& memory) {
    packed_operand_.push_back(memory.take<T>(std::min(rows, kOuterRows) * products_.outer_width));
  }

  // Thread p's share of  out += columns [first, first + columns) of d_pre, transposed, times the
  // rows of `operand`, `width` wide from element `from` on.
  void product(int p, Index rows, bool overwrite, Index first, Index columns,
               const T* const* operand, Index width, T* out, Index from = 0) const {
    const auto [begin, end] = share(p, columns);
    if (begin == end) return;
    const Index block = products_.outer_width;
    for (Index w = 0; w < width; w += block) {
      for (Index r = 0; r < rows || r == 0; r += kOuterRows) {
        products_.outer({d_pre_ + r * stride_, stride_, std::min(kOuterRows, rows - r),
                         first + begin, end - begin, operand + r, from + w,
                         std::min(block, width - w), out + begin * width + w, width,
                         overwrite && r == 0, packed_operand_[static_cast<std::size_t>(p)]});
      }
    }
  }

  // Thread p's share of  out += the sum of the rows of these columns, where there is an `out`.
  void total(int p, Index rows, bool overwrite, Index first, Index columns, T* out) const {
    const auto [begin, end] = share(p, columns);
    if (begin == end || out == nullptr) return;
    products_.sum({d_pre_, stride_, rows, first + begin, end - begin, out + begin, overwrite});
  }

 private:
  // The part [begin, end) of `columns` that thread p takes; whole register tiles but for the last.
  [[nodiscard]] std::pair<Index, Index> share(int p, Index columns) const {
    constexpr Index kGrain = 6;
    const Index grains = (columns + kGrain - 1) / kGrain;
    const Index begin = grains * p / threads_, end = grains * (p + 1) / threads_;
    return {std::min(begin * kGrain, columns), std::min(end * kGrain, columns)};
  }

  const ProductKernels<T>& products_;
  int threads_;
  T* d_pre_;
  Index stride_;
  std::vector<T*> packed_operand_;  // by thread
};

// Adds to d (T, B) what the units' gradients for the attention sum to: `n` numbers of each row of
// d_units. Of the steps, those that part p of `parts` takes.
template <class T>
void add_over_units(const StepRows& rows, const T* d_units, Index stride, Index n, Index p,
                    Index parts, T* d) {
  const Index count = rows.end - rows.begin;
  for (Index s = count * p / parts; s < count * (p + 1) / parts; ++s) {
    const Index step = rows.begin + s;
    for (Index b = 0; b < rows.batch; ++b) {
      const Index row = rows.row_of(step, b);
      if (row >= 0) {
        const T* const units = d_units + row * stride;
        d[rows.time_of(step) * rows.batch + b] += sum_over<T>(n, [&](Index i) { return units[i]; });
      }
    }
  }
}

}  // namespace simdrnn
