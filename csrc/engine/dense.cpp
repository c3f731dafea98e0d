#include "engine/dense.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/flush_denormals.hpp"
#include "engine/plan.hpp"
#include "engine/products.hpp"
#include "engine/sums.hpp"
#include "engine/threads/team.hpp"

namespace simdrnn {

namespace {

// How a product is cut: the threads, and the rows between two looks at Ctrl-C.
struct Cut {
  int threads;
  Index rows;
};

Cut cut_of(const DenseRun& run, Index rows, Index outputs, Index inputs) {
  const double flops =
      2.0 * static_cast<double>(outputs) * static_cast<double>(inputs) * static_cast<double>(rows);
  const int threads = threads_for(flops, run.threads);
  return {threads, between_looks(flops, rows, threads)};
}

// Part p's share of the sums of the columns of all rows.
template <class T>
void sum_columns(DenseRows<const T> rows, Index columns, int p, int parts, T* out,
                 const KernelTable& isa) {
  constexpr Index kGrain = 64;
  const Index grains = (columns + kGrain - 1) / kGrain;
  const Index begin = grains * p / parts * kGrain;
  const Index end = std::min(columns, grains * (p + 1) / parts * kGrain);
  if (begin >= end) return;
  training_of(isa, T()).column_sums(
      {rows.data, rows.stride, rows.count, begin, end - begin, out + begin});
}

}  // namespace

int threads_for(double flops, int threads) { return team::at_most(useful_threads(flops), threads); }

Index between_looks(double flops, Index count, int threads) {
  const auto most = static_cast<double>(std::max<Index>(1, count));
  const double pieces = region_flops(threads) / std::max(1.0, flops / most);
  return static_cast<Index>(std::clamp(pieces, 1.0, most));
}

template <class T>
Dense<T>::Dense(Index outputs, Index inputs, const T* weight, const T* bias, const KernelTable& isa,
                std::shared_ptr<SpareBuffer> spare)
    : outputs_(outputs), inputs_(inputs), table_(isa), spare_(std::move(spare)) {
  const Index forward = panel_elements<T>(isa, inputs, outputs);
  const Index back = panel_elements<T>(isa, outputs, inputs);
  const Index padded_bias = bias == nullptr ? 0 : panel_elements<T>(isa, 1, outputs);
  const auto bytes = static_cast<std::size_t>(forward + back + padded_bias) * sizeof(T);
  if (spare_ == nullptr) {
    memory_.reserve(bytes);
  } else {
    memory_ = spare_->take(bytes);
  }
  T* const panels = static_cast<T*>(memory_.data());
  const int parts = team::at_most(packing_threads(memory_.bytes()));
  team::run(parts, [&](int part) {
    products_of(isa, T()).pack_dense(
        {weight, outputs, inputs, panels, panels + forward, part, parts});
  });
  panels_ = panels;
  transposed_ = panels + forward;
  if (bias != nullptr) {
    T* const padded = panels + forward + back;
    std::fill(std::copy(bias, bias + outputs, padded), padded + padded_bias, T(0));
    bias_ = padded;
  }
}

template <class T>
Dense<T>::~Dense() {
  if (spare_ != nullptr) spare_->give(std::move(memory_));
}

template <class T>
void Dense<T>::multiply(DenseRows<const T> x, Index depth, const T* panels, const T* bias,
                        Index width, DenseRows<T> y, const DenseRun& run) const {
  if (x.count == 0 || width == 0) return;
  const auto& products = products_of(table_, T());
  const Cut cut = cut_of(run, x.count, outputs_, inputs_);
  // Few rows are shared by columns, whole tiles of them: each thread then reads its own weights.
  const Index tiles = (width + products.outer_width - 1) / products.outer_width;
  const bool by_rows = cut.rows >= Index{4} * products.tile_rows * cut.threads;
  const int parts = by_rows ? cut.threads : static_cast<int>(std::min<Index>(cut.threads, tiles));
  for (Index first = 0; first < x.count; first += cut.rows) {
    if (first > 0 && run.poll) run.poll();
    const Index rows = std::min(cut.rows, x.count - first);
    team::run(parts, [&](int p) {
      const FlushDenormals flush(run.flush_denormals);
      const Index row = by_rows ? rows * p / parts : 0;
      const Index end_row = by_rows ? rows * (p + 1) / parts : rows;
      const Index tile = by_rows ? 0 : tiles * p / parts;
      const Index end_tile = by_rows ? tiles : tiles * (p + 1) / parts;
      products.dense({x.data + (first + row) * x.stride, x.stride, end_row - row, depth, panels,
                      bias, width, tile * products.outer_width,
                      std::min(width, end_tile * products.outer_width),
                      y.data + (first + row) * y.stride, y.stride});
    });
  }
}

template <class T>
void Dense<T>::forward(DenseRows<const T> x, DenseRows<T> y, const DenseRun& run) const {
  multiply(x, inputs_, panels_, bias_, outputs_, y, run);
}

template <class T>
void Dense<T>::forward_here(DenseRows<const T> x, DenseRows<T> y) const noexcept {
  products_of(table_, T())
      .dense({x.data, x.stride, x.count, inputs_, panels_, bias_, outputs_, 0, outputs_, y.data,
              y.stride});
}

template <class T>
void Dense<T>::backward(DenseRows<const T> d_y, DenseRows<T> d_x, const DenseRun& run) const {
  multiply(d_y, outputs_, transposed_, nullptr, inputs_, d_x, run);
}

template <class T>
void dense_weight_gradient(DenseRows<const T> d_y, Index outputs, DenseRows<const T> x,
                           Index inputs, T* d_weight, T* d_bias, const KernelTable& isa,
                           const DenseRun& run) {
  const auto& products = products_of(isa, T());
  const Cut cut = cut_of(run, x.count, outputs, inputs);
  std::vector<const T*> operand(static_cast<std::size_t>(x.count));
  for (Index r = 0; r < x.count; ++r) operand[static_cast<std::size_t>(r)] = x.data + r * x.stride;
  const auto lay_out = [&](RowSums<T>& sums, Carver& memory) {
    for (int p = 0; p < cut.threads; ++p) sums.lay_out_thread(cut.rows, memory);
  };
  // RowSums reads what it is given as gradients only.
  T* const rows_of_d = const_cast<T*>(d_y.data);
  Carver counting(nullptr);
  RowSums<T> counted(products, cut.threads, rows_of_d, d_y.stride);
  lay_out(counted, counting);
  const Workspace workspace(counting.used());
  for (Index first = 0; first < x.count || first == 0; first += cut.rows) {
    if (first > 0 && run.poll) run.poll();
    const Index rows = std::min(cut.rows, x.count - first);
    Carver memory(workspace.data());
    RowSums<T> sums(products, cut.threads, rows_of_d + first * d_y.stride, d_y.stride);
    lay_out(sums, memory);
    team::run(cut.threads, [&](int p) {
      const FlushDenormals flush(run.flush_denormals);
      if (first == 0 && d_bias != nullptr) sum_columns(d_y, outputs, p, cut.threads, d_bias, isa);
      sums.product(p, rows, first == 0, 0, outputs, operand.data() + first, inputs, d_weight);
    });
  }
}

template class Dense<float>;
template class Dense<double>;
template void dense_weight_gradient(DenseRows<const float>, Index, DenseRows<const float>, Index,
                                    float*, float*, const KernelTable&, const DenseRun&);
template void dense_weight_gradient(DenseRows<const double>, Index, DenseRows<const double>, Index,
                                    double*, double*, const KernelTable&, const DenseRun&);

}  // namespace simdrnn
