// DenseVersionsF32 and F64: affine maps of rows, each with one version of its weights.
#include "engine/dense.hpp"

#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "engine/dense_batch.hpp"
#include "engine/dispatch/dispatch.hpp"
#include "python/gil.hpp"
#include "python/register.hpp"
#include "python/rows.hpp"

namespace simdrnn::python {

namespace {

// What a call multiplies: every row by every weight.
double multiplications(Index rows, Index outputs, Index inputs) {
  return static_cast<double>(rows) * static_cast<double>(outputs * inputs);
}

// Makes the versions of one layer's weights, each of which leaves its memory to the next.
template <class T>
class DenseVersions {
 public:
  [[nodiscard]] std::shared_ptr<Dense<T>> pack(const py::handle& weight, const py::handle& bias,
                                               const std::string& isa) const {
    const py::array matrix = array_of<const T>(weight, "weight");
    if (matrix.ndim() != 2 || (matrix.flags() & py::array::c_style) == 0) {
      reject("weight", "a C-contiguous matrix");
    }
    const Index outputs = matrix.shape(0), inputs = matrix.shape(1);
    const T* const values = elements<const T>(weight, "weight", outputs * inputs);
    const T* const added = elements<const T>(bias, "bias", outputs);
    const KernelTable& table = dispatch::named(isa);
    const WithoutGil unlocked;
    return std::make_shared<Dense<T>>(outputs, inputs, values, added, table, spare_);
  }

