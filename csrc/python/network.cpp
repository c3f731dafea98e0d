// NetworkF32 and NetworkF64, what networks are made of, and PackedF32 and PackedF64, these with one
// version of their weights: arrays to views, GIL released, call.
#include "engine/network.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>

#include "engine/dispatch/dispatch.hpp"
#include "python/arrays.hpp"
#include "python/options.hpp"
#include "python/plain_call.hpp"
#include "python/reader.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace {

template <class T>
Call<T> call_of(const Network<T>& network, const py::object& run) {
  const Attributes from(run);
  Call<T> call = Reader<T>(network).call(from);
  call.poll = SignalPoll();
  return call;
}

// What a network is, whatever its weights.
template <class T>
class Description {
 public:
  Description(NetworkShape shape, const NetworkOptions<T>& options)
      : shape_(std::move(shape)),
        options_(options),
        model_(shape_, options_, dispatch::active()) {}  // which refuses what does not fit

  // To be asked; for the ISA active now.
  [[nodiscard]] Network<T> without_weights() const {
    return Network<T>(shape_, options_, dispatch::active());
  }

  // A new network with the ParameterArrays of every layer * D + direction, which is only read.
  [[nodiscard]] std::shared_ptr<Network<T>> pack(const py::sequence& parameters,
                                                 const std::string& isa, bool recorded) const {
    const KernelTable& table = dispatch::named(isa);
    const Reader<T> reader(model_);
    std::vector<ParameterViews<const T>> given;
    for (const auto& item : parameters) {
      const auto index = static_cast<Index>(given.size());
      if (index == shape_.passes()) reject("parameters", "one for each layer and direction");
      given.push_back(reader.template parameters<const T>(Attributes(item), index));
    }
    const WithoutGil unlocked;
    return std::make_shared<Network<T>>(shape_, options_, table, given,
                                        recorded ? PackFor::kBoth : PackFor::kForward, spare_);
  }

 private:
  const NetworkShape shape_;
  const NetworkOptions<T> options_;
  const Network<T> model_;  // whose sizes depend on no ISA
  const std::shared_ptr<SpareMemories> spare_ = std::make_shared<SpareMemories>();
};

template <class T>
void forward(const Network<T>& network, const py::object& run, const py::object& output,
             const py::object& final_states, const py::object& tape) {
  const Reader<T> reader(network);
  const Call<T> call = call_of(network, run);
  const auto y = reader.template output<T>(output, "output", call);
  const auto finals = list_of_elements<T>(final_states, "final_states", reader.state_sizes(call));
  TapeViews<T> kept;
  if (tape.is_none()) {
    kept.hidden.push_back(y);
  } else {
    const Attributes from(tape);
    kept = reader.tape(from, call, y);
  }
  const Unlocked unlocked(network, call);
  network.forward(call, kept, finals);
}

template <class T>
void backward(const Network<T>& network, const py::object& run, const py::object& tape,
              const py::object& d_output, const py::object& d_final_states,
              const py::object& gradients) {
  const Reader<T> reader(network);
  const Call<T> call = call_of(network, run);
  const Attributes kept(tape), wanted(gradients);
  const auto y = reader.template output<const T>(kept[names::output], "output", call);
  const auto views = reader.tape(kept, call, y);
  const auto d_y = reader.template output<const T>(d_output, "d_output", call);
  const auto d_finals =
      list_of_elements<const T>(d_final_states, "d_final_states", reader.state_sizes(call), true);
  const Gradients<T> found = reader.gradients(wanted, call);
  const WithoutGil unlocked;
  network.backward(call, views, d_y, d_finals, found);
}

template <class T>
py::dict explain(const Network<T>& network, Index steps, Index batch, bool forward, int threads,
                 const py::object& lengths) {
  Call<T> call{};
  call.steps = {steps, batch, elements<const std::int64_t>(lengths, "lengths", batch), nullptr,
                nullptr};
  call.threads = threads;
  const Plan plan = network.plan(call, forward);
  py::dict result;
  result["schedule"] = plan.schedule_name();
  result["why"] = plan.why_name();
  result["threads"] = plan.busy_threads;
  result["hoisted_steps"] = forward ? plan.hoist_steps : 0;
  result["chunk"] = forward ? plan.forward_chunk : plan.backward_chunk;
  return result;
}

