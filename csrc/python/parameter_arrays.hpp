// The parameters of one layer and direction, or their gradients, as NumPy arrays.
#pragma once
#include <vector>

#include "engine/network.hpp"
#include "python/arrays.hpp"

namespace simdrnn::python {

template <class E, class T>
class ParameterArrays {
 public:
  explicit ParameterArrays(const Network<T>& network)
      : network_(network), info_(network.info()), shape_(network.shape()) {}

  // From (weight_ih, weight_hh, bias_ih, bias_hh, cell_parameters, weight_hr) of layer * D +
  // direction.
  ParameterGradients<E> pointers(const py::tuple& arrays, Index index) const {
    const Index hidden = shape_.hidden_size, rows = input_blocks(info_) * hidden;
    const Index columns = network_.layer_input(index / shape_.directions);
    return {optional_elements<E>(arrays[0], "weight_ih", rows * columns),
            recurrent_weights(arrays[1]),
            optional_elements<E>(arrays[2], "bias_ih", rows),
            optional_elements<E>(arrays[3], "bias_hh", recurrent_gates(info_) * hidden),
            cell_parameters(py::cast<py::tuple>(arrays[4])),
            projection(arrays[5])};
  }

 private:
  // None where the cell has no recurrent product, and only there.
  E* recurrent_weights(const py::handle& object) const {
    const Index size = recurrent_blocks(info_) * shape_.hidden_size * network_.seen_units();
    if (object.is_none() != (size == 0)) {
      reject("weight_hh", "an array where the cell has such weights");
    }
    return optional_elements<E>(object, "weight_hh", size);
  }

  // None without projection.
  E* projection(const py::handle& object) const {
    if (object.is_none() == network_.projects()) reject("weight_hr", "one with a projection");
    return optional_elements<E>(object, "weight_hr", shape_.projected_size * shape_.hidden_size);
  }

  // The cell's own parameters, then those of layer normalisation.
  std::vector<E*> cell_parameters(const py::tuple& arrays) const {
    if (arrays.size() != static_cast<std::size_t>(network_.parameter_count())) {
      reject("cell_parameters", "one array per parameter of the units");
    }
    std::vector<E*> parameters;
    for (const auto& item : arrays) {
      parameters.push_back(optional_elements<E>(item, "cell_parameters", shape_.hidden_size));
    }
    return parameters;
  }

  const Network<T>& network_;
  const CellInfo& info_;
  const NetworkShape& shape_;
};

}  // namespace simdrnn::python
