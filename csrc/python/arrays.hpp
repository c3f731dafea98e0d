// NumPy arrays as pointers and strides. The front end has checked everything with better words;
// what is rechecked here keeps a wrong call from reading memory that is not there.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>

#include "abi/args.hpp"

namespace simdrnn::python {

namespace py = pybind11;

template <class T>
void check_type(const py::array& array, const char* name) {
  if (!py::dtype::of<T>().equal(array.dtype())) {
    throw py::type_error(std::string(name) + ": expected dtype " +
                         std::string(py::str(py::dtype::of<T>())) + ", got " +
                         std::string(py::str(array.dtype())));
  }
}

[[noreturn]] inline void reject(const char* name, const std::string& expected) {
  throw std::invalid_argument(std::string(name) + ": expected " + expected);
}

// A (T, B, width) array of any strides but the last, which is one element.
template <class T, class Array>
Sequence<T> sequence(Array& array, const char* name, Index steps, Index batch, Index width) {
  using Element = std::remove_const_t<T>;
  check_type<Element>(array, name);
  constexpr auto kSize = Index{sizeof(T)};
  if (array.ndim() != 3 || array.shape(0) != steps || array.shape(1) != batch ||
      array.shape(2) != width) {
    reject(name, "shape (" + std::to_string(steps) + ", " + std::to_string(batch) + ", " +
                     std::to_string(width) + ")");
  }
  // NumPy may give arrays without elements any strides.
  const bool contiguous_rows =
      array.size() == 0 || array.shape(2) <= 1 || array.strides(2) == kSize;
  if (!contiguous_rows || array.strides(0) % kSize != 0 || array.strides(1) % kSize != 0 ||
      reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) != 0) {
    reject(name, "aligned elements with unit inner stride");
  }
  T* data = nullptr;
  if constexpr (std::is_const_v<T>) {
    data = static_cast<T*>(array.data());
  } else {
    data = static_cast<T*>(array.mutable_data());  // throws if read-only
  }
  return {data, array.strides(0) / kSize, array.strides(1) / kSize};
}

// A C-contiguous array of `size` elements; `const T` for reading, `T` for writing.
template <class T, class Array>
T* elements(Array& array, const char* name, Index size) {
  check_type<std::remove_const_t<T>>(array, name);
  if (array.size() != size || (array.flags() & py::array::c_style) == 0) {
    reject(name, std::to_string(size) + " C-contiguous elements");
  }
  if constexpr (std::is_const_v<T>) {
    return static_cast<T*>(array.data());
  } else {
    return static_cast<T*>(array.mutable_data());
  }
}

// The same, or null for None.
template <class T>
T* optional_elements(const py::handle& object, const char* name, Index size) {
  if (object.is_none()) return nullptr;
  auto array = py::cast<py::array>(object);
  return elements<T>(array, name, size);
}

}  // namespace simdrnn::python