template <class T>
void register_description(py::module_& m, const char* name) {
  using Net = Description<T>;
  py::class_<Net>(m, name, "A stack of recurrent layers; see simdrnn.engine.protocol.Network.")
      .def(py::init([](const std::string& cell, Index input_size, Index hidden_size, Index layers,
                       Index directions, const py::dict& options, Index projected_size) {
             return std::make_unique<Net>(
                 NetworkShape{cell, input_size, hidden_size, layers, directions, projected_size},
                 options_of<T>(options));
           }),
           py::arg("cell"), py::arg("input_size"), py::arg("hidden_size"), py::arg("layers"),
           py::arg("directions"), py::arg("options"), py::arg("projected_size"))
      .def("pack", &Net::pack, py::arg("parameters"), py::arg("isa"), py::arg("recorded") = false,
           "A network with the ParameterArrays of every layer * D + direction, for that ISA; for "
           "backward too at once where a call is to be recorded.")
      .def(
          "explain",
          [](const Net& network, Index steps, Index batch, bool forward, int threads,
             const py::object& lengths) {
            return explain(network.without_weights(), steps, batch, forward, threads, lengths);
          },
          py::arg("steps"), py::arg("batch"), py::arg("forward"), py::arg("threads"),
          py::arg("lengths"), "How a call would be cut into work.")
      .def(
          "workspace_bytes",
          [](const Net& network, Index steps, Index batch, bool training, Index every) {
            return network.without_weights().workspace_bytes(steps, batch, training, every);
          },
          py::arg("steps"), py::arg("batch"), py::arg("training"), py::arg("checkpoint_every"),
          "Bytes of working memory of a call; checkpoint_every is 0 without checkpoints.")
      .def(
          "backward_peak",
          [](const Net& network, const py::object& run, Index checkpoint_every) {
            const Network<T> asked = network.without_weights();
            return asked.backward_peak(call_of(asked, run), checkpoint_every);
          },
          py::arg("run"), py::arg("checkpoint_every"),
          "The most bytes of working memory that backward of this run may take.");
}

template <class T>
void register_packed(py::module_& m, const char* name) {
  using Net = Network<T>;
  // Calls hold a reference to it for as long as they run.
  py::class_<Net, std::shared_ptr<Net>>(m, name, "Such a stack with one version of its weights.")
      .def("forward", &forward<T>, py::arg("run"), py::arg("output"), py::arg("final_states"),
           py::arg("tape"),
           "Run the stack on a CheckedCall; tape is TapeArrays where it is recorded, else None.")
      .def("backward", &backward<T>, py::arg("run"), py::arg("tape"), py::arg("d_output"),
           py::arg("d_final_states"), py::arg("gradients"), "Overwrite GradientArrays.")
      .def(
          "plain_layer",
          [](const Net& network, const py::handle& x, const py::handle& state, int threads) {
            return plain_call(network, x, state, threads, false);
          },
          py::arg("x"), py::arg("state"), py::arg("threads") = 0,
          "Check and run a call without options; None if any argument needs a closer look.")
      .def(
          "plain_cell",
          [](const Net& network, const py::handle& x, const py::handle& state) {
            return plain_call(network, x, state, 0, true);
          },
          py::arg("x"), py::arg("state"), "The same for one step of a single cell.")
      .def("explain", &explain<T>, py::arg("steps"), py::arg("batch"), py::arg("forward"),
           py::arg("threads"), py::arg("lengths"), "How a call would be cut into work.")
      .def(
          "tile",
          [](const Net& network) {
            return std::pair(network.products().tile_rows, network.products().outer_width);
          },
          "Rows and columns of the register tile.")
      .def(
          "isa", [](const Net& network) { return network.table().isa; },
          "The ISA that the weights are packed for.")
      .def("packed_bytes", &Net::packed_bytes, "Bytes of the weights that are packed by now.");
}

}  // namespace

void register_network(py::module_& m) {
  register_packed<float>(m, "PackedF32");
  register_packed<double>(m, "PackedF64");
  register_description<float>(m, "NetworkF32");
  register_description<double>(m, "NetworkF64");
  m.def("option_names", &option_names,
        "The names that options may have; see csrc/engine/option_values.hpp.");
  m.def(
      "set_flush_denormals", [](bool on) { flush_denormals.store(on); }, py::arg("on"),
      "Whether calls treat subnormal numbers as zeros.");
}

}  // namespace simdrnn::python
