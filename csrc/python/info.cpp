// Cells, ISAs, threads, compiler: facts and switches.
#include <pybind11/stl.h>

#include <iterator>
#include <string>
#include <vector>

#include "abi/activation.hpp"
#include "engine/dispatch/dispatch.hpp"
#include "engine/memory.hpp"
#include "engine/threads/team.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace py = pybind11;

namespace {

// Symbols of the gates, between blanks.
std::string gate_names(const CellInfo& info) {
  std::string names;
  for (int g = 0; g < info.gate_count; ++g)
    names += (g > 0 ? " " : "") + std::string(info.gates[g].name);
  return names;
}

// The activations that can be exchanged: one per gate, "-" where there is none, and behind a "/"
// what squashes a state.
std::string activation_names(const CellInfo& info) {
  std::string names;
  for (int place = 0; place <= info.squash_place; ++place) {
    const ActivationKind kind = info.activations[place];
    const bool squash = place == info.squash_place;
    if (squash && kind == ActivationKind::kIdentity) break;
    const bool fixed = place < info.gate_count && (info.gates[place].traits & kFixed) != 0;
    names += place == 0 ? "" : squash ? " / " : " ";
    names += fixed ? "-" : kActivationNames[static_cast<int>(kind)];
  }
  return names;
}

py::list cells() {
  py::list list;
  const KernelTable& table = dispatch::active();
  for (int i = 0; i < table.cell_count; ++i) {
    const CellInfo& info = table.cells[i].info;
    py::dict entry;
    entry["name"] = info.name;
    entry["layer"] = info.layer;  // None where null
    entry["gate_names"] = gate_names(info);
    entry["gates"] = info.gate_count;
    entry["separate"] = info.separate;
    entry["states"] = info.states;
    entry["saved"] = info.saved;
    entry["phases"] = info.phases;
    entry["keep"] = info.keep;
    entry["write"] = info.write;
    entry["common"] = info.common;
    entry["candidate"] = info.candidate;
    entry["input_only"] = info.input_only;
    entry["second_sees_h"] = info.second_sees_h;
    entry["biases"] = info.biases;
    entry["parameters"] = info.parameters;
    entry["activations"] = activation_names(info);
    entry["step_inputs"] = info.attention ? 1 : 0;
    entry["state_names"] = info.state_names;
    entry["heads"] = info.heads;
    entry["normalise"] = info.normalise;
    list.append(entry);
  }
  return list;
}

std::vector<std::string> activations() {
  return {std::begin(kActivationNames), std::end(kActivationNames)};
}

}  // namespace

void register_info(py::module_& m) {
  m.def("cells", &cells, "The cells of this build: a list of dicts with the fields of CellInfo.");
  m.def("activations", &activations,
        "Names of the activations, in the order of the engine's enumeration.");
  m.def("compiled_isas", &dispatch::compiled, "Names of the ISAs in this build, best first.");
  m.def("available_isas", &dispatch::available, "Those that this CPU can run, best first.");
  m.def("active_isa", [] { return dispatch::active().isa; }, "Name of the ISA in use.");
  m.def("use_isa", &dispatch::use, py::arg("name"),
        "Switch to another ISA; ValueError naming the choices if it is not available.");
  m.def("thread_limit", &team::limit, "How many threads a call may use now.");
  m.def("set_thread_limit", &team::set_limit, py::arg("threads"),
        "Limit the threads of calls; 0 leaves it to OpenMP.");
  m.def("release_memory", &release_workspaces,
        "Give back the working memory kept between calls; returns its bytes.");
  m.attr("compiler") = SIMDRNN_COMPILER;
  m.attr("flags") = SIMDRNN_FLAGS;
  m.attr("thread_runtime") = team::runtime();
}

}  // namespace simdrnn::python
