// A layer's options, read by the names that Python has for them (simdrnn.spec.options).
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/network.hpp"

namespace simdrnn::python {

namespace py = pybind11;

inline ActivationKind activation_kind(const std::string& name) {
  const auto* const found =
      std::find(std::begin(kActivationNames), std::end(kActivationNames), name);
  if (found == std::end(kActivationNames)) {
    throw std::invalid_argument("activation: expected one of activations(), got '" + name + "'");
  }
  return static_cast<ActivationKind>(found - std::begin(kActivationNames));
}

// A value of Python as what the engine has for it.
template <class T>
  requires std::is_arithmetic_v<T>
void read(const py::handle& value, T& to) {
  to = static_cast<T>(value.cast<double>());
}

template <class T>
Chance<T> chance(double probability) {
  constexpr double kWords = 4294967296.0;  // 2^32
  return {probability > 0, static_cast<T>(probability),
          probability < 1 ? static_cast<T>(1 / (1 - probability)) : T(0),
          static_cast<std::uint64_t>(std::ceil(probability * kWords))};
}

template <class T>
void read(const py::handle& value, Chance<T>& to) {
  to = chance<T>(value.cast<double>());
}

template <class T>
void read(const py::handle& value, Activation<T>& to) {
  const auto [name, alpha, beta] = value.cast<std::tuple<std::string, double, double>>();
  to = {activation_kind(name), static_cast<T>(alpha), static_cast<T>(beta)};
}

template <class E, std::size_t most>
void read(const py::handle& values, E (&to)[most]) {
  std::size_t count = 0;
  for (const auto& value : values) {
    if (count == most) throw std::invalid_argument("options: expected fewer values of one option");
    read(value, to[count++]);
  }
}

// Where the value of each option goes.
template <class T>
constexpr std::pair<const char*, void (*)(const py::handle&, NetworkOptions<T>&)> kOptions[] = {
    {"gate_clip", [](auto& v, auto& o) { read(v, o.cell.limits.gate); }},
    {"cell_clip", [](auto& v, auto& o) { read(v, o.cell.limits.cell); }},
    {"hidden_clip", [](auto& v, auto& o) { read(v, o.cell.limits.hidden); }},
    {"proj_clip", [](auto& v, auto& o) { read(v, o.cell.limits.projected); }},
    {"step_grad_clip", [](auto& v, auto& o) { read(v, o.cell.limits.step_gradient); }},
    {"step_grad_norm", [](auto& v, auto& o) { read(v, o.cell.limits.step_gradient_norm); }},
    {"dropout", [](auto& v, auto& o) { read(v, o.dropout); }},
    {"input_dropout", [](auto& v, auto& o) { read(v, o.input_dropout); }},
    {"recurrent_dropout", [](auto& v, auto& o) { read(v, o.cell.recurrent_dropout); }},
    {"recurrent_dropout_per_gate", [](auto& v, auto& o) { read(v, o.cell.dropout_by_gate); }},
    {"candidate_dropout", [](auto& v, auto& o) { read(v, o.cell.candidate_dropout); }},
    {"zoneout", [](auto& v, auto& o) { read(v, o.cell.zoneout); }},          // by state
    {"activations", [](auto& v, auto& o) { read(v, o.cell.activations); }},  // (name, alpha, beta)
    {"own_activations", [](auto& v, auto& o) { read(v, o.cell.own_activations); }},
    {"num_heads", [](auto& v, auto& o) { read(v, o.heads); }},
    {"layer_norm", [](auto& v, auto& o) { read(v, o.cell.norm.on); }},
    {"layer_norm_carried", [](auto& v, auto& o) { read(v, o.cell.norm.carried); }},
    {"layer_norm_epsilon", [](auto& v, auto& o) { read(v, o.cell.norm.epsilon); }},
};

inline std::vector<std::string> option_names() {
  std::vector<std::string> names;
  for (const auto& [name, set] : kOptions<float>) names.emplace_back(name);
  return names;
}

// Those of a dict; what it does not name is off.
template <class T>
NetworkOptions<T> options_of(const py::dict& given) {
  constexpr T kOff = std::numeric_limits<T>::infinity();
  const Chance<T> never = chance<T>(0);  // whose scale is 1: kernels multiply by it
  NetworkOptions<T> options{};
  CellOptions<T>& cell = options.cell;
  cell.limits = {kOff, kOff, kOff, kOff, kOff, kOff};
  options.dropout = options.input_dropout = never;
  cell.recurrent_dropout = cell.candidate_dropout = never;
  std::fill(std::begin(cell.zoneout), std::end(cell.zoneout), never);
  for (const auto& [key, value] : given) {
    const auto name = py::cast<std::string>(key);
    const auto* const found =
        std::find_if(std::begin(kOptions<T>), std::end(kOptions<T>),
                     [&](const auto& option) { return name == option.first; });
    if (found == std::end(kOptions<T>)) {
      throw std::invalid_argument("options: expected one of option_names(), got '" + name + "'");
    }
    found->second(value, options);
  }
  return options;
}

}  // namespace simdrnn::python
