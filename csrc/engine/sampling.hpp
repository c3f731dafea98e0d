// Drawing one of the classes that a row of logits tells the odds of.
#pragma once
#include <cstdint>
#include <vector>

#include "abi/kernel_table.hpp"

namespace simdrnn {

struct Sampling {
  double temperature;  // that logits are divided by; 0: the class of the largest, the first of such
  Index top_k;         // draw from as many of the largest, of equal ones the first
};

// Draws for each row of (rows, width) logits by a number in [0, 1): the first class whose
// cumulative weight exceeds that share of all. Weights are exp((logit - largest) / temperature) of
// the kernels', sums in float64 in the order of the classes: so the same on every machine. Returns
// -1, or the first row with a logit that is NaN or infinite, or with none above -infinity.
template <class T>
Index sample_rows(const T* logits, Index rows, Index width, const Sampling& how,
                  const double* uniform, const MathKernels<double>& math,
                  std::vector<double>& memory, std::int64_t* out);

}  // namespace simdrnn
