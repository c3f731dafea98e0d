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

template <class T>
bool overlap(const T* a, Index a_size, const T* b, Index b_size) {
  return std::less<>()(a, b + b_size) && std::less<>()(b, a + a_size);
}

enum class Outcome { kDone, kUnusual, kInside, kFailed };

template <class T>
Outcome short_step(StreamCore& core, Stream<T>& stream, const StepArguments& given,
                   PyObject*& result) {
  if (given.attention != Py_None || stream.takes_attention()) return Outcome::kUnusual;
  if (!stream.enter()) return Outcome::kInside;
  struct Leaving {
    Stream<T>& inside;
    ~Leaving() { inside.leave(); }
  } const leaving{stream};
  const std::int32_t* rows = nullptr;
  Index count = stream.batch();
  if (given.rows != Py_None) {
    const std::optional<Index> taken = core.take_rows(given.rows);
    if (!taken) return Outcome::kUnusual;
    rows = core.rows();
    count = *taken;
  }
  const Index inputs = stream.input_size(), outputs = stream.output_size();
  if (!is_matrix<T>(given.x, count, inputs)) return Outcome::kUnusual;
  const T* const x = data_of<const T>(given.x);
  if (given.out == Py_None) {
    result = new_array<T>({count, outputs}).release().ptr();
  } else {
    if (!is_matrix<T>(given.out, count, outputs) || !is_writable(given.out) ||
        overlap<T>(x, count * inputs, data_of<const T>(given.out), count * outputs)) {
      return Outcome::kUnusual;
    }
    Py_INCREF(given.out);
    result = given.out;
  }
  T* const out = data_of<T>(result);
  stream.set_flush_denormals(flush_denormals.load(std::memory_order_relaxed));
  if (stream.multiplications() * static_cast<double>(count) > kLongStep) {
    const WithoutGil unlocked;
    rows == nullptr ? stream.step(x, out) : stream.step(x, out, rows, count);
  } else {
    rows == nullptr ? stream.step(x, out) : stream.step(x, out, rows, count);
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
    if (Stream<float>* const single = core->of<float>()) {
      outcome = short_step(*core, *single, given, result);
    } else {
      outcome = short_step(*core, *core->of<double>(), given, result);
    }
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
    "x : (B, I), or with `rows` (N, I): what arrived for each of them, in their order.\n"
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
