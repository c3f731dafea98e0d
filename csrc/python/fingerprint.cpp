// fingerprints and same_bytes: lists of arrays for engine/fingerprint.hpp.
#include "engine/fingerprint.hpp"

#include <pybind11/stl.h>

#include <cstdint>
#include <span>
#include <vector>

#include "python/arrays.hpp"
#include "python/gil.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace {

bool is_dense(const py::array& array) { return (array.flags() & py::array::c_style) != 0; }

ArrayLayout layout_of(const py::array& array) {
  const auto dimensions = static_cast<std::size_t>(array.ndim());
  return {.data = array.data(),
          .item_size = static_cast<std::size_t>(array.itemsize()),
          .shape = {array.shape(), dimensions},
          .strides = {array.strides(), dimensions},
          .dense = is_dense(array)};
}

using Numbers = std::vector<std::uint64_t>;
using Method = Numbers(std::span<const ArrayBytes>, int);

template <Method& method>
Numbers fingerprints_of(const py::list& given, int threads) {
  std::vector<ArrayBytes> arrays;
  arrays.reserve(given.size());
  std::size_t bytes = 0;
  for (const auto& item : given) {
    if (!py::isinstance<py::array>(item)) throw py::type_error("arrays: expected a list of arrays");
    arrays.emplace_back(layout_of(py::reinterpret_borrow<py::array>(item)));
    bytes += arrays.back().size();
  }
  constexpr std::size_t kLong = std::size_t{1} << 19;  // about 20 us by products, 10 by AES
  if (bytes <= kLong) return method(arrays, threads);
  const WithoutGil unlocked;
  return method(arrays, threads);
}

const char* dense_bytes(const py::array& array) {
  if (!is_dense(array)) reject("arrays", "C-contiguous ones");
  return static_cast<const char*>(array.data());
}

// With the lock: whoever would free one of the arrays waits.
bool same_bytes_of(const std::vector<py::array>& kept, const std::vector<py::array>& given) {
  if (kept.size() != given.size()) return false;
  std::vector<BytePair> pairs;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i].nbytes() != given[i].nbytes()) return false;
    pairs.push_back(
        {dense_bytes(kept[i]), dense_bytes(given[i]), static_cast<std::size_t>(kept[i].nbytes())});
  }
  return same_bytes(pairs);
}

}  // namespace

void register_fingerprints(py::module_& m) {
  m.def("same_bytes", &same_bytes_of, py::arg("kept"), py::arg("given"),
        "Whether C-contiguous arrays have the bytes of others, one by one.");
  m.def(
      "fingerprints", &fingerprints_of<fingerprints>, py::arg("arrays"), py::arg("num_threads") = 0,
      "A number of 64 bits for each array: whatever changes in it changes the number, which means "
      "something in this process alone.");
  m.def_submodule("testing").def(
      "fingerprints_by_products", &fingerprints_of<fingerprints_by_products>, py::arg("arrays"),
      py::arg("num_threads") = 0, "The same where the CPU has no instructions for AES.");
}

}  // namespace simdrnn::python
