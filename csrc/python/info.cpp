// Cells, ISAs, threads, compiler: facts and switches.
#include <pybind11/stl.h>

#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "abi/activation.hpp"
#include "abi/row_layout.hpp"
#include "engine/cross_entropy.hpp"
#include "engine/dispatch/dispatch.hpp"
#include "engine/memory.hpp"
#include "engine/threads/team.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace py = pybind11;

namespace {

// What else is said of a gate, by the bits of GateTrait.
constexpr const char* kTraits[] = {"keeps",      "writes",       "candidate", "apart",
                                   "input_only", "second_phase", "sees_h",    "fixed"};

const char* name_of(ActivationKind kind) { return kActivationNames[static_cast<int>(kind)]; }

// Its name, its activation, its traits.
py::tuple gate_of(const Gate& gate) {
  py::list words;
  words.append(gate.name);
  words.append(name_of(gate.activation));
  for (std::size_t bit = 0; bit < std::size(kTraits); ++bit) {
    if ((gate.traits >> bit & 1u) != 0) words.append(kTraits[bit]);
  }
  return py::tuple(words);
}

// The name of an activation that may not be there: identity is none.
const char* if_any(ActivationKind kind) {
  return kind == ActivationKind::kIdentity ? "" : name_of(kind);
}

// What each cell declares, in the words of CellInfo.described of Python.
py::list cells() {
  py::list list;
  const KernelTable& table = dispatch::active();
  for (int i = 0; i < table.cell_count; ++i) {
    const CellInfo& info = table.cells[i].info;
    py::dict entry;
    entry["name"] = info.name;
    entry["layer"] = info.layer;  // None where null
    py::list gates;
    for (int g = 0; g < info.gate_count; ++g) gates.append(gate_of(info.gates[g]));
    entry["gates"] = gates;
    entry["second_activation"] = if_any(info.second_activation);
    entry["squash"] = if_any(info.squash);
    entry["states"] = info.states;
    entry["saved"] = info.saved;
    entry["common"] = info.common;
    entry["biases"] = info.biases;
    entry["parameters"] = info.parameters;
    entry["step_inputs"] = info.attention ? 1 : 0;
    entry["state_names"] = info.state_names;
    entry["heads"] = info.heads;
    entry["noisy"] = info.noisy;
    entry["normalise"] = info.normalise;
    list.append(entry);
  }
  return list;
}

// Where a step's values are on the tape, in blocks of H: see abi/row_layout.hpp.
py::dict saved_layout(const std::string& cell, bool norm, bool norm_carried, bool keeps_carried) {
  const KernelTable& table = dispatch::active();
  for (int i = 0; i < table.cell_count; ++i) {
    const CellInfo& info = table.cells[i].info;
    if (cell != info.name) continue;
    const SavedLayout saved = row_layout(info, norm, norm_carried, keeps_carried).saved;
    py::dict places;
    places["cell"] = saved.cell;
    places["carried"] = saved.carried;
    places["last_states"] = saved.last_states;
    places["width"] = saved.width;
    return places;
  }
  throw std::invalid_argument("cell: '" + cell + "' is not in this build");
}

void set_threading(const std::string& name) {
  for (std::size_t i = 0; i < team::kThreadingNames.size(); ++i) {
    if (name == team::kThreadingNames[i]) return team::use(static_cast<team::Threading>(i));
  }
  throw std::invalid_argument("threading: expected one of those in threading_names, got \"" + name +
                              "\"");
}

// The names of the ISAs as Python has them: made when the module is, and only read afterwards.
struct IsaName {
  std::string text;
  PyObject* object;
};
std::vector<IsaName>& isa_names() {
  static auto* const names = new std::vector<IsaName>;
  return *names;
}

// Asked at every call of a layer: so neither the binding's dispatcher nor a new string.
PyObject* active_isa(PyObject*, PyObject*) {
  const char* const name = dispatch::active().isa;
  for (const IsaName& known : isa_names()) {
    if (known.text == name) return Py_NewRef(known.object);
  }
  return PyUnicode_FromString(name);
}

std::vector<std::string> activations() {
  return {std::begin(kActivationNames), std::end(kActivationNames)};
}

}  // namespace

void register_info(py::module_& m) {
  m.def("cells", &cells, "The cells of this build: a list of dicts with what each declares.");
  m.def("saved_layout", &saved_layout, py::arg("cell"), py::arg("norm"), py::arg("norm_carried"),
        py::arg("keeps_carried"), "Places of what a step leaves on the tape, in blocks of H.");
  m.def("activations", &activations, "Names of the activations.");
  m.def("compiled_isas", &dispatch::compiled, "Names of the ISAs in this build, best first.");
  m.def("available_isas", &dispatch::available, "Those that this CPU can run, best first.");
  for (const std::string& name : dispatch::compiled()) {
    isa_names().push_back({name, PyUnicode_InternFromString(name.c_str())});
  }
  static PyMethodDef active[] = {
      {"active_isa", &active_isa, METH_NOARGS, "Name of the ISA in use."},
      {nullptr, nullptr, 0, nullptr}};
  if (PyModule_AddFunctions(m.ptr(), active) != 0) throw py::error_already_set();
  m.def("use_isa", &dispatch::use, py::arg("name"),
        "Switch to another ISA; ValueError naming the choices if it is not available.");
  m.def("thread_limit", &team::limit, "How many threads a call may use now.");
  m.def("set_thread_limit", &team::set_limit, py::arg("threads"),
        "Limit the threads of calls; 0 leaves it to OpenMP.");
  m.def("set_threading", &set_threading, py::arg("threading"),
        "Choose what runs the parts of calls: one of threading_names.");
  m.attr("threading_names") = py::tuple(py::cast(team::kThreadingNames));
  m.def(
      "threading", [] { return team::kThreadingNames[static_cast<std::size_t>(team::used())]; },
      "What was chosen to run the parts of calls.");
  m.def("thread_runtime", &team::runtime, "What would run the parts of a call now.");
  m.def("adopt_openmp", &team::adopt_openmp, py::arg("library"),
        "Use the OpenMP runtime of a loaded library, or of any where the name is empty; whether "
        "there is one.");
  m.def("keep_company", &team::keep_company, py::arg("library"), py::arg("instead"),
        "The same, and let auto mean OpenMP; of another library's only where that is asked for.");
  (void)release_workspaces();  // so that no fork finds another thread making the registry
  m.def(
      "release_memory", [] { return release_workspaces() + release_losses(); },
      "Give back the memory kept between calls; returns its bytes.");
  m.attr("has_openmp") = team::has_openmp();
  m.attr("compiler") = SIMDRNN_COMPILER;
  m.attr("flags") = SIMDRNN_FLAGS;
}

}  // namespace simdrnn::python
