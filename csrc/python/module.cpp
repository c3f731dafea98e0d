#include "python/register.hpp"

// Kernels are reentrant and packed weights never change, so no GIL is needed for safety.
PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "The compiled engine of simdrnn; use it through the package's Python front end.";
  simdrnn::python::register_holding(m);
  simdrnn::python::register_network(m);
  simdrnn::python::register_dense(m);
  simdrnn::python::register_training(m);
  simdrnn::python::register_update(m);
  simdrnn::python::register_info(m);
  simdrnn::python::register_shared(m);
  simdrnn::python::register_fingerprints(m);
  simdrnn::python::register_sampling(m);
  simdrnn::python::register_stream(m);
  simdrnn::python::register_c_api(m);
  simdrnn::python::register_runtime_operator(m);
  simdrnn::python::register_kept_arrays(m);
  simdrnn::python::register_testing(m);
}
