// Sums across the elements of a row: into sixteen partial sums, element i into the i-th modulo
// sixteen, whatever the ISA's lanes, so that their bits depend on none. (Inlined always, so that
// none of these functions becomes a symbol.)
#pragma once
#include "abi/cell_info.hpp"

namespace simdrnn {

inline constexpr int kPartialSums = 16;

// The sum of them, by halves.
template <class T>
[[gnu::always_inline]] inline T sum_of_parts(T (&parts)[kPartialSums]) noexcept {
  for (int width = kPartialSums / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) parts[i] += parts[i + width];
  }
  return parts[0];
}

// The sum of value(i) of the n elements of a row.
template <class T, class Value>
[[gnu::always_inline]] inline T sum_over(Index n, Value value) noexcept {
  T parts[kPartialSums] = {};
  for (Index i = 0; i < n; ++i) parts[i % kPartialSums] += value(i);
  return sum_of_parts(parts);
}

}  // namespace simdrnn
