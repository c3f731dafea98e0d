// StreamCore.step, written with Python's own C functions: of a step of a small network, which takes
// a tenth of a microsecond, dispatch by pybind11 would be several times.
//
// It takes what is usual (plain arrays, in `out=` or a new one) and leaves everything else to
// `_step` of the subclass, which copies it or says what is wrong.
#include <functional>
#include <new>

#include "python/stream_core.hpp"

namespace simdrnn::python {

namespace {

struct StepArguments {
  PyObject* x = nullptr;
  PyObject* out = Py_None;
  PyObject* rows = Py_None;
  PyObject* attention = Py_None;
};

// The names of step's arguments, interned: what a call site has is the same object.
struct Names {
  PyObject* out = PyUnicode_InternFromString("out");
  PyObject* rows = PyUnicode_InternFromString("rows");
  PyObject* attention = PyUnicode_InternFromString("attention");
  PyObject* slow = PyUnicode_InternFromString("_step");
};

const Names& names_of_step() {
  static const Names* const names = new Names();
  return *names;
}

// Reads step(x, out=None, *, rows=None, attention=None); false if it is anything else.
bool read_arguments(PyObject* const* args, Py_ssize_t count, PyObject* keywords,
                    StepArguments& found) {
  if (count < 1 || count > 2) return false;
  found.x = args[0];
  if (count == 2) found.out = args[1];
  const Py_ssize_t named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  const Names& names = names_of_step();
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* const name = PyTuple_GET_ITEM(keywords, i);
    PyObject* const value = args[count + i];
    if (name == names.out && count == 1) {
      found.out = value;
    } else if (name == names.rows) {
      found.rows = value;
    } else if (name == names.attention) {
      found.attention = value;
    } else {
      return false;
    }
  }
  return true;
}

template <class T>
bool is_matrix(PyObject* object, Index rows, Index columns) {
  if (!is_plain<T>(object, 2)) return false;
  const py::ssize_t* const shape = shape_of(object);
  return shape[0] == rows && shape[1] == columns;
}

bool is_writable(PyObject* array) {
  constexpr int kWritable = py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return (py::detail::array_proxy(array)->flags & kWritable) != 0;
}

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) {
  const auto *const first = static_cast<const char*>(a), *const second =
                                                             static_cast<const char*>(b);
  return std::less<>()(first, second + b_bytes) && std::less<>()(second, first + a_bytes);
}

// What a step is given; false where it is unusual.
template <class T>
bool take_input(const Stream<T>& stream, PyObject* given, model::StreamCall<T>& call) {
  if (!is_matrix<T>(given, call.count, stream.input_size())) return false;
  call.x = data_of<const T>(given);
  return true;
}
template <class T>
bool take_input(const ModelStream<T>& stream, PyObject* given, model::StreamCall<T>& call) {
  if (stream.takes_numbers()) {
    if (!is_plain<std::int64_t>(given, 1) || shape_of(given)[0] != call.count) return false;
    call.numbers = data_of<const std::int64_t>(given);
    return stream.fits(call.numbers, call.count);
  }
  if (!is_matrix<T>(given, call.count, stream.input_size())) return false;
  call.x = data_of<const T>(given);
  return true;
}

template <class T>
void run(Stream<T>& stream, const model::StreamCall<T>& call) noexcept {
  if (call.rows == nullptr) return stream.step(call.x, call.y);
  stream.step(call.x, call.y, call.rows, call.count);
}
template <class T>
void run(ModelStream<T>& stream, const model::StreamCall<T>& call) noexcept {
  stream.run(call);
}

// Where the output goes: `given`, or a new array; null where that is unusual.
template <class T>
PyObject* take_output(PyObject* given, const model::StreamCall<T>& call, Index inputs,
                      Index outputs) {
  if (given == Py_None) return new_array<T>({call.count, outputs}).release().ptr();
  const void* const x = call.numbers != nullptr ? static_cast<const void*>(call.numbers) : call.x;
  const auto bytes = call.numbers != nullptr ? call.count * Index{sizeof(std::int64_t)}
                                             : call.count * inputs * Index{sizeof(T)};
  if (!is_matrix<T>(given, call.count, outputs) || !is_writable(given) ||
      overlap(x, static_cast<std::size_t>(bytes), data_of<const T>(given),
              static_cast<std::size_t>(call.count * outputs) * sizeof(T))) {
    return nullptr;
  }
  return Py_NewRef(given);
}

