#include "engine/dense_batch.hpp"

#include <algorithm>
#include <vector>

#include "engine/flush_denormals.hpp"
#include "engine/plan.hpp"
#include "engine/products.hpp"
#include "engine/threads/team.hpp"

namespace simdrnn {

namespace {

double flops_of(Index a, Index b, Index c, Index d) {
  return 2.0 * static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c) *
         static_cast<double>(d);
}

}  // namespace

template <class T>
DenseBatch<T>::DenseBatch(DenseMatrices<const T> matrices, Index count, Index rows, Index width,
                          const KernelTable& isa)
    : count_(count),
      rows_(rows),
      width_(width),
      forward_(panel_elements<T>(isa, width, rows)),
      both_(forward_ + panel_elements<T>(isa, rows, width)),
      table_(isa) {
  if (count == 0 || rows == 0 || width == 0) return;
  const auto elements = static_cast<std::size_t>(both_) * static_cast<std::size_t>(count);
  memory_.reserve(elements * sizeof(T));
  const int parts = static_cast<int>(
      std::clamp<Index>(count, 1, team::at_most(packing_threads(memory_.bytes()))));
  const bool dense = matrices.row_stride == width;
  const Index copied = dense ? 0 : rows * width;
  std::vector<T> copies(static_cast<std::size_t>(copied) * static_cast<std::size_t>(parts));
  team::run(parts, [&](int part) {
    T* const copy = copies.data() + copied * part;
    for (Index b = count * part / parts; b < count * (part + 1) / parts; ++b) {
      const T* matrix = matrices.data + b * matrices.stride;
      if (!dense) {
        for (Index r = 0; r < rows; ++r) {
          std::copy_n(matrix + r * matrices.row_stride, width, copy + r * width);
        }
        matrix = copy;
      }
      T* const panels = static_cast<T*>(memory_.data()) + b * both_;
      products_of(isa, T()).pack_dense({matrix, rows, width, panels, panels + forward_, 0, 1});
    }
  });
}

template <class T>
void DenseBatch<T>::multiply(DenseMatrices<const T> from, Index depth, Index panels_at,
                             Index columns, Index queries, DenseMatrices<T> to,
                             const DenseRun& run) const {
  if (count_ == 0 || queries == 0 || columns == 0) return;
  const auto& products = products_of(table_, T());
  const double flops = flops_of(count_, queries, depth, columns);
  const int threads = threads_for(flops, run.threads);
  const Index looks = between_looks(flops, count_, threads);
  // Where the batch has few rows, the queries of one are shared, too.
  const Index shares = std::clamp<Index>((threads + looks - 1) / looks, 1, queries);
  for (Index first = 0; first < count_; first += looks) {
    if (first > 0 && run.poll) run.poll();
    const Index tasks = std::min(looks, count_ - first) * shares;
    const int parts = static_cast<int>(std::min<Index>(threads, tasks));
    team::run(parts, [&](int part) {
      const FlushDenormals flush(run.flush_denormals);
      for (Index task = tasks * part / parts; task < tasks * (part + 1) / parts; ++task) {
        const Index b = first + task / shares, share = task % shares;
        const Index begin = queries * share / shares, end = queries * (share + 1) / shares;
        products.dense(
            {from.data + b * from.stride + begin * from.row_stride, from.row_stride, end - begin,
             depth, static_cast<const T*>(memory_.data()) + b * both_ + panels_at, nullptr, columns,
             0, columns, to.data + b * to.stride + begin * to.row_stride, to.row_stride});
      }
    });
  }
}

template <class T>
void DenseBatch<T>::forward(DenseMatrices<const T> x, Index queries, DenseMatrices<T> y,
                            const DenseRun& run) const {
  multiply(x, width_, 0, rows_, queries, y, run);
}

template <class T>
void DenseBatch<T>::backward(DenseMatrices<const T> y, Index queries, DenseMatrices<T> x,
                             const DenseRun& run) const {
  multiply(y, rows_, forward_, width_, queries, x, run);
}

template <class T>
void dense_batch_gradient(DenseMatrices<const T> y, Index rows, DenseMatrices<const T> x,
                          Index width, Index count, Index queries, T* d_matrices, bool add,
                          const KernelTable& isa, const DenseRun& run) {
  if (count == 0 || rows == 0 || width == 0) return;
  const auto& products = products_of(isa, T());
  const double flops = flops_of(count, queries, rows, width);
  const int threads =
      static_cast<int>(std::clamp<Index>(count, 1, threads_for(flops, run.threads)));
  const Index looks = between_looks(flops, count, threads);
  const Index block = products.outer_width;
  std::vector<const T*> operands(static_cast<std::size_t>(queries) *
                                 static_cast<std::size_t>(threads));
  std::vector<T> packed(static_cast<std::size_t>(queries * block) *
                        static_cast<std::size_t>(threads));
  for (Index first = 0; first < count; first += looks) {
    if (first > 0 && run.poll) run.poll();
    const Index part_count = std::min(looks, count - first);
    const int parts = static_cast<int>(std::min<Index>(threads, part_count));
    team::run(parts, [&](int part) {
      const FlushDenormals flush(run.flush_denormals);
      const T** const operand = operands.data() + queries * part;
      for (Index i = part_count * part / parts; i < part_count * (part + 1) / parts; ++i) {
        const Index b = first + i;
        for (Index q = 0; q < queries; ++q) operand[q] = x.data + b * x.stride + q * x.row_stride;
        for (Index w = 0; w < width; w += block) {
          products.outer({y.data + b * y.stride, y.row_stride, queries, 0, rows, operand, w,
                          std::min(block, width - w), d_matrices + b * rows * width + w, width,
                          !add, packed.data() + queries * block * part});
        }
      }
    });
  }
}

template class DenseBatch<float>;
template class DenseBatch<double>;
template void dense_batch_gradient(DenseMatrices<const float>, Index, DenseMatrices<const float>,
                                   Index, Index, Index, float*, bool, const KernelTable&,
                                   const DenseRun&);
template void dense_batch_gradient(DenseMatrices<const double>, Index, DenseMatrices<const double>,
                                   Index, Index, Index, double*, bool, const KernelTable&,
                                   const DenseRun&);

}  // namespace simdrnn
