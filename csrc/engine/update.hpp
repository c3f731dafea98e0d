// Steps of optimisers over all parameters at once, and the norm of all gradients. Arrays are cut
// into slices whatever the threads, so that no bit depends on their number.
#pragma once
#include <span>
#include <variant>

#include "abi/kernel_table.hpp"

namespace simdrnn {

// Some elements one after the other in memory.
template <class E>
using Elements = std::span<E>;

// One parameter, its gradient and what the rule keeps of it, all of one size.
template <class T>
struct Updated {
  T* parameter;
  const T* gradient;
  T* kept[3];
  Index size;
};

template <class T>
struct UpdateRule {
  std::variant<SgdRule<T>, AdamRule<T>, RmspropRule<T>> rule;
  T scale, decay;  // of UpdateBlock
};

template <class T>
void update(std::span<const Updated<T>> arrays, const UpdateRule<T>& rule, const KernelTable& isa);

// In double precision: slice by slice, in the order of the arrays.
template <class T>
double sum_of_squares(std::span<const Elements<const T>> arrays, const KernelTable& isa);

template <class T>
void scale(std::span<const Elements<T>> arrays, T factor, const KernelTable& isa);

}  // namespace simdrnn
