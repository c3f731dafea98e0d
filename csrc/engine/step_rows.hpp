// The rows that a chunk of steps leaves gate gradients in, one per real step, and what is summed of
// single rows.
#pragma once
#include <cstdint>

#include "abi/args.hpp"

namespace simdrnn {

// Steps [begin, end) of one direction of a call.
struct StepRows {
  Index begin, end, steps, batch;
  bool reverse;
  std::int32_t* position;  // row number by (end - 1 - step, b), -1: none; null: every step is real

  [[nodiscard]] Index time_of(Index step) const { return reverse ? steps - 1 - step : step; }
  [[nodiscard]] Index row_of(Index step, Index b) const {
    const Index at = (end - 1 - step) * batch + b;
    return position == nullptr ? at : position[at];
  }

  // Numbers the real steps, steps descending and batch ascending. Returns how many.
  [[nodiscard]] Index number(const std::uint8_t* flags) const {
    if (position == nullptr) return (end - begin) * batch;
    Index rows = 0;
    for (Index step = end - 1; step >= begin; --step) {
      for (Index b = 0; b < batch; ++b) {
        const bool real = (flags[time_of(step) * batch + b] & kStepReal) != 0;
        position[(end - 1 - step) * batch + b] = real ? static_cast<std::int32_t>(rows++) : -1;
      }
    }
    return rows;
  }
};

// The sum of a row in 16 partial sums, which the compiler can keep in vectors without another order
// of additions.
template <class T>
T sum_of(const T* row, Index n) {
  constexpr Index kParts = 16;
  T parts[kParts] = {};
  for (Index i = 0; i < n; ++i) parts[i % kParts] += row[i];
  for (Index width = kParts / 2; width > 0; width /= 2) {
    for (Index i = 0; i < width; ++i) parts[i] += parts[i + width];
  }
  return parts[0];
}

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
      if (row >= 0) d[rows.time_of(step) * rows.batch + b] += sum_of(d_units + row * stride, n);
    }
  }
}

}  // namespace simdrnn
