// Networks shared by all calls that name them, for programs that other compilers make: parameters
// come with every call. See buffer_call.hpp.
#include "python/pooled_network.hpp"

#include <pybind11/stl.h>

#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "python/options.hpp"
#include "python/reader.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace {

class SharedNetwork {
 public:
  virtual ~SharedNetwork() = default;
  virtual void run(const BufferCall& call) = 0;
  virtual std::size_t release() = 0;
  virtual void lock() = 0;  // see NetworkPool
  virtual void unlock() = 0;
};

template <class T>
class SharedNetworkOf final : public SharedNetwork {
 public:
  SharedNetworkOf(const NetworkShape& shape, const NetworkOptions<T>& options, bool bias)
      : has_((bias ? kHasBiases : 0) | (shape.projected_size > 0 ? kHasProjection : 0)),
        pool_(shape, options),
        reader_(pool_.model()) {}

  std::size_t release() override { return pool_.release(); }
  void lock() override { pool_.lock(); }
  void unlock() override { pool_.unlock(); }

  void run(const BufferCall& call) override {
    Buffers arguments("arguments", call, has_, call.arguments, call.argument_count);
    Buffers results("results", call, has_, call.results, call.result_count);
    One one{reader_.begin(arguments), {}};
    const std::size_t first = arguments.position();
    for (Index index = 0; index < pool_.model().shape().passes(); ++index) {
      one.parameters.views.push_back(reader_.template parameters<const T>(arguments, index));
    }
    one.parameters.arrays = arguments.template since<T>(first);
    reader_.finish(one.call, arguments);
    if (arguments.field(kPass) == kBackwardPass) {
      backward(one, arguments, results);
    } else {
      forward(one, arguments, results);
    }
  }

 private:
  struct One {
    Call<T> call;
    Parameters<T> parameters;
  };

  [[nodiscard]] Index width() const { return pool_.model().shape().output_size(); }

  void forward(const One& one, Buffers& arguments, Buffers& results) {
    const auto output = results.sequence<T>(names::output, one.call.steps, width());
    const auto finals = results.arrays<T>(names::states, reader_.state_sizes(one.call));
    TapeViews<T> tape;
    const bool recorded = arguments.field(kPass) == kRecordPass;
    if (recorded) {
      tape = reader_.tape(results, one.call, output);
    } else {
      tape.hidden.push_back(output);
    }
    arguments.finish();
    results.finish();
    pool_.with(one.parameters, recorded ? PackFor::kBoth : PackFor::kForward)
        ->forward(one.call, tape, finals);
  }

  void backward(const One& one, Buffers& arguments, Buffers& results) {
    const StepSources& steps = one.call.steps;
    const auto output = arguments.sequence<const T>(names::output, steps, width());
    const auto tape = reader_.tape(arguments, one.call, output);
    Sequence<const T> d_output{};
    if ((arguments.field(kGiven) & kGivenOutput) != 0) {
      d_output = arguments.sequence<const T>(names::output, steps, width());
    }
    std::vector<const T*> d_finals;
    for (const Index size : reader_.state_sizes(one.call)) {
      const bool given = (arguments.field(kGivenStates) >> d_finals.size() & 1) != 0;
      d_finals.push_back(given ? arguments.next<const T>(size) : nullptr);
    }
    const Gradients<T> gradients = reader_.gradients(results, one.call);
    arguments.finish();
    results.finish();
    pool_.with(one.parameters, PackFor::kBoth)
        ->backward(one.call, tape, d_output, d_finals, gradients);
  }

  const int has_;
  NetworkPool<T> pool_;
  const Reader<T> reader_;
};

// Networks by the number their makers gave them. None is ever taken out: compiled programs that
// name it may live as long as the process.
class Registry {
 public:
  template <class Make>
  void add(std::int64_t number, const Make& make) {
    const std::scoped_lock lock(mutex_);
    if (!networks_.contains(number)) networks_.emplace(number, make());
  }
  SharedNetwork& at(std::int64_t number) {
    const std::scoped_lock lock(mutex_);
    const auto found = networks_.find(number);
    if (found == networks_.end()) {
      throw std::invalid_argument("network: expected one that this process has made, got number " +
                                  std::to_string(number));
    }
    return *found->second;
  }
  std::size_t release() {
    const std::scoped_lock lock(mutex_);
    std::size_t bytes = 0;
    for (const auto& entry : networks_) bytes += entry.second->release();
    return bytes;
  }

