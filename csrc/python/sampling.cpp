// sample: one class of each row of logits.
#include "engine/sampling.hpp"

#include <pybind11/pybind11.h>

#include <vector>

#include "engine/dispatch/dispatch.hpp"
#include "python/arrays.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace {

template <class T>
Index sample(const py::array& logits, const Sampling& how, const py::handle& uniform,
             const py::handle& out) {
  const Index rows = logits.shape(0), width = logits.shape(1);
  const T* const from = elements<const T>(logits, "logits", rows * width);
  const auto* const shares = elements<const double>(uniform, "uniform", rows);
  auto* const to = elements<std::int64_t>(out, "out", rows);
  std::vector<double> memory;
  return sample_rows(from, rows, width, how, shares, dispatch::active().math_f64, memory, to);
}

Index sample_any(const py::array& logits, double temperature, Index top_k,
                 const py::handle& uniform, const py::handle& out) {
  if (logits.ndim() != 2 || logits.shape(1) < 1) reject("logits", "a matrix with columns");
  const Sampling how{temperature, top_k};
  return py::dtype::of<float>().equal(logits.dtype()) ? sample<float>(logits, how, uniform, out)
                                                      : sample<double>(logits, how, uniform, out);
}

}  // namespace

void register_sampling(py::module_& m) {
  m.def("sample", &sample_any, py::arg("logits"), py::arg("temperature"), py::arg("top_k"),
        py::arg("uniform"), py::arg("out"),
        "Draw a class for each row of logits (B, V) by numbers in [0, 1); returns -1, or the first "
        "row whose logits tell no odds.");
}

}  // namespace simdrnn::python
