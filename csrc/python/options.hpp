// A layer's options, of a dict of Python's: see engine/option_values.hpp.
#pragma once
#include <pybind11/pybind11.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "engine/option_values.hpp"

namespace simdrnn::python {

namespace py = pybind11;

// A number, a str, or a list or tuple of these.
inline OptionValue option_value(const py::handle& value) {
  if (py::isinstance<py::str>(value)) return {value.cast<std::string>()};
  if (!py::isinstance<py::list>(value) && !py::isinstance<py::tuple>(value)) {
    return {value.cast<double>()};
  }
  std::vector<OptionValue> values;
  for (const auto& item : value) values.push_back(option_value(item));
  return {std::move(values)};
}

// Those of a dict; what it does not name is off.
template <class T>
NetworkOptions<T> options_of(const py::dict& given) {
  OptionValues values;
  for (const auto& [key, value] : given) {
    values.emplace_back(py::cast<std::string>(key), option_value(value));
  }
  return simdrnn::options_of<T>(values);
}

}  // namespace simdrnn::python
