// What the functions in C are reached by from extension modules: their table, and models in
// capsules; and the activations of chains, which Python runs as C does.
#include <pybind11/numpy.h>

#include <stdexcept>
#include <string>

#include "c_api/table.hpp"
#include "engine/dispatch/dispatch.hpp"
#include "engine/flush_denormals.hpp"
#include "engine/option_values.hpp"
#include "model/activation_stage.hpp"
#include "python/arrays.hpp"
#include "python/gil.hpp"
#include "python/reader.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace {

py::capsule c_model(const py::bytes& image) {
  char* bytes = nullptr;
  py::ssize_t size = 0;
  if (PyBytes_AsStringAndSize(image.ptr(), &bytes, &size) != 0) throw py::error_already_set();
  simdrnn_model* model = nullptr;
  simdrnn_status status = SIMDRNN_OK;
  {
    const WithoutGil unlocked;
    status = simdrnn_model_open_memory(bytes, static_cast<std::size_t>(size), &model);
  }
  if (status == SIMDRNN_ERROR_MEMORY) throw std::bad_alloc();
  if (status != SIMDRNN_OK) throw std::invalid_argument(simdrnn_last_error());
  const auto close = [](PyObject* capsule) {
    simdrnn_model_close(
        static_cast<simdrnn_model*>(PyCapsule_GetPointer(capsule, SIMDRNN_MODEL_CAPSULE)));
  };
  return py::capsule(model, SIMDRNN_MODEL_CAPSULE, close);
}

template <class T>
void activate(const std::string& name, double alpha, double beta, const py::handle& x,
              const py::handle& y) {
  const py::array from = array_of<const T>(x, "x");
  if (from.ndim() != 2) reject("x", "rows");
  const Index rows = from.shape(0), width = from.shape(1);
  const T* const read = elements<const T>(x, "x", rows * width);
  T* const written = elements<T>(y, "y", rows * width);
  model::ActivationStage<T> stage;
  stage.softmax = name == "softmax";
  if (!stage.softmax) {
    stage.activation = {activation_kind(name), static_cast<T>(alpha), static_cast<T>(beta)};
  }
  if (width == 0) return;
  const FlushDenormals scope(flush_denormals.load(std::memory_order_relaxed));
  model::activate_rows(stage, dispatch::active(), read, written, rows, width);
}

}  // namespace

void register_c_api(py::module_& m) {
  m.attr("_C_API") = py::capsule(static_cast<const void*>(&c_api::kTable), SIMDRNN_API_CAPSULE);
  m.def("c_model", &c_model, py::arg("image"),
        "The model in the bytes of a file, in a capsule that owns it.");
  const auto arguments = [&](const char* name, auto function) {
    m.def(name, function, py::arg("name"), py::arg("alpha"), py::arg("beta"), py::arg("x"),
          py::arg("y"), "Write y from x, both (rows, width); softmax is over a row.");
  };
  arguments("activate_f32", &activate<float>);
  arguments("activate_f64", &activate<double>);
}

}  // namespace simdrnn::python
