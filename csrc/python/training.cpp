// Losses, embeddings and the steps of optimisers; see simdrnn.engine.losses, embedding, updates.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/cross_entropy.hpp"
#include "engine/dispatch/dispatch.hpp"
#include "engine/embedding.hpp"
#include "python/gil.hpp"
#include "python/register.hpp"
#include "python/rows.hpp"

namespace simdrnn::python {

namespace {

// How many elements are moved while the GIL could have been given back and taken again.
double work_of(Index rows, Index width) {
  return 16.0 * static_cast<double>(rows) * static_cast<double>(width);
}

// A C-contiguous matrix.
template <class T>
struct Matrix {
  T* data;
  Index rows, width;
};

template <class T>
Matrix<T> matrix_of(const py::handle& object, const char* name) {
  const py::array array = array_of<const T>(object, name);
  if (array.ndim() != 2) reject(name, "a matrix");
  return {elements<T>(object, name, array.size()), array.shape(0), array.shape(1)};
}

template <class T>
std::unique_ptr<CrossEntropy<T>> cross_entropy(const py::handle& logits, const py::handle& targets,
                                               const py::handle& real, int threads) {
  const py::array array = array_of<const T>(logits, "logits");
  if (array.ndim() != 2) reject("logits", "a matrix");
  const Index classes = array.shape(1);
  const auto rows = rows_of<const T>(logits, "logits", classes);
  if (classes == 0 || targets.is_none()) reject("logits", "classes, and targets");
  const auto* const chosen = elements<const std::int64_t>(targets, "targets", rows.count);
  const auto* const mask = elements<const bool>(real, "real", rows.count);
  const DenseRun run = run_of(threads);
  const KernelTable& table = dispatch::active();
  const Unlocked unlocked(work_of(rows.count, classes));
  return std::make_unique<CrossEntropy<T>>(rows, classes, chosen,
                                           reinterpret_cast<const std::uint8_t*>(mask), table, run);
}

template <class T>
void cross_entropy_gradient(const CrossEntropy<T>& loss, double scale, const py::handle& d_logits,
                            int threads) {
  T* const to = elements<T>(d_logits, "d_logits", loss.rows() * loss.classes());
  if (to == nullptr) reject("d_logits", "an array");
  const DenseRun run = run_of(threads);
  const Unlocked unlocked(work_of(loss.rows(), loss.classes()));
  loss.backward(scale, to, run);
}

template <class T>
void gather_rows(const py::handle& table, const py::handle& indices, const py::handle& out,
                 int threads) {
  const auto from = matrix_of<const T>(table, "table");
  const auto to = matrix_of<T>(out, "out");
  if (to.width != from.width || indices.is_none()) reject("out", "rows of the table");
  const auto* const chosen = elements<const std::int64_t>(indices, "indices", to.rows);
  bool right = false;
  {
    const Unlocked unlocked(work_of(to.rows, to.width));
    right = gather<T>(from.data, from.rows, from.width, chosen, to.rows, to.data, threads);
  }
  if (!right) throw py::index_error("indices: expected rows of the table");
}

template <class T>
void add_to_rows(const py::handle& d_out, const py::handle& indices, const py::handle& d_table,
                 int threads) {
  const auto to = matrix_of<T>(d_table, "d_table");
  const auto from = rows_of<const T>(d_out, "d_out", to.width);
  if (indices.is_none()) reject("indices", "an array");
  const auto* const chosen = elements<const std::int64_t>(indices, "indices", from.count);
  bool right = false;
  {
    const Unlocked unlocked(work_of(from.count + to.rows, to.width));
    right = scatter_add<T>(from, to.width, chosen, to.data, to.rows, threads);
  }
  if (!right) throw py::index_error("indices: expected rows of the table");
}

template <class T>
void register_as(py::module_& m, const std::string& type) {
  using Loss = CrossEntropy<T>;
  py::class_<Loss>(m, ("CrossEntropy" + type).c_str(),
                   "Mean cross entropy of rows of logits under softmax.")
      .def(py::init(&cross_entropy<T>), py::arg("logits"), py::arg("targets"), py::arg("real"),
           py::arg("threads"))
      .def_property_readonly("value", &Loss::value, "The mean over the real rows, or 0.")
      .def("backward", &cross_entropy_gradient<T>, py::arg("scale"), py::arg("d_logits"),
           py::arg("threads"), "Write `scale` times the gradient of the value.");
}

}  // namespace

void register_training(py::module_& m) {
  register_as<float>(m, "F32");
  register_as<double>(m, "F64");
  m.def("gather_f32", &gather_rows<float>, py::arg("table"), py::arg("indices"), py::arg("out"),
        py::arg("threads"), "Write row indices[i] of a table to row i.");
  m.def("gather_f64", &gather_rows<double>, py::arg("table"), py::arg("indices"), py::arg("out"),
        py::arg("threads"), "Write row indices[i] of a table to row i.");
  m.def("scatter_add_f32", &add_to_rows<float>, py::arg("d_out"), py::arg("indices"),
        py::arg("d_table"), py::arg("threads"), "Write the sums of the rows with the same index.");
  m.def("scatter_add_f64", &add_to_rows<double>, py::arg("d_out"), py::arg("indices"),
        py::arg("d_table"), py::arg("threads"), "Write the sums of the rows with the same index.");
}

}  // namespace simdrnn::python
