// Arguments of the kernels for what stands around the layers when they are trained: plain data, as
// in args.hpp.
#pragma once
#include <cstdint>

#include "abi/cell_info.hpp"

namespace simdrnn {

// Rows of logits and what is kept of each for its gradient. A row that is not real is not read, and
// worth nothing.
template <class T>
struct CrossEntropyArgs {
  const T* logits;
  Index stride, rows, classes;
  const std::int64_t* target;  // rows: the class that is right, in [0, classes)
  const std::uint8_t* real;    // rows, or null: all are
  T* exponentials;             // (rows, classes): exp(logit - the row's largest)
  double* total;               // rows: their sums
  double* term;                // rows: -log of the right class's probability
};

// d_logits = scale * (probability - onehot(target)); 0 in rows that are not real.
template <class T>
struct CrossEntropyGradientArgs {
  const T* exponentials;
  const double* total;
  Index rows, classes;
  const std::int64_t* target;
  const std::uint8_t* real;
  double scale;
  T* d_logits;  // (rows, classes)
};

// out[c] = the sum of column first + c, in double precision, row after row, and then rounded.
template <class T>
struct ColumnSumArgs {
  const T* data;
  Index stride, rows, first, columns;
  T* out;
};

// A block of a parameter, its gradient, and what a rule keeps of it; see python/simdrnn/optim for
// the rules. All are elementwise.
template <class T>
struct UpdateBlock {
  T* parameter;
  const T* gradient;
  T* kept[3];
  Index count;
  T scale;  // of the gradient, before anything else
  T decay;  // times the parameter is added to it; 0: nothing is
};

template <class T>
struct SgdRule {
  T rate, momentum, taken;         // taken: 1 - dampening
  bool buffered, first, nesterov;  // first: of the steps, where the buffer is the gradient
};

// kept: mean, square, and the largest square where there is `largest`.
template <class T>
struct AdamRule {
  T shrink;  // the parameter is multiplied by it first; 1: it is not
  T mean_taken, square_kept, square_taken;
  T root;  // of the square's correction
  T eps, rate;
  bool largest;
};

// kept: square, then the buffer where there is a momentum, then the mean where centered.
template <class T>
struct RmspropRule {
  T square_kept, taken, eps, rate, momentum;
  bool buffered, centered;
};

}  // namespace simdrnn
