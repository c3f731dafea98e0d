#include "python/register.hpp"

// Kernels are reentrant and packed weights change only under set_parameters, so no GIL is needed
// for safety.
PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "The compiled engine of simdrnn; use it through the package's Python front end.";
  simdrnn::python::register_network(m);
  simdrnn::python::register_info(m);
  simdrnn::python::register_shared(m);
  simdrnn::python::register_testing(m);
}
