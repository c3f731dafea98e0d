// The short way for calls without options: one step of a small network takes a fraction of a
// microsecond, and checking its arguments in Python several. Whatever is unusual about an argument
// (a list, a view, another dtype, a wrong shape) is left to the front end, which copies it or says
// what is wrong.
#pragma once
#include <algorithm>
#include <utility>
#include <vector>

#include "engine/memory.hpp"
#include "python/kept_arrays.hpp"
#include "python/reader.hpp"

namespace simdrnn::python {

// Whether `object` is exactly a NumPy array of T, C-contiguous, aligned, in native byte order.
template <class T>
bool is_plain(const py::handle& object, py::ssize_t dimensions) {
  const auto& api = py::detail::npy_api::get();
  if (Py_TYPE(object.ptr()) != reinterpret_cast<PyTypeObject*>(api.PyArray_Type_)) return false;
  const auto* array = py::detail::array_proxy(object.ptr());
  constexpr int kFlags =
      py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  if (array->nd != dimensions || (array->flags & kFlags) != kFlags) return false;
  // NumPy's own arrays of T share one descriptor; others may still be equivalent.
  return array->descr == py::dtype::of<T>().ptr() || py::isinstance<py::array_t<T>>(object);
}

// A new C-contiguous array. py::array_t's constructor would work out the strides first.
template <class T>
py::array_t<T> new_array(const std::vector<py::ssize_t>& shape) {
  const auto& api = py::detail::npy_api::get();
  PyObject* const made = api.PyArray_NewFromDescr_(
      api.PyArray_Type_, py::dtype::of<T>().release().ptr(), static_cast<int>(shape.size()),
      reinterpret_cast<const Py_intptr_t*>(shape.data()), nullptr, nullptr, 0, nullptr);
  if (made == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::array_t<T>>(made);
}

// The same for what may be large.
template <class T>
py::array new_output(const std::vector<py::ssize_t>& shape) {
  std::size_t bytes = sizeof(T);
  for (const py::ssize_t size : shape) bytes *= static_cast<std::size_t>(size);
  if (bytes < KeptBlocks::kLeast) return new_array<T>(shape);
  return kept_array(shape, py::dtype::of<T>());
}

inline const py::ssize_t* shape_of(const py::handle& array) {
  return py::detail::array_proxy(array.ptr())->dimensions;
}

template <class T>
T* data_of(const py::handle& array) {
  return reinterpret_cast<T*>(py::detail::array_proxy(array.ptr())->data);
}

// The states of a plain call: as many as the cell has, of the given shape but for their width.
// False if anything is unusual.
template <class T>
bool plain_states(const py::handle& state, std::size_t count, std::vector<py::ssize_t> shape,
                  const NetworkShape& network, std::vector<const T*>& states) {
  const auto fits = [&](const py::handle& array) {
    shape.back() = network.state_size(states.size());
    return is_plain<T>(array, static_cast<py::ssize_t>(shape.size())) &&
           std::equal(shape.begin(), shape.end(), shape_of(array));
  };
  if (count == 1) {
    if (!fits(state)) return false;
    states.push_back(data_of<const T>(state));
    return true;
  }
  if (!PyTuple_CheckExact(state.ptr()) ||
      PyTuple_GET_SIZE(state.ptr()) != static_cast<py::ssize_t>(count)) {
    return false;
  }
  for (std::size_t k = 0; k < count; ++k) {
    const py::handle item = PyTuple_GET_ITEM(state.ptr(), static_cast<py::ssize_t>(k));
    if (!fits(item)) return false;
    states.push_back(data_of<const T>(item));
  }
  return true;
}

// A call whose arguments are known to be good; `made` receives the new states.
template <class T>
struct PlainCall {
  Call<T> call{};
  std::vector<T> zeros;
  std::vector<py::array_t<T>> made;
  std::vector<T*> finals;

  // `shape`: of the states, but for their width, which `network` has.
  bool take_states(const py::handle& state, std::size_t count, std::vector<py::ssize_t> shape,
                   const NetworkShape& network) {
    call.flush_denormals = flush_denormals.load(std::memory_order_relaxed);
    call.states.reserve(count);
    if (!state.is_none()) {
      if (!plain_states<T>(state, count, shape, network, call.states)) return false;
    } else {
      shape.back() = network.hidden_size;  // the widest
      std::size_t size = 1;
      for (const py::ssize_t n : shape) size *= static_cast<std::size_t>(n);
      zeros.assign(size, T(0));
      call.states.assign(count, zeros.data());
    }
    made.reserve(count);
    for (std::size_t k = 0; k < count; ++k) {
      shape.back() = network.state_size(k);
      made.push_back(new_array<T>(shape));
      finals.push_back(made.back().mutable_data());
    }
    return true;
  }

  py::object states_object() const {
    if (made.size() == 1) return made.front();
    py::tuple states(made.size());
    for (std::size_t k = 0; k < made.size(); ++k) states[k] = made[k];
    return states;
  }
};

// A call of a layer, or one step of a single cell: x and states then have no T and no L*D, and h is
// all that is put out. 0 threads: as many as may be used. None if any argument needs a closer look.
template <class T>
py::object plain_call(const Network<T>& network, const py::handle& x, const py::handle& state,
                      int threads, bool single_step) {
  const NetworkShape& shape = network.shape();
  const py::ssize_t dimensions = single_step ? 2 : 3;
  if (network.info().attention || !is_plain<T>(x, dimensions)) return py::none();
  const py::ssize_t* const size = shape_of(x);
  if (size[dimensions - 1] != shape.input_size) return py::none();
  const Index steps = single_step ? 1 : size[0], batch = size[dimensions - 2];
  PlainCall<T> plain;
  plain.call.threads = threads;
  plain.call.steps = {steps, batch, nullptr, nullptr, nullptr};
  plain.call.x = {data_of<const T>(x), batch * shape.input_size, shape.input_size};
  using Sizes = std::vector<py::ssize_t>;
  Sizes of_state = single_step ? Sizes{batch, 0} : Sizes{shape.passes(), batch, 0};
  if (!plain.take_states(state, static_cast<std::size_t>(network.info().states),
                         std::move(of_state), shape)) {
    return py::none();
  }
  const Index width = shape.output_size();
  py::object output;
  T* h = plain.finals[0];
  if (!single_step) {
    output = new_output<T>({steps, batch, width});
    h = data_of<T>(output);
  }
  TapeViews<T> tape;
  tape.hidden.push_back({h, batch * width, width});
  {
    const Unlocked unlocked(network, plain.call);
    if (unlocked) plain.call.poll = SignalPoll();
    network.forward(plain.call, tape, plain.finals);
  }
  return single_step ? plain.states_object() : py::make_tuple(output, plain.states_object());
}

}  // namespace simdrnn::python
