#include "engine/sampling.hpp"

#include <algorithm>
#include <functional>
#include <limits>

namespace simdrnn {

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// Leaves the k largest of the numbers, of equal ones the first, and makes the others impossible.
void keep_largest(double* numbers, Index width, Index k, double* other) {
  if (k >= width) return;
  std::copy_n(numbers, width, other);
  std::nth_element(other, other + (k - 1), other + width, std::greater<>());
  const double least = other[k - 1];
  Index ties = k - std::count_if(numbers, numbers + width, [&](double x) { return x > least; });
  for (Index i = 0; i < width; ++i) {
    if (numbers[i] > least || (numbers[i] == least && ties-- > 0)) continue;
    numbers[i] = kNever;
  }
}

// The first class whose cumulative weight exceeds a share of all.
Index draw(const double* weights, Index width, double uniform) {
  double total = 0;
  for (Index i = 0; i < width; ++i) total += weights[i];
  const double wanted = uniform * total;
  double sum = 0;
  Index last = 0;  // that can be drawn at all: a share of almost 1 may be rounded to all
  for (Index i = 0; i < width; ++i) {
    if (weights[i] <= 0) continue;
    last = i;
    sum += weights[i];
    if (sum > wanted) break;
  }
  return last;
}

}  // namespace

template <class T>
Index sample_rows(const T* logits, Index rows, Index width, const Sampling& how,
                  const double* uniform, const MathKernels<double>& math,
                  std::vector<double>& memory, std::int64_t* out) {
  memory.resize(static_cast<std::size_t>(2 * width));
  double* const numbers = memory.data();
  double* const weights = numbers + width;
  for (Index row = 0; row < rows; ++row, logits += width) {
    double largest = kNever;
    Index first = 0;
    for (Index i = 0; i < width; ++i) {
      const auto x = static_cast<double>(logits[i]);
      if (!(x < std::numeric_limits<double>::infinity())) return row;
      if (x > largest) {
        largest = x;
        first = i;
      }
      numbers[i] = x;
    }
    if (largest == kNever) return row;
    out[row] = first;
    if (how.temperature <= 0 || how.top_k == 1) continue;
    keep_largest(numbers, width, how.top_k, weights);
    for (Index i = 0; i < width; ++i) numbers[i] = (numbers[i] - largest) / how.temperature;
    math.exp(numbers, weights, width);
    out[row] = draw(weights, width, uniform[row]);
  }
  return -1;
}

template Index sample_rows(const float*, Index, Index, const Sampling&, const double*,
                           const MathKernels<double>&, std::vector<double>&, std::int64_t*);
template Index sample_rows(const double*, Index, Index, const Sampling&, const double*,
                           const MathKernels<double>&, std::vector<double>&, std::int64_t*);

}  // namespace simdrnn