 private:
  const std::shared_ptr<SpareBuffer> spare_ = std::make_shared<SpareBuffer>();
};

// Both ways through the weights; `name` is what errors call the rows that are written.
template <class T>
using Way = void (Dense<T>::*)(DenseRows<const T>, DenseRows<T>, const DenseRun&) const;

template <class T>
void multiply(const Dense<T>& dense, Way<T> way, const DenseRows<const T>& from,
              const DenseRows<T>& to, const char* name, int threads) {
  check_count(name, to.count, from.count);
  const DenseRun run = run_of(threads);
  const Unlocked unlocked(multiplications(from.count, dense.outputs(), dense.inputs()));
  (dense.*way)(from, to, run);
}

template <class T>
void forward(const Dense<T>& dense, const py::handle& x, const py::handle& y, int threads) {
  multiply(dense, &Dense<T>::forward, rows_of<const T>(x, "x", dense.inputs()),
           rows_of<T>(y, "y", dense.outputs()), "y", threads);
}

template <class T>
void backward(const Dense<T>& dense, const py::handle& d_y, const py::handle& d_x, int threads) {
  multiply(dense, &Dense<T>::backward, rows_of<const T>(d_y, "d_y", dense.outputs()),
           rows_of<T>(d_x, "d_x", dense.inputs()), "d_x", threads);
}

template <class T>
void weight_gradient(const py::handle& d_y, const py::handle& x, const py::handle& d_weight,
                     const py::handle& d_bias, int threads) {
  const py::array wanted = array_of<const T>(d_weight, "d_weight");
  if (wanted.ndim() != 2) reject("d_weight", "a matrix");
  const Index outputs = wanted.shape(0), inputs = wanted.shape(1);
  const auto gradients = rows_of<const T>(d_y, "d_y", outputs);
  const auto rows = rows_of<const T>(x, "x", inputs);
  check_count("x", rows.count, gradients.count);
  T* const to = elements<T>(d_weight, "d_weight", outputs * inputs);
  T* const to_bias = elements<T>(d_bias, "d_bias", outputs);
  const DenseRun run = run_of(threads);
  const KernelTable& table = dispatch::active();
  const Unlocked unlocked(multiplications(rows.count, outputs, inputs));
  dense_weight_gradient<T>(gradients, outputs, rows, inputs, to, to_bias, table, run);
}

// A (count, rows, width) array of any strides but the last, which is one element.
template <class T>
struct Batch {
  DenseMatrices<T> matrices;
  Index count, rows, width;
};

template <class T>
Batch<T> batch_of(const py::handle& object, const char* name) {
  const py::array array = array_of<T>(object, name);
  if (array.ndim() != 3) reject(name, "a batch of matrices");
  const auto rows = sequence<T>(object, name, array.shape(0), array.shape(1), array.shape(2));
  return {
      {rows.data, rows.stride_t, rows.stride_b}, array.shape(0), array.shape(1), array.shape(2)};
}

void check_sizes(const char* name, bool fit) {
  if (!fit) reject(name, "the sizes of the other arrays");
}

template <class T>
std::unique_ptr<DenseBatch<T>> pack_batch(const py::handle& matrices) {
  const auto given = batch_of<const T>(matrices, "matrices");
  const KernelTable& table = dispatch::active();
  const Unlocked unlocked(multiplications(given.count, given.rows, given.width));
  return std::make_unique<DenseBatch<T>>(given.matrices, given.count, given.rows, given.width,
                                         table);
}

template <class T>
void batch_forward(const DenseBatch<T>& batch, const py::handle& x, const py::handle& y,
                   int threads) {
  const auto from = batch_of<const T>(x, "x");
  const auto to = batch_of<T>(y, "y");
  check_sizes("x", from.count == batch.count() && from.width == batch.width());
  check_sizes("y", to.count == from.count && to.rows == from.rows && to.width == batch.rows());
  const DenseRun run = run_of(threads);
  const Unlocked unlocked(multiplications(from.count * from.rows, batch.rows(), batch.width()));
  batch.forward(from.matrices, from.rows, to.matrices, run);
}

template <class T>
void batch_backward(const DenseBatch<T>& batch, const py::handle& y, const py::handle& x,
                    int threads) {
  const auto from = batch_of<const T>(y, "y");
  const auto to = batch_of<T>(x, "x");
  check_sizes("y", from.count == batch.count() && from.width == batch.rows());
  check_sizes("x", to.count == from.count && to.rows == from.rows && to.width == batch.width());
  const DenseRun run = run_of(threads);
  const Unlocked unlocked(multiplications(from.count * from.rows, batch.rows(), batch.width()));
  batch.backward(from.matrices, from.rows, to.matrices, run);
}

template <class T>
void batch_gradient(const py::handle& y, const py::handle& x, const py::handle& d_matrices,
                    bool add, int threads) {
  const auto scores = batch_of<const T>(y, "y");
  const auto queries = batch_of<const T>(x, "x");
  check_sizes("x", queries.count == scores.count && queries.rows == scores.rows);
  const auto wanted = batch_of<const T>(d_matrices, "d_matrices");
  check_sizes("d_matrices", wanted.count == scores.count && wanted.rows == scores.width &&
                                wanted.width == queries.width);
  T* const to = elements<T>(d_matrices, "d_matrices", scores.count * scores.width * queries.width);
  const DenseRun run = run_of(threads);
  const KernelTable& table = dispatch::active();
  const Unlocked unlocked(multiplications(scores.count * scores.rows, scores.width, queries.width));
  dense_batch_gradient<T>(scores.matrices, scores.width, queries.matrices, queries.width,
                          scores.count, scores.rows, to, add, table, run);
}

template <class T>
void register_batch(py::module_& m, const std::string& type) {
  py::class_<DenseBatch<T>>(m, ("DenseBatch" + type).c_str(),
                            "A matrix for each row of a batch, and products with it.")
      .def(py::init(&pack_batch<T>), py::arg("matrices"))
      .def("forward", &batch_forward<T>, py::arg("x"), py::arg("y"), py::arg("threads"),
           "Write y (B, N, M) from x (B, N, K): products with the rows of (B, M, K).")
      .def("backward", &batch_backward<T>, py::arg("y"), py::arg("x"), py::arg("threads"),
           "Write x (B, N, K) from y (B, N, M): sums of these rows.");
}

template <class T>
void register_as(py::module_& m, const std::string& type) {
  py::class_<Dense<T>, std::shared_ptr<Dense<T>>>(
      m, ("Dense" + type).c_str(),
      "y = x W^T + b of rows, with one version of W and b; see simdrnn.engine.dense.")
      .def("forward", &forward<T>, py::arg("x"), py::arg("y"), py::arg("threads"),
           "Write y (rows, outputs) from x (rows, inputs).")
      .def("backward", &backward<T>, py::arg("d_y"), py::arg("d_x"), py::arg("threads"),
           "Write d_x (rows, inputs) from d_y (rows, outputs).")
      .def("packed_bytes", &Dense<T>::packed_bytes, "Bytes of the packed weights.");
  py::class_<DenseVersions<T>>(m, ("DenseVersions" + type).c_str(),
                               "Packs one version of weights after another.")
      .def(py::init<>())
      .def("pack", &DenseVersions<T>::pack, py::arg("weight"), py::arg("bias"), py::arg("isa"),
           "Return the map of a weight (outputs, inputs) and its bias (outputs) or None.");
}

}  // namespace

void register_dense(py::module_& m) {
  register_as<float>(m, "F32");
  register_as<double>(m, "F64");
  register_batch<float>(m, "F32");
  register_batch<double>(m, "F64");
  constexpr auto kOfBatch =
      "Write to d_matrices (B, M, K), or add to it, the sum over N of y (B, N, M) times x (B, N, "
      "K).";
  m.def("dense_batch_gradient_f32", &batch_gradient<float>, py::arg("y"), py::arg("x"),
        py::arg("d_matrices"), py::arg("add"), py::arg("threads"), kOfBatch);
  m.def("dense_batch_gradient_f64", &batch_gradient<double>, py::arg("y"), py::arg("x"),
        py::arg("d_matrices"), py::arg("add"), py::arg("threads"), kOfBatch);
  constexpr auto kGradient =
      "Write d_weight (outputs, inputs), the sum over rows of d_y times x, and d_bias (outputs), "
      "that of d_y, unless it is None.";
  m.def("dense_weight_gradient_f32", &weight_gradient<float>, py::arg("d_y"), py::arg("x"),
        py::arg("d_weight"), py::arg("d_bias"), py::arg("threads"), kGradient);
  m.def("dense_weight_gradient_f64", &weight_gradient<double>, py::arg("d_y"), py::arg("x"),
        py::arg("d_weight"), py::arg("d_bias"), py::arg("threads"), kGradient);
}

}  // namespace simdrnn::python
