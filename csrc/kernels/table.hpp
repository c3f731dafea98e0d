// Folds all cells and dtypes into this ISA's KernelTable.
#pragma once
#include "abi/kernel_table.hpp"
#include "kernels/cells/all.hpp"
#include "kernels/choose_loop.hpp"
#include "kernels/gemm/dense.hpp"
#include "kernels/gemm/outer.hpp"
#include "kernels/gemm/pack.hpp"
#include "kernels/options/noise.hpp"
#include "kernels/simd/activations.hpp"
#include "kernels/simd/log.hpp"
#include "kernels/simd/math.hpp"
#include "kernels/simd/partial.hpp"
#include "kernels/training/cross_entropy.hpp"
#include "kernels/training/sums.hpp"
#include "kernels/training/update.hpp"

#define SIMDRNN_STRING_(x) #x
#define SIMDRNN_STRING(x) SIMDRNN_STRING_(x)

namespace simdrnn::SIMDRNN_ISA {

template <class V, V (*kFunction)(V)>
void map(const typename V::Scalar* x, typename V::Scalar* y, Index n) noexcept {
  for (Index i = 0; i < n; i += V::kLanes) {
    store_up_to(kFunction(load_up_to<V>(x + i, n - i)), y + i, n - i);
  }
}

template <class V, V (*kFunction)(const Activation<typename V::Scalar>&, V)>
void map(const Activation<typename V::Scalar>& activation, const typename V::Scalar* x,
         typename V::Scalar* y, Index n) noexcept {
  for (Index i = 0; i < n; i += V::kLanes) {
    store_up_to(kFunction(activation, load_up_to<V>(x + i, n - i)), y + i, n - i);
  }
}

// What the machine can do: FMAs on registers only, in enough chains to hide their latency. The
// result is kept alive by a comparison that cannot be foreseen.
template <class V>
double fma_chain(Index rounds) noexcept {
  using T = typename V::Scalar;
  constexpr int kChains = 12;
  V sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = V(T(c));
  const V a(T(0.999)), b(T(0.001));
  for (Index r = 0; r < rounds; ++r) {
#pragma GCC unroll 16
    for (int c = 0; c < kChains; ++c) sum[c] = fma(sum[c], a, b);
  }
  T lanes[V::kLanes];
  for (int c = 1; c < kChains; ++c) sum[0] = sum[0] + sum[c];
  sum[0].store(lanes);
  const double flops = 2.0 * kChains * V::kLanes * static_cast<double>(rounds);
  return lanes[0] > T(1e9) ? 0.0 : flops;
}

template <class Cell, class V>
constexpr CellKernels<typename V::Scalar> kernels_of() noexcept {
  return {pack<V, Cell>, forward<Cell, V>, backward<Cell, V>, forward_scratch<Cell, V>,
          backward_scratch<Cell, V>};
}

template <class V>
constexpr ProductKernels<typename V::Scalar> products_of() noexcept {
  return {V::kLanes, kTileRows,    kTileVectors * V::kLanes, outer<V>, sum<V>, drop<V>,
          dense<V>,  pack_dense<V>};
}

template <class V>
constexpr TrainingKernels<typename V::Scalar> training_of() noexcept {
  using T = typename V::Scalar;
  return {.cross_entropy = cross_entropy<V>,
          .cross_entropy_gradient = cross_entropy_gradient<V>,
          .column_sums = column_sums<T>,
          .sum_of_squares = sum_of_squares<T>,
          .scale = scale<T>,
          .sgd = sgd<T>,
          .adam = adam<T>,
          .rmsprop = rmsprop<T>};
}

template <class V>
constexpr MathKernels<typename V::Scalar> math_of() noexcept {
  return {.exp = map<V, exp<V>>,
          .sigmoid = map<V, sigmoid<V>>,
          .tanh = map<V, tanh<V>>,
          .expm1_below_zero = map<V, expm1_below_zero<V>>,
          .log = map<V, log<V>>,
          .log1p = map<V, log1p<V>>,
          .softplus = map<V, softplus<V>>,
          .log_sigmoid = map<V, log_sigmoid<V>>,
          .activate = map<V, activate<V>>,
          .slope = map<V, slope<V>>};
}

template <class List>
struct Entries;

template <class... Cells>
struct Entries<CellList<Cells...>> {
  static constexpr CellEntry list[] = {
      {Cells::info, kernels_of<Cells, Vec<float>>(), kernels_of<Cells, Vec<double>>()}...};
};

inline constexpr KernelTable kTable{
    .isa = SIMDRNN_STRING(SIMDRNN_ISA),
    .cell_count = AllCells::kCount,
    .cells = Entries<AllCells>::list,
    .products_f32 = products_of<Vec<float>>(),
    .products_f64 = products_of<Vec<double>>(),
    .training_f32 = training_of<Vec<float>>(),
    .training_f64 = training_of<Vec<double>>(),
    .math_f32 = math_of<Vec<float>>(),
    .math_f64 = math_of<Vec<double>>(),
    .fma_chain_f32 = fma_chain<Vec<float>>,
    .fma_chain_f64 = fma_chain<Vec<double>>,
};

}  // namespace simdrnn::SIMDRNN_ISA
