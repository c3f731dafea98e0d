// NetworkF32 and NetworkF64.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "python/bound_network.hpp"
#include "python/plain_call.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace {

template <class T>
void register_as(py::module_& m, const char* name) {
  using Bound = BoundNetwork<T>;
  py::class_<Bound>(m, name, "A stack of recurrent layers; see simdrnn.run.Network.")
      .def(py::init<const std::string&, Index, Index, Index, Index, const OptionValues&, Index>(),
           py::arg("cell"), py::arg("input_size"), py::arg("hidden_size"), py::arg("layers"),
           py::arg("directions"), py::arg("options"), py::arg("projected_size"))
      .def("set_parameters", &Bound::set_parameters, py::arg("index"), py::arg("weight_ih"),
           py::arg("weight_hh"), py::arg("bias_ih"), py::arg("bias_hh"), py::arg("cell_parameters"),
           py::arg("weight_hr"), "Pack the parameters of layer * D + direction for the active ISA.")
      .def("forward", &Bound::forward, py::arg("run"), py::arg("output"), py::arg("final_states"),
           py::arg("tape"),
           "Run the stack; tape is None unless the run is recorded, else (saved, hidden, "
           "checkpoints, checkpoint_every).")
      .def("backward", &Bound::backward, py::arg("run"), py::arg("tape"), py::arg("d_output"),
           py::arg("d_final_states"), py::arg("d_x"), py::arg("d_initial_states"),
           py::arg("d_reset_states"), py::arg("d_parameters"), py::arg("trace"),
           py::arg("d_attention"),
           "Overwrite d_x to d_parameters and d_attention with gradients; d_x is None where it is "
           "not "
           "wanted; trace is None, or a list of arrays written at real steps.")
      .def("plain_layer", &Bound::plain_layer, py::arg("x"), py::arg("state"),
           "Check and run a call without options; None if any argument needs a closer look.")
      .def("plain_cell", &Bound::plain_cell, py::arg("x"), py::arg("state"),
           "The same for one step of a single cell.")
      .def("explain", &Bound::explain, py::arg("steps"), py::arg("batch"), py::arg("forward"),
           py::arg("threads"), py::arg("lengths"), "How a call would be cut into work.")
      .def("tile", &Bound::tile, "Rows and columns of the register tile.")
      .def("isa", &Bound::isa, "The ISA that the weights are packed for.")
      .def("packed_bytes", &Bound::packed_bytes, "Bytes of the packed weights.")
      .def("workspace_bytes", &Bound::workspace_bytes, py::arg("steps"), py::arg("batch"),
           py::arg("training"), py::arg("checkpoint_every"),
           "Bytes of working memory of a call; checkpoint_every is 0 without checkpoints.")
      .def("backward_peak", &Bound::backward_peak, py::arg("run"), py::arg("checkpoint_every"),
           "The most bytes of working memory that backward of this run may take.");
}

}  // namespace

void register_network(py::module_& m) {
  py::class_<OptionValues>(m, "Options", "The options of a layer, as numbers.")
      .def(py::init<std::vector<double>, std::vector<std::tuple<int, double, double>>, bool, bool,
                    std::vector<double>, Index, std::tuple<bool, bool, double>>(),
           py::arg("limits"), py::arg("activations"), py::arg("own_activations"),
           py::arg("dropout_by_gate"), py::arg("chances"), py::arg("heads"), py::arg("layer_norm"),
           "limits: gate, cell, hidden, step_gradient, step_gradient_norm, projected; infinity is "
           "off.\n"
           "activations: (kind, alpha, beta) of each that the cell has.\n"
           "chances: dropout, input, recurrent, candidate, then zoneout by state; 0 is off.\n"
           "heads: blocks of the recurrent matrices; 1 leaves them whole.\n"
           "layer_norm: whether it is on, whether the normalised state is carried, epsilon.");
  register_as<float>(m, "NetworkF32");
  register_as<double>(m, "NetworkF64");
  m.def(
      "set_flush_denormals", [](bool on) { flush_denormals.store(on); }, py::arg("on"),
      "Whether calls treat subnormal numbers as zeros.");
}

}  // namespace simdrnn::python
