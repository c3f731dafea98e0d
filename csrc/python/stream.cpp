// StreamCore: a stream of either type behind Python's class `simdrnn.Stream`; stream_step.cpp has
// its `step`.
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "python/arrays.hpp"
#include "python/register.hpp"
#include "python/stream_core.hpp"

namespace simdrnn::python {

namespace {

// All states, for a call that Ctrl-C may stop.
template <class T>
class Kept {
 public:
  explicit Kept(const Stream<T>& stream) {
    for (std::size_t i = 0; i < stream.networks(); ++i) {
      const Network<T>& network = stream.network(i);
      for (std::size_t k = 0; k < states(network); ++k) {
        const NetworkShape& shape = network.shape();
        auto size = static_cast<std::size_t>(shape.layers * stream.batch() * shape.state_size(k));
        values_.emplace_back(size);
        stream.read_state(i, k, values_.back().data());
      }
    }
  }
  void put_back(Stream<T>& stream) const {
    auto next = values_.begin();
    for (std::size_t i = 0; i < stream.networks(); ++i) {
      for (std::size_t k = 0; k < states(stream.network(i)); ++k) {
        stream.write_state(i, k, (next++)->data());
      }
    }
  }

 private:
  static std::size_t states(const Network<T>& network) {
    return static_cast<std::size_t>(network.info().states);
  }
  std::vector<std::vector<T>> values_;
};

// A call without GIL, in pieces between which signals are looked at. One that is stopped leaves the
// states as they were.
template <class T>
void run_long(Stream<T>& stream, Sequence<const T> x, Index steps, Sequence<T> out,
              const std::int32_t* rows, Index count, const T* attention) {
  const double flops = 2 * stream.multiplications() * static_cast<double>(count);
  const auto piece = std::max<Index>(1, static_cast<Index>(region_flops(1) / flops));
  const WithoutGil unlocked;
  if (piece >= steps) return stream.feed(x, steps, out, rows, count, attention);
  const Kept<T> kept(stream);
  SignalPoll poll;
  for (Index begin = 0; begin < steps; begin += piece) {
    const Index now = std::min(piece, steps - begin);
    stream.feed(x, now, out, rows, count, attention);
    x.data += now * x.stride_t;
    out.data += now * out.stride_t;
    if (attention != nullptr) attention += now * count;
    try {
      poll();
    } catch (...) {
      kept.put_back(stream);
      throw;
    }
  }
}

template <class T>
void run(Stream<T>& stream, Sequence<const T> x, Index steps, Sequence<T> out,
         const std::int32_t* rows, Index count, const T* attention) {
  const double all = stream.multiplications() * static_cast<double>(steps * count);
  if (all > kLongStep) return run_long(stream, x, steps, out, rows, count, attention);
  stream.feed(x, steps, out, rows, count, attention);
}

template <class T>
std::unique_ptr<Stream<T>> make(const py::sequence& nodes, Index batch, int threads) {
  std::vector<StreamNode<T>> made;
  for (const auto& item : nodes) {
    const auto fields = py::cast<py::tuple>(item);
    StreamNode<T> node;
    const auto name = py::cast<std::string>(fields[0]);
    node.operation = name == "network"   ? StreamOperation::kNetwork
                     : name == "add"     ? StreamOperation::kAdd
                     : name == "highway" ? StreamOperation::kHighway
                                         : StreamOperation::kConcat;
    node.inputs = py::cast<std::vector<int>>(fields[1]);
    if (!fields[2].is_none()) node.network = py::cast<std::shared_ptr<Network<T>>>(fields[2]);
    if (!fields[3].is_none()) {
      for (const auto& state : py::cast<py::sequence>(fields[3])) {
        const py::array array = array_of<const T>(state, "initial");
        const T* const values = elements<const T>(array, "initial", array.size());
        node.initial.emplace_back(values, values + array.size());
      }
    }
    made.push_back(std::move(node));
  }
  const WithoutGil unlocked;
  return std::make_unique<Stream<T>>(std::move(made), batch, threads);
}

std::unique_ptr<StreamCore> make_core(const py::sequence& nodes, Index batch, int threads,
                                      const std::string& dtype) {
  if (dtype == "float32") return std::make_unique<StreamCore>(make<float>(nodes, batch, threads));
  return std::make_unique<StreamCore>(make<double>(nodes, batch, threads));
}

// Runs x (T, N, I) into out (T, N, F); `rows` of int64.
template <class T>
void feed(StreamCore& core, Stream<T>& stream, const py::object& x, const py::object& out,
          const py::object& rows, const py::object& attention) {
  const Inside<T> inside(stream);
  const std::int32_t* numbers = nullptr;
  Index count = stream.batch();
  if (!rows.is_none()) {
    const std::optional<Index> taken = core.take_rows(rows.ptr());
    if (!taken) reject("rows", "different numbers of rows");
    numbers = core.rows();
    count = *taken;
  }
  const Index steps = py::cast<py::array>(x).shape(0);
  const auto from = sequence<const T>(x, "x", steps, count, stream.input_size());
  const auto to = sequence<T>(out, "out", steps, count, stream.output_size());
  const T* const beside = elements<const T>(attention, "attention", steps * count);
  if (stream.takes_attention() != (beside != nullptr)) reject("attention", "it where it is taken");
  run(stream, from, steps, to, numbers, count, beside);
}

template <class T>
void reset(StreamCore& core, Stream<T>& stream, const py::object& rows) {
  const Inside<T> inside(stream);
  if (rows.is_none()) return stream.reset();
  const std::optional<Index> taken = core.take_rows(rows.ptr());
  if (!taken) reject("rows", "different numbers of rows");
  stream.reset(core.rows(), *taken);
}

// The states of each network into S arrays (L, B, size), or from them.
template <class T>
void move_states(Stream<T>& stream, const py::sequence& networks, bool read) {
  const Inside<T> inside(stream);
  std::vector<std::vector<T*>> places;
  if (py::len(networks) != stream.networks()) reject("states", "those of every network");
  for (std::size_t i = 0; i < stream.networks(); ++i) {
    const Network<T>& network = stream.network(i);
    std::vector<Index> sizes;
    for (int k = 0; k < network.info().states; ++k) {
      const Index size = network.shape().state_size(static_cast<std::size_t>(k));
      sizes.push_back(network.shape().layers * stream.batch() * size);
    }
    std::vector<T*> own;
    if (read) {
      own = list_of_elements<T>(networks[i], "states", sizes);
    } else {
      for (const T* const from : list_of_elements<const T>(networks[i], "states", sizes)) {
        own.push_back(const_cast<T*>(from));
      }
    }
    places.push_back(std::move(own));
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    for (std::size_t k = 0; k < places[i].size(); ++k) {
      read ? stream.read_state(i, k, places[i][k]) : stream.write_state(i, k, places[i][k]);
    }
  }
}

}  // namespace

void register_stream(py::module_& m) {
  py::class_<StreamCore> type(m, "StreamCore", "What `simdrnn.Stream` runs on.");
  type.def(py::init(&make_core), py::arg("nodes"), py::arg("batch"), py::arg("threads"),
           py::arg("dtype"),
           "Nodes are (operation, inputs, packed network or None, initial states or None).")
      .def(
          "_feed",
          [](StreamCore& core, const py::object& x, const py::object& out, const py::object& rows,
             const py::object& attention) {
            core.with([&](auto& stream) { feed(core, stream, x, out, rows, attention); });
          },
          py::arg("x"), py::arg("out"), py::arg("rows"), py::arg("attention"),
          "Run x (T, N, I) into out (T, N, F).")
      .def(
          "_reset",
          [](StreamCore& core, const py::object& rows) {
            core.with([&](auto& stream) { reset(core, stream, rows); });
          },
          py::arg("rows"), "Begin anew: rows, or all of them.")
      .def(
          "_move_states",
          [](StreamCore& core, const py::sequence& networks, bool read) {
            core.with([&](auto& stream) { move_states(stream, networks, read); });
          },
          py::arg("networks"), py::arg("read"), "Copy the states into arrays, or from them.")
      .def_property_readonly(
          "nbytes",
          [](const StreamCore& core) {
            return core.with([](const auto& stream) { return stream.bytes(); });
          },
          "Bytes of states and working memory; the weights, which streams share, not counted.");
  auto* const python_type = reinterpret_cast<PyTypeObject*>(type.ptr());
  const auto made =
      py::reinterpret_steal<py::object>(PyDescr_NewMethod(python_type, step_method()));
  if (!made) throw py::error_already_set();
  type.attr("step") = made;
}

}  // namespace simdrnn::python
