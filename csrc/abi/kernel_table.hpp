// The seam: what one ISA offers, as plain data. One table per ISA, made by kernels/table.hpp.
#pragma once
#include "abi/activation.hpp"
#include "abi/args.hpp"
#include "abi/training.hpp"

namespace simdrnn {

template <class T>
struct CellKernels {
  PackedElements (*pack)(const PackArgs<T>&);
  void (*forward)(const ForwardArgs<T>&);
  void (*backward)(const BackwardArgs<T>&);
  Index (*forward_scratch)(const ForwardArgs<T>&);  // bytes
  Index (*backward_scratch)(const BackwardArgs<T>&);
};

template <class T>
struct ProductKernels {
  int lanes;
  int tile_rows;    // of the register tile
  int outer_width;  // its columns, and the columns of the operand that one OuterArgs may cover
  void (*outer)(const OuterArgs<T>&);
  void (*sum)(const SumArgs<T>&);
  void (*drop)(const DropArgs<T>&);
  void (*dense)(const DenseArgs<T>&);
  void (*pack_dense)(const DensePackArgs<T>&);
};

// What stands around layers in training: losses, and the steps of optimisers.
template <class T>
struct TrainingKernels {
  void (*cross_entropy)(const CrossEntropyArgs<T>&);
  void (*cross_entropy_gradient)(const CrossEntropyGradientArgs<T>&);
  void (*column_sums)(const ColumnSumArgs<T>&);
  double (*sum_of_squares)(const T*, Index);
  void (*scale)(T*, Index, T);
  void (*sgd)(const UpdateBlock<T>&, const SgdRule<T>&);
  void (*adam)(const UpdateBlock<T>&, const AdamRule<T>&);
  void (*rmsprop)(const UpdateBlock<T>&, const RmspropRule<T>&);
};

// Functions of one argument, over arrays, for the tests of csrc/simd.
template <class T>
struct MathKernels {
  using Function = void (*)(const T*, T*, Index);
  using ActivationFunction = void (*)(const Activation<T>&, const T*, T*, Index);
  Function exp, sigmoid, tanh, expm1_below_zero, log, log1p, softplus, log_sigmoid;
  ActivationFunction activate, slope;
};

struct CellEntry {
  CellInfo info;
  CellKernels<float> f32;
  CellKernels<double> f64;
};

struct KernelTable {
  const char* isa;
  int cell_count;
  const CellEntry* cells;
  ProductKernels<float> products_f32;
  ProductKernels<double> products_f64;
  TrainingKernels<float> training_f32;
  TrainingKernels<double> training_f64;
  MathKernels<float> math_f32;
  MathKernels<double> math_f64;
  double (*fma_chain_f32)(
      Index);  // runs that many rounds of independent FMAs; returns how many FLOPs
  double (*fma_chain_f64)(Index);
};

}  // namespace simdrnn
