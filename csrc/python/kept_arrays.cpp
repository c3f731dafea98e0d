// Arrays in memory that is kept between the steps of a training loop: see KeptBlocks.
#include "python/kept_arrays.hpp"

#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "engine/memory.hpp"
#include "python/arrays.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

py::array kept_array(const std::vector<py::ssize_t>& shape, const py::dtype& dtype) {
  auto bytes = static_cast<std::size_t>(dtype.itemsize());
  for (const py::ssize_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::size_t>(size), &bytes)) {
      throw std::bad_alloc();
    }
  }
  std::unique_ptr<AlignedBuffer> block = KeptBlocks::all().take(std::max<std::size_t>(bytes, 1));
  void* const data = block->data();
  const py::capsule owner(block.get(), [](void* given) {
    KeptBlocks::all().give(std::unique_ptr<AlignedBuffer>(static_cast<AlignedBuffer*>(given)));
  });
  (void)block.release();
  return {dtype, shape, data, owner};
}

void register_kept_arrays(py::module_& m) {
  m.def("kept_array", &kept_array, py::arg("shape"), py::arg("dtype"),
        "An array as numpy.empty makes one, in memory that is kept for the next of its size.");
  m.attr("LEAST_KEPT") = KeptBlocks::kLeast;
  m.def(
      "release_kept_arrays", [] { return KeptBlocks::all().release(); },
      "Give kept memory back to the system; returns how many bytes that were.");
}

}  // namespace simdrnn::python
