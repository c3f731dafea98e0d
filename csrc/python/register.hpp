// What module.cpp puts together.
#pragma once
#include <pybind11/pybind11.h>

namespace simdrnn::python {

void register_network(pybind11::module_& m);
void register_info(pybind11::module_& m);
void register_shared(pybind11::module_& m);
void register_testing(pybind11::module_& m);

}  // namespace simdrnn::python
