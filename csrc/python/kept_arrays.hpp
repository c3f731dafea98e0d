// Arrays in memory that is kept between the steps of a loop: see KeptBlocks.
#pragma once
#include <pybind11/numpy.h>

#include <vector>

namespace simdrnn::python {

// A C-contiguous array with anything in it. Its memory is given back when nobody has the array or a
// view of it any more.
pybind11::array kept_array(const std::vector<pybind11::ssize_t>& shape,
                           const pybind11::dtype& dtype);

}  // namespace simdrnn::python
