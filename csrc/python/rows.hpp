// Rows of arrays, and how a call on them is run, for what is no network.
#pragma once
#include <string>

#include "engine/dense.hpp"
#include "python/arrays.hpp"
#include "python/reader.hpp"

namespace simdrnn::python {

// A (rows, width) array of any stride but the last, which is one element.
template <class T>
DenseRows<T> rows_of(const py::handle& object, const char* name, Index width) {
  py::array array = array_of<T>(object, name);
  constexpr auto kSize = Index{sizeof(T)};
  const bool contiguous =
      array.ndim() == 2 && (array.size() == 0 || width <= 1 || array.strides(1) == kSize);
  if (!contiguous || array.shape(1) != width || array.strides(0) % kSize != 0 ||
      reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) != 0) {
    reject(name, "aligned rows of " + std::to_string(width) + " elements");
  }
  return {pointer_to<T>(array), array.strides(0) / kSize, array.shape(0)};
}

inline void check_count(const char* name, Index count, Index wanted) {
  if (count != wanted) reject(name, std::to_string(wanted) + " rows");
}

inline DenseRun run_of(int threads) {
  return {threads, flush_denormals.load(std::memory_order_relaxed), SignalPoll()};
}

}  // namespace simdrnn::python