  // Nobody is in here, or in one of the pools, while the process forks.
  void lock() {
    mutex_.lock();
    for (const auto& entry : networks_) entry.second->lock();
  }
  void unlock() {
    for (const auto& entry : networks_) entry.second->unlock();
    mutex_.unlock();
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::int64_t, std::unique_ptr<SharedNetwork>> networks_;
};

Registry& registry() {
  static auto* const networks = new Registry;  // threads may still run when the process ends
  return *networks;
}

void run(const BufferCall& call) {
  if (call.field_count != kCallFields) {
    throw std::invalid_argument("call: expected " + std::to_string(kCallFields) + " numbers, got " +
                                std::to_string(call.field_count));
  }
  registry().at(call.fields[kNetwork]).run(call);
}

bool run_buffers(const BufferCall& call, char* message, std::size_t message_size) {
  try {
    run(call);
    return true;
  } catch (const std::bad_alloc&) {
    std::snprintf(message, message_size, "simdrnn: not enough memory");
  } catch (const std::exception& error) {
    std::snprintf(message, message_size, "simdrnn: %s", error.what());
  }
  return false;
}

std::vector<Buffer> buffers_of(const py::sequence& arrays, const char* name, bool written) {
  std::vector<Buffer> buffers;
  for (const auto& item : arrays) {
    auto array = py::cast<py::array>(item);
    if ((array.flags() & py::array::c_style) == 0) reject(name, "C-contiguous arrays");
    // mutable_data() throws if read-only.
    void* const data = written ? array.mutable_data() : const_cast<void*>(array.data());
    buffers.push_back({data, static_cast<std::size_t>(array.nbytes())});
  }
  return buffers;
}

void run_arrays(const std::vector<std::int64_t>& fields, const py::sequence& arguments,
                const py::sequence& results) {
  const std::vector<Buffer> in = buffers_of(arguments, "arguments", false);
  const std::vector<Buffer> out = buffers_of(results, "results", true);
  const WithoutGil unlocked;
  run({fields.data(), fields.size(), in.data(), in.size(), out.data(), out.size()});
}

template <class T>
void share_as(py::module_& m, const char* name) {
  m.def(
      name,
      [](std::int64_t number, const std::string& cell, Index input_size, Index hidden_size,
         Index layers, Index directions, Index projected_size, bool bias, const py::dict& options) {
        const NetworkShape shape{cell, input_size, hidden_size, layers, directions, projected_size};
        registry().add(number, [&] {
          return std::make_unique<SharedNetworkOf<T>>(shape, options_of<T>(options), bias);
        });
      },
      py::arg("number"), py::arg("cell"), py::arg("input_size"), py::arg("hidden_size"),
      py::arg("layers"), py::arg("directions"), py::arg("projected_size"), py::arg("bias"),
      py::arg("options"), "Make the network of that number, unless there is one.");
}

}  // namespace

void register_shared(py::module_& m) {
  // Here, so that no fork finds another thread making the registry.
  (void)system::at_fork([] { registry().lock(); }, [] { registry().unlock(); },
                        [] { registry().unlock(); });
  share_as<float>(m, "share_network_f32");
  share_as<double>(m, "share_network_f64");
  m.def("run_arrays", &run_arrays, py::arg("fields"), py::arg("arguments"), py::arg("results"),
        "Run a shared network on NumPy arrays; see csrc/python/buffer_call.hpp.");
  m.def(
      "release_shared_networks", [] { return registry().release(); },
      "Forget packed parameters that no call is using; returns how many bytes that were.");
  static RunBuffers entry = &run_buffers;
  m.attr("run_buffers") = py::capsule(&entry, kRunBuffersName);
}

}  // namespace simdrnn::python
