// What module.cpp puts together.
#pragma once
#include <pybind11/pybind11.h>

namespace simdrnn::python {

void register_c_api(pybind11::module_& m);
void register_dense(pybind11::module_& m);
void register_holding(pybind11::module_& m);
void register_network(pybind11::module_& m);
void register_info(pybind11::module_& m);
void register_shared(pybind11::module_& m);
void register_fingerprints(pybind11::module_& m);
void register_sampling(pybind11::module_& m);
void register_stream(pybind11::module_& m);
void register_runtime_operator(pybind11::module_& m);
void register_training(pybind11::module_& m);
void register_update(pybind11::module_& m);
void register_kept_arrays(pybind11::module_& m);
void register_testing(pybind11::module_& m);

}  // namespace simdrnn::python
