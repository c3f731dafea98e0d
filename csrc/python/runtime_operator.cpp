// Recurrent nodes inside ONNX Runtime: an operator of its that calls a function of Python's.
//
// ONNX Runtime loads this module by name (SessionOptions.register_custom_ops_library), finds
// RegisterCustomOps in it, and hands over its C interface: a table of functions whose places never
// change. So none of its headers is needed, and nothing is linked. The functions are those of the
// table's first version; records of operators are those of version 16, which brought errors to
// them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <mutex>
#include <new>
#include <stdexcept>
#include <vector>

#include "python/gil.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace py = pybind11;

namespace {

constexpr std::uint32_t kVersion = 16;
constexpr const char* kDomain = "simdrnn";
constexpr std::size_t kInputs = 8, kOutputs = 3;  // of RNN, GRU and LSTM: X to P, Y to Y_c
constexpr std::size_t kLengths = 4;               // the input of whole numbers
constexpr int kFloat = 1, kInt32 = 6, kDouble = 11, kOptional = 1, kFailed = 1;

using Table = const void* const*;

// Where functions are in the table.
enum Place : std::size_t {
  kCreateStatus = 0,
  kCreateDomain = 26,
  kAddOperator = 27,
  kAddDomain = 28,
  kTensorData = 51,
  kAxes = 61,
  kSizes = 62,
  kShapeOf = 65,
  kWholeAttribute = 86,
  kInputCount = 88,
  kOutputCount = 89,
  kInput = 90,
  kOutput = 91,
  kReleaseShape = 99
};

template <class Result, class... Arguments>
Result call(Table table, Place place, Arguments... arguments) {
  using Function = Result (*)(Arguments...);
  return reinterpret_cast<Function>(const_cast<void*>(table[place]))(arguments...);
}

void* failure(Table table, const char* message) {
  return call<void*>(table, kCreateStatus, kFailed, message);
}

// What ONNX Runtime found wrong itself, on its way back to it.
struct Refused {
  void* status;
};

template <class... Arguments>
void ask(Table table, Place place, Arguments... arguments) {
  if (void* const status = call<void*>(table, place, arguments...)) throw Refused{status};
}

// The functions of Python's, by the number that is an attribute of their nodes.
py::dict& steps() {
  static auto* const all = new py::dict;
  return *all;
}

struct Operator {
  std::uint32_t version;
  void* (*create)(const Operator*, Table, const void* info);
  const char* (*name)(const Operator*);
  const char* (*device)(const Operator*);
  int (*input_type)(const Operator*, std::size_t);
  std::size_t (*input_count)(const Operator*);
  int (*output_type)(const Operator*, std::size_t);
  std::size_t (*output_count)(const Operator*);
  void (*compute)(void* kernel, void* context);
  void (*destroy)(void* kernel);
  int (*input_kind)(const Operator*, std::size_t);
  int (*output_kind)(const Operator*, std::size_t);
  int (*input_memory)(const Operator*, std::size_t);
  int (*fewest_inputs)(const Operator*);  // and so on: of operators that take any number
  int (*alike_inputs)(const Operator*);
  int (*fewest_outputs)(const Operator*);
  int (*alike_outputs)(const Operator*);
  void* (*create_or_fail)(const Operator*, Table, const void* info, void** kernel);
  void* (*compute_or_fail)(void* kernel, void* context);
  // What is ours of it begins here.
  const char* label;
  int element;
};

struct Kernel {
  Table table;
  bool single;
  std::int64_t step;
};

void* create(const Operator* self, Table table, const void* info, void** kernel) {
  std::int64_t step = 0;
  const char* const name = "step";
  if (void* const status = call<void*>(table, kWholeAttribute, info, name, &step)) return status;
  *kernel = new (std::nothrow) Kernel{table, self->element == kFloat, step};
  return *kernel == nullptr ? failure(table, "no memory for a node") : nullptr;
}

// The sizes of a value.
std::vector<py::ssize_t> sizes_of(Table table, const void* value) {
  void* shape = nullptr;
  ask(table, kShapeOf, value, &shape);
  std::size_t axes = 0;
  std::vector<std::int64_t> sizes;
  void* status = call<void*>(table, kAxes, static_cast<const void*>(shape), &axes);
  if (status == nullptr) {
    sizes.resize(axes);
    status = call<void*>(table, kSizes, static_cast<const void*>(shape), sizes.data(), axes);
  }
  call<void>(table, kReleaseShape, shape);
  if (status != nullptr) throw Refused{status};
  return {sizes.begin(), sizes.end()};
}

// An input as an array over its memory, which is there as long as the call; None if it is absent.
py::object input(const Kernel& self, const void* context, std::size_t place) {
  void* value = nullptr;  // never written to
  ask(self.table, kInput, context, place, &value);
  if (value == nullptr) return py::none();
  void* data = nullptr;
  ask(self.table, kTensorData, value, &data);
  const py::dtype dtype = place == kLengths ? py::dtype::of<std::int32_t>()
                          : self.single     ? py::dtype::of<float>()
                                            : py::dtype::of<double>();
  const auto sizes = sizes_of(self.table, value);
  return py::array(dtype, sizes, data, py::none());
}

// Copies a result to where it is wanted, if it is.
void put(const Kernel& self, void* context, std::size_t place, const py::array& result) {
  std::vector<std::int64_t> sizes(result.shape(), result.shape() + result.ndim());
  void *value = nullptr, *data = nullptr;
  ask(self.table, kOutput, context, place, static_cast<const std::int64_t*>(sizes.data()),
      sizes.size(), &value);
  if (value == nullptr) return;
  ask(self.table, kTensorData, value, &data);
  if ((result.flags() & py::array::c_style) != 0) {
    std::memcpy(data, result.data(), static_cast<std::size_t>(result.nbytes()));
    return;
  }
  const std::vector<py::ssize_t> shape(sizes.begin(), sizes.end());
  py::array(result.dtype(), shape, data, py::none())[py::ellipsis()] = result;
}

void run(const Kernel& self, void* context) {
  std::size_t given = 0, wanted = 0;
  ask(self.table, kInputCount, static_cast<const void*>(context), &given);
  ask(self.table, kOutputCount, static_cast<const void*>(context), &wanted);
  py::tuple inputs(kInputs);
  for (std::size_t i = 0; i < kInputs; ++i) {
    inputs[i] = i < given ? input(self, context, i) : py::none();
  }
  const py::object step = steps()[py::int_(self.step)];
  const py::tuple made = step(*inputs);
  const py::dtype dtype = self.single ? py::dtype::of<float>() : py::dtype::of<double>();
  for (std::size_t i = 0; i < std::min(wanted, made.size()); ++i) {
    const auto result = py::cast<py::array>(made[i]);
    if (!result.dtype().equal(dtype)) throw std::runtime_error("a result of another type");
    put(self, context, i, result);
  }
}

// The thread gave Python's lock back before it went into ONNX Runtime, or never had it.
void* compute(void* kernel, void* context) {
  const auto& self = *static_cast<const Kernel*>(kernel);
  const WithGil locked;
  try {
    run(self, context);
    return nullptr;
  } catch (const Refused& refused) {
    return refused.status;
  } catch (const std::exception& error) {
    return failure(self.table, error.what());
  }
}

const char* label_of(const Operator* self) { return self->label; }
const char* on_the_cpu(const Operator*) { return nullptr; }
int input_type(const Operator* self, std::size_t place) {
  return place == kLengths ? kInt32 : self->element;
}
int output_type(const Operator* self, std::size_t) { return self->element; }
std::size_t inputs(const Operator*) { return kInputs; }
std::size_t outputs(const Operator*) { return kOutputs; }
void destroy(void* kernel) { delete static_cast<Kernel*>(kernel); }
int optional(const Operator*, std::size_t) { return kOptional; }
int ordinary_memory(const Operator*, std::size_t) { return 0; }
int of_none(const Operator*) { return 0; }

constexpr Operator operator_of(const char* label, int element) {
  return {kVersion,         nullptr,  &label_of, &on_the_cpu, &input_type, &inputs,
          &output_type,     &outputs, nullptr,   &destroy,    &optional,   &optional,
          &ordinary_memory, &of_none, &of_none,  &of_none,    &of_none,    &create,
          &compute,         label,    element};
}

constexpr std::array kOperators{operator_of("Recurrent_float32", kFloat),
                                operator_of("Recurrent_float64", kDouble)};

struct Base {
  Table (*table)(std::uint32_t version);
};

}  // namespace

void register_runtime_operator(py::module_& m) {
  m.attr("runtime_steps") = steps();
  m.attr("runtime_domain") = kDomain;
}

}  // namespace simdrnn::python

// The name that ONNX Runtime looks for.
extern "C" __attribute__((visibility("default"))) void* RegisterCustomOps(
    void* options, const simdrnn::python::Base* base) {
  namespace own = simdrnn::python;
  const own::Table table = base->table(own::kVersion);
  if (table == nullptr) return nullptr;  // older: it will not know our operators
  static std::mutex one_at_a_time;       // where Python has no lock
  const std::scoped_lock lock(one_at_a_time);
  // Lives as long as the process: sessions of any options may still be there.
  static void* domain = nullptr;
  if (domain == nullptr) {
    void* made = nullptr;
    if (void* const status = own::call<void*>(table, own::kCreateDomain, own::kDomain, &made)) {
      return status;
    }
    for (const own::Operator& one : own::kOperators) {
      if (void* const status = own::call<void*>(table, own::kAddOperator, made, &one)) {
        return status;
      }
    }
    domain = made;
  }
  return own::call<void*>(table, own::kAddDomain, options, domain);
}
