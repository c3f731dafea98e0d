// The kernels of a table for a type of numbers, by a value of that type.
#pragma once
#include "abi/kernel_table.hpp"

namespace simdrnn {

inline const ProductKernels<float>& products_of(const KernelTable& t, float) {
  return t.products_f32;
}
inline const ProductKernels<double>& products_of(const KernelTable& t, double) {
  return t.products_f64;
}

inline const TrainingKernels<float>& training_of(const KernelTable& t, float) {
  return t.training_f32;
}
inline const TrainingKernels<double>& training_of(const KernelTable& t, double) {
  return t.training_f64;
}

// Elements of a packed (depth, width) matrix, up to the next cache line.
template <class T>
Index panel_elements(const KernelTable& table, Index depth, Index width) {
  const Index lanes = products_of(table, T()).lanes, line = 64 / Index{sizeof(T)};
  const Index elements = (width + lanes - 1) / lanes * lanes * depth;
  return (elements + line - 1) / line * line;
}

}  // namespace simdrnn
