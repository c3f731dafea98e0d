// Where backward writes the gradients of one layer and direction's parameters.
#pragma once
#include <vector>

namespace simdrnn {

template <class T>
struct ParameterGradients {
  T* weight_ih;
  T* weight_hh;  // null where the cell has none
  T* bias_ih;    // null without biases
  T* bias_hh;
  // The cell's own, then layer normalisation's, (H) each; null where it is a bias left out.
  std::vector<T*> parameters;
  T* weight_hr = nullptr;  // null without projection
};

}  // namespace simdrnn
