// Where backward writes the gradients of one layer and direction's parameters.
#pragma once
#include <algorithm>
#include <vector>

#include "abi/cell_info.hpp"

namespace simdrnn {

template <class T>
struct ParameterGradients {
  T* weight_ih;
  T* weight_hh;
  T* bias_ih;  // null without biases
  T* bias_hh;
  std::vector<T*> parameters;  // the cell's own, then layer normalisation's, (H) each
  T* weight_hr = nullptr;      // null without projection
};

struct GradientSizes {
  Index rows, input, h, hidden;  // gates * H, I, P, H
};

// Without steps they are 0.
template <class T>
void clear(const ParameterGradients<T>& d, const GradientSizes& sizes) {
  std::fill_n(d.weight_ih, sizes.rows * sizes.input, T(0));
  std::fill_n(d.weight_hh, sizes.rows * sizes.h, T(0));
  for (T* const parameter : d.parameters) std::fill_n(parameter, sizes.hidden, T(0));
  if (d.weight_hr != nullptr) std::fill_n(d.weight_hr, sizes.h * sizes.hidden, T(0));
  if (d.bias_ih == nullptr) return;
  std::fill_n(d.bias_ih, sizes.rows, T(0));
  std::fill_n(d.bias_hh, sizes.rows, T(0));
}

}  // namespace simdrnn
