#include "python/register.hpp"

// Kernels are reentrant and packed weights change only under set_parameters, so no GIL is needed
// for safety.
PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "The compiled engine of simdrnn; use it through the package's Python front end.";
  simdrnn::bindings::register_network(m);
  simdrnn::bindings::register_info(m);
  simdrnn::bindings::register_shared(m);
  simdrnn::bindings::register_testing(m);
}
