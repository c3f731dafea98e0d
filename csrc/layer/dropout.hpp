// Dropout between layers from a counter-based generator: each element's fate is a function of
// (key, layer, t, b, feature), so nothing is stored, backward makes the same mask again, and
// neither threads nor chunks change it.
#pragma once
#include <cstdint>

#include "abi/cell_info.hpp"

namespace simdrnn {

struct Dropout {
  double probability;  // of dropping; 0 is off
  std::uint64_t key;
  [[nodiscard]] bool on() const { return probability > 0; }
};

// out[f] = in[f] * mask / (1 - p) for the row (layer, t, b) of `width` features; in and out may be
// the same.
template <class T>
void drop_row(const Dropout& dropout, Index layer, Index t, Index b, const T* in, T* out,
              Index width);

}  // namespace simdrnn
