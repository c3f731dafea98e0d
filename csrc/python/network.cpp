// NetworkF32 and NetworkF64: arrays to views, GIL released, call.
#include "engine/network.hpp"

#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>

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

template <class T>
void set_parameters(Network<T>& network, Index index, const py::object& parameters) {
  const auto given = Reader<T>(network).template parameters<const T>(Attributes(parameters), index);
  const py::gil_scoped_release unlocked;
  network.set_parameters(index, given);
}

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
  const py::gil_scoped_release unlocked;
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
void register_as(py::module_& m, const char* name) {
  using Net = Network<T>;
  py::class_<Net>(m, name, "A stack of recurrent layers; see simdrnn.engine.protocol.Network.")
      .def(py::init([](const std::string& cell, Index input_size, Index hidden_size, Index layers,
                       Index directions, const py::dict& options, Index projected_size) {
             return std::make_unique<Net>(
                 NetworkShape{cell, input_size, hidden_size, layers, directions, projected_size},
                 options_of<T>(options));
           }),
           py::arg("cell"), py::arg("input_size"), py::arg("hidden_size"), py::arg("layers"),
           py::arg("directions"), py::arg("options"), py::arg("projected_size"))
      .def("set_parameters", &set_parameters<T>, py::arg("index"), py::arg("parameters"),
           "Pack the ParameterArrays of layer * D + direction for the active ISA.")
      .def("forward", &forward<T>, py::arg("run"), py::arg("output"), py::arg("final_states"),
           py::arg("tape"),
           "Run the stack on a CheckedCall; tape is TapeArrays where it is recorded, else None.")
      .def("backward", &backward<T>, py::arg("run"), py::arg("tape"), py::arg("d_output"),
           py::arg("d_final_states"), py::arg("gradients"), "Overwrite GradientArrays.")
      .def(
          "plain_layer",
          [](const Net& network, const py::handle& x, const py::handle& state) {
            return plain_call(network, x, state, false);
          },
          py::arg("x"), py::arg("state"),
          "Check and run a call without options; None if any argument needs a closer look.")
      .def(
          "plain_cell",
          [](const Net& network, const py::handle& x, const py::handle& state) {
            return plain_call(network, x, state, true);
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
      .def("packed_bytes", &Net::packed_bytes, "Bytes of the packed weights.")
      .def("workspace_bytes", &Net::workspace_bytes, py::arg("steps"), py::arg("batch"),
           py::arg("training"), py::arg("checkpoint_every"),
           "Bytes of working memory of a call; checkpoint_every is 0 without checkpoints.")
      .def(
          "backward_peak",
          [](const Net& network, const py::object& run, Index checkpoint_every) {
            return network.backward_peak(call_of(network, run), checkpoint_every);
          },
          py::arg("run"), py::arg("checkpoint_every"),
          "The most bytes of working memory that backward of this run may take.");
}

}  // namespace

void register_network(py::module_& m) {
  register_as<float>(m, "NetworkF32");
  register_as<double>(m, "NetworkF64");
  m.def("option_names", &option_names,
        "The names that options may have; see csrc/python/options.hpp.");
  m.def(
      "set_flush_denormals", [](bool on) { flush_denormals.store(on); }, py::arg("on"),
      "Whether calls treat subnormal numbers as zeros.");
}

}  // namespace simdrnn::python
