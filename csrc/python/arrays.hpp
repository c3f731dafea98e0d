// NumPy arrays as pointers and strides. The front end has checked everything with better words;
// what is rechecked here keeps a wrong call from reading memory that is not there.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "abi/args.hpp"

namespace simdrnn::python {

namespace py = pybind11;

[[noreturn]] inline void reject(const char* name, const std::string& expected) {
  throw std::invalid_argument(std::string(name) + ": expected " + expected);
}

// `object` as an array of T's type, whose elements may be written unless T is const.
template <class T>
py::array array_of(const py::handle& object, const char* name) {
  const py::dtype wanted = py::dtype::of<std::remove_const_t<T>>();
  if (!py::isinstance<py::array>(object))
    throw py::type_error(std::string(name) + ": expected an array");
  auto array = py::reinterpret_borrow<py::array>(object);
  if (!wanted.equal(array.dtype())) {
    throw py::type_error(std::string(name) + ": expected dtype " + std::string(py::str(wanted)) +
                         ", got " + std::string(py::str(array.dtype())));
  }
  return array;
}

template <class T>
T* pointer_to(py::array& array) {
  if constexpr (std::is_const_v<T>) {
    return static_cast<T*>(array.data());
  } else {
    return static_cast<T*>(array.mutable_data());  // throws if read-only
  }
}

template <class T>
bool is_aligned(const py::array& array) {
  return reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) == 0;
}

// A (T, B, width) array of any strides but the last, which is one element.
template <class T>
Sequence<T> sequence(const py::handle& object, const char* name, Index steps, Index batch,
                     Index width) {
  py::array array = array_of<T>(object, name);
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
      !is_aligned<T>(array)) {
    reject(name, "aligned elements with unit inner stride");
  }
  return {pointer_to<T>(array), array.strides(0) / kSize, array.strides(1) / kSize};
}

// A C-contiguous array of `size` elements, or null for None.
template <class T>
T* elements(const py::handle& object, const char* name, Index size) {
  if (object.is_none()) return nullptr;
  py::array array = array_of<T>(object, name);
  if (array.size() != size || (array.flags() & py::array::c_style) == 0 || !is_aligned<T>(array)) {
    reject(name, std::to_string(size) + " C-contiguous, aligned elements");
  }
  return pointer_to<T>(array);
}

// A list or tuple of such arrays, one of each size; whether None is one.
template <class T>
std::vector<T*> list_of_elements(const py::handle& list, const char* name,
                                 const std::vector<Index>& sizes, bool may_be_none = false) {
  if (!py::isinstance<py::sequence>(list) || py::len(list) != sizes.size()) {
    reject(name, "a list of " + std::to_string(sizes.size()));
  }
  std::vector<T*> pointers;
  pointers.reserve(sizes.size());
  for (const auto& item : py::reinterpret_borrow<py::sequence>(list)) {
    if (item.is_none() && !may_be_none) reject(name, "arrays, no None");
    pointers.push_back(elements<T>(item, name, sizes[pointers.size()]));
  }
  return pointers;
}

}  // namespace simdrnn::python
