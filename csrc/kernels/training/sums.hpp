// Sums in double precision whose bits depend on no instruction set.
#pragma once
#include "abi/sums.hpp"
#include "abi/training.hpp"

namespace simdrnn::SIMDRNN_ISA {

// Columns are added row after row, each in a chain of its own.
template <class T>
void column_sums(const ColumnSumArgs<T>& a) noexcept {
  constexpr Index kColumns = 128;  // whose sums stay in registers, or nearly
  for (Index first = 0; first < a.columns; first += kColumns) {
    const Index columns = kColumns < a.columns - first ? kColumns : a.columns - first;
    double sum[kColumns] = {};
    const T* row = a.data + a.first + first;
    for (Index r = 0; r < a.rows; ++r, row += a.stride) {
      for (Index c = 0; c < columns; ++c) sum[c] += static_cast<double>(row[c]);
    }
    for (Index c = 0; c < columns; ++c) a.out[first + c] = static_cast<T>(sum[c]);
  }
}

template <class T>
double sum_of_squares(const T* x, Index n) noexcept {
  double parts[kPartialSums] = {};
  Index i = 0;
  for (; i + kPartialSums <= n; i += kPartialSums) {
    for (int j = 0; j < kPartialSums; ++j) {
      const auto value = static_cast<double>(x[i + j]);
      parts[j] += value * value;
    }
  }
  for (Index j = i; j < n; ++j) {
    const auto value = static_cast<double>(x[j]);
    parts[j - i] += value * value;
  }
  return sum_of_parts(parts);
}

}  // namespace simdrnn::SIMDRNN_ISA