enum class Outcome { kDone, kUnusual, kInside, kFailed };

template <template <class> class AnyStream, class T>
Outcome short_step(StreamCore& core, AnyStream<T>& stream, const StepArguments& given,
                   PyObject*& result) {
  if (given.attention != Py_None || stream.takes_attention()) return Outcome::kUnusual;
  if (!stream.enter()) return Outcome::kInside;
  struct Leaving {
    AnyStream<T>& inside;
    ~Leaving() { inside.leave(); }
  } const leaving{stream};
  model::StreamCall<T> call{nullptr, nullptr, 1, nullptr, stream.batch(), nullptr};
  if (given.rows != Py_None) {
    const std::optional<Index> taken = core.take_rows(given.rows);
    if (!taken) return Outcome::kUnusual;
    call.rows = core.rows();
    call.count = *taken;
  }
  if (!take_input(stream, given.x, call)) return Outcome::kUnusual;
  result = take_output(given.out, call, stream.input_size(), stream.output_size());
  if (result == nullptr) return Outcome::kUnusual;
  call.y = data_of<T>(result);
  stream.set_flush_denormals(flush_denormals.load(std::memory_order_relaxed));
  if (stream.multiplications() * static_cast<double>(call.count) > kLongStep) {
    const WithoutGil unlocked;
    run(stream, call);
  } else {
    run(stream, call);
  }
  return Outcome::kDone;
}

// What pybind11 keeps in an instance; null where its __init__ was not called.
StreamCore* core_of(PyObject* self) {
  auto* const instance = reinterpret_cast<py::detail::instance*>(self);
  void* const value = instance->simple_layout ? instance->simple_value_holder[0]
                                              : instance->nonsimple.values_and_holders[0];
  return static_cast<StreamCore*>(value);
}

// In the subclass, with the arguments as they were.
PyObject* step_otherwise(PyObject* self, PyObject* const* args, Py_ssize_t count,
                         PyObject* keywords) {
  PyObject* const slow = PyObject_GetAttr(self, names_of_step().slow);
  if (slow == nullptr) return nullptr;
  PyObject* const result =
      PyObject_Vectorcall(slow, args, static_cast<std::size_t>(count), keywords);
  Py_DECREF(slow);
  return result;
}

PyObject* step(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* keywords) {
  StreamCore* const core = core_of(self);
  StepArguments given;
  if (core == nullptr || !read_arguments(args, count, keywords, given)) {
    return step_otherwise(self, args, count, keywords);
  }
  PyObject* result = nullptr;
  Outcome outcome = Outcome::kFailed;
  try {
    outcome = core->with([&](auto& stream) { return short_step(*core, stream, given, result); });
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  }
  if (outcome == Outcome::kDone) return result;
  if (outcome == Outcome::kUnusual) return step_otherwise(self, args, count, keywords);
  if (outcome == Outcome::kInside) PyErr_SetString(PyExc_ValueError, kOneThread);
  return nullptr;
}

constexpr char kStepText[] =
    "step($self, x, out=None, *, rows=None, attention=None)\n--\n\n"
    "Take one step.\n\n"
    "Parameters\n----------\n"
    "x : (B, I), or with `rows` (N, I): what arrived for each of them, in their order; integers "
    "(B,)\n"
    "    or (N,) for a model that begins with an `Embedding`.\n"
    "out : where the output is written; it must not overlap `x`. Without it an array is made.\n"
    "rows : N different row numbers; the other rows stay as they are. None is all rows.\n"
    "attention : (B,) or (N,): for cells that take a number beside x, and needed there.\n\n"
    "Returns\n-------\n"
    "(B, F), or with `rows` (N, F); `out` itself where it was given. F is D*H, or P with a\n"
    "projection.\n\n"
    "Raises\n------\n"
    "TypeError, ValueError : an argument does not fit, or another thread is in this stream. The\n"
    "    states are then as they were.\n";

PyMethodDef method = {"step", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&step)),
                      METH_FASTCALL | METH_KEYWORDS, kStepText};

}  // namespace

PyMethodDef* step_method() {
  names_of_step();
  return &method;
}

}  // namespace simdrnn::python
