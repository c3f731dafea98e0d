// StreamCore: a stream of either type behind Python's class `simdrnn.Stream`; stream_step.cpp has
// its `step`.
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/dispatch/dispatch.hpp"
#include "python/arrays.hpp"
#include "python/register.hpp"
#include "python/stream_core.hpp"

namespace simdrnn::python {

namespace {

// All states, for a call that Ctrl-C may stop.
template <template <class> class AnyStream, class T>
class Kept {
 public:
  explicit Kept(const AnyStream<T>& stream) {
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
  void put_back(AnyStream<T>& stream) const {
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

// What a call is given, x and out (steps, count, ...); `numbers` in place of x to models that begin
// with an embedding.
template <class T>
struct Chunk {
  Sequence<const T> x;
  const std::int64_t* numbers;
  Index steps;
  Sequence<T> out;
  const std::int32_t* rows;
  Index count;
  const T* attention;
};

template <class T>
void run(Stream<T>& stream, const Chunk<T>& chunk) noexcept {
  stream.feed(chunk.x, chunk.steps, chunk.out, chunk.rows, chunk.count, chunk.attention);
}
template <class T>
void run(ModelStream<T>& stream, const Chunk<T>& chunk) noexcept {
  stream.run({chunk.x.data, chunk.out.data, chunk.steps, chunk.rows, chunk.count, chunk.attention,
              chunk.numbers});
}

// A call without GIL, in pieces between which signals are looked at. One that is stopped leaves the
// states as they were.
template <template <class> class AnyStream, class T>
void run_long(AnyStream<T>& stream, const Chunk<T>& chunk) {
  const double flops = 2 * stream.multiplications() * static_cast<double>(chunk.count);
  const auto piece = std::max<Index>(1, static_cast<Index>(region_flops(1) / flops));
  const WithoutGil unlocked;
  if (piece >= chunk.steps) return run(stream, chunk);
  const Kept<AnyStream, T> kept(stream);
  SignalPoll poll;
  Chunk<T> part = chunk;
  for (Index begin = 0; begin < chunk.steps; begin += piece) {
    part.steps = std::min(piece, chunk.steps - begin);
    run(stream, part);
    part.x.data += part.steps * part.x.stride_t;
    part.out.data += part.steps * part.out.stride_t;
    if (part.numbers != nullptr) part.numbers += part.steps * part.count;
    if (part.attention != nullptr) part.attention += part.steps * part.count;
    try {
      poll();
    } catch (...) {
      kept.put_back(stream);
      throw;
    }
  }
}

template <class T>
std::vector<StreamNode<T>> nodes_of(const py::sequence& nodes) {
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
  return made;
}

// A stage is (kind, what it has): a graph its nodes, a linear map itself, an embedding its table.
template <class T>
model::Stage<T> stage_of(const py::tuple& from) {
  model::Stage<T> stage;
  const auto kind = py::cast<std::string>(from[0]);
  if (kind == "graph") {
    stage.nodes = nodes_of<T>(from[1]);
  } else if (kind == "linear") {
    stage.kind = model::StageKind::kLinear;
    stage.linear = py::cast<std::shared_ptr<Dense<T>>>(from[1]);
  } else if (kind == "embedding") {
    stage.kind = model::StageKind::kEmbedding;
    const py::array table = array_of<const T>(from[1], "table");
    if (table.ndim() != 2) reject("table", "a matrix");
    const T* const values = elements<const T>(table, "table", table.size());
    // The array lives as long as the stream, which Python lets go of with the GIL held.
    stage.embedding = {{values, [table](const T*) {}}, table.shape(0), table.shape(1)};
  } else {
    reject("stages", "graph, linear or embedding");
  }
  return stage;
}

template <class T>
std::unique_ptr<StreamCore> make(const py::sequence& stages, Index input_size, Index batch,
                                 int threads) {
  auto made = std::make_shared<model::Model<T>>();
  made->input_size = input_size;
  made->table = &dispatch::active();
  for (const auto& stage : stages) {
    made->stages.push_back(stage_of<T>(py::cast<py::tuple>(stage)));
  }
  const bool single =
      made->stages.size() == 1 && made->stages.front().kind == model::StageKind::kGraph;
  const WithoutGil unlocked;
  if (single) {
    return std::make_unique<StreamCore>(
        std::make_unique<Stream<T>>(std::move(made->stages.front().nodes), batch, threads));
  }
  return std::make_unique<StreamCore>(  // `made` stays: tables are let go of with the GIL
      std::make_unique<ModelStream<T>>(made, batch, threads));
}

std::unique_ptr<StreamCore> make_core(const py::sequence& stages, Index input_size, Index batch,
                                      int threads, const std::string& dtype) {
  if (dtype == "float32") return make<float>(stages, input_size, batch, threads);
  return make<double>(stages, input_size, batch, threads);
}

// x and out: of a stream of layers in any layout, of a model's dense.
template <class T>
void take_arrays(const Stream<T>& stream, const py::object& x, const py::object& out,
                 Chunk<T>& chunk) {
  chunk.x = sequence<const T>(x, "x", chunk.steps, chunk.count, stream.input_size());
  chunk.out = sequence<T>(out, "out", chunk.steps, chunk.count, stream.output_size());
}
template <class T>
void take_arrays(const ModelStream<T>& stream, const py::object& x, const py::object& out,
                 Chunk<T>& chunk) {
  const Index of_step = chunk.count * stream.input_size(),
              made = chunk.count * stream.output_size();
  if (stream.takes_numbers()) {
    chunk.numbers = elements<const std::int64_t>(x, "x", chunk.steps * chunk.count);
  } else {
    chunk.x = {elements<const T>(x, "x", chunk.steps * of_step), of_step, stream.input_size()};
  }
  chunk.out = {elements<T>(out, "out", chunk.steps * made), made, stream.output_size()};
}

// Runs x (T, N, I) into out (T, N, F); `rows` of int64.
template <template <class> class AnyStream, class T>
void feed(StreamCore& core, AnyStream<T>& stream, const py::object& x, const py::object& out,
          const py::object& rows, const py::object& attention) {
  const Inside inside(stream);
  Chunk<T> chunk{};
  chunk.count = stream.batch();
  if (!rows.is_none()) {
    const std::optional<Index> taken = core.take_rows(rows.ptr());
    if (!taken) reject("rows", "different numbers of rows");
    chunk.rows = core.rows();
    chunk.count = *taken;
  }
  chunk.steps = py::cast<py::array>(x).shape(0);
  take_arrays(stream, x, out, chunk);
  const Index together = chunk.steps * chunk.count;
  chunk.attention = elements<const T>(attention, "attention", together);
  if (stream.takes_attention() != (chunk.attention != nullptr)) {
    reject("attention", "it where it is taken");
  }
  const double all = stream.multiplications() * static_cast<double>(together);
  if (all > kLongStep) return run_long(stream, chunk);
  run(stream, chunk);
}

template <class T>
void reset_all(Stream<T>& stream) {
  stream.reset();
}
template <class T>
void reset_all(ModelStream<T>& stream) {
  stream.reset(nullptr, 0);
}

template <class AnyStream>
void reset(StreamCore& core, AnyStream& stream, const py::object& rows) {
  const Inside inside(stream);
  if (rows.is_none()) return reset_all(stream);
  const std::optional<Index> taken = core.take_rows(rows.ptr());
  if (!taken) reject("rows", "different numbers of rows");
  stream.reset(core.rows(), *taken);
}

// The states of each network into S arrays (L, B, size), or from them.
template <template <class> class AnyStream, class T>
void move_states(AnyStream<T>& stream, const py::sequence& networks, bool read) {
  const Inside inside(stream);
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
  type.def(py::init(&make_core), py::arg("stages"), py::arg("input_size"), py::arg("batch"),
           py::arg("threads"), py::arg("dtype"),
           "Stages are (\"graph\", nodes), (\"linear\", packed map) or (\"embedding\", table), "
           "nodes "
           "(operation, inputs, packed network or None, initial states or None).")
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
