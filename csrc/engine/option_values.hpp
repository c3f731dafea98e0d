// A layer's options by the names that Python and files have for them (simdrnn.spec.options): where
// the value of each goes, and what it may be.
#pragma once
#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "engine/network.hpp"

namespace simdrnn {

// A number, a name, or a list of these. True is 1.
struct OptionValue {
  std::variant<double, std::string, std::vector<OptionValue>> value;
};
using OptionValues = std::vector<std::pair<std::string, OptionValue>>;

inline double number(const OptionValue& from) {
  const double* const found = std::get_if<double>(&from.value);
  if (found == nullptr) throw std::invalid_argument("options: expected a number");
  return *found;
}
inline const std::vector<OptionValue>& list(const OptionValue& from) {
  const auto* const found = std::get_if<std::vector<OptionValue>>(&from.value);
  if (found == nullptr) throw std::invalid_argument("options: expected a list");
  return *found;
}

inline ActivationKind activation_kind(const std::string& name) {
  const auto* const found =
      std::find(std::begin(kActivationNames), std::end(kActivationNames), name);
  if (found == std::end(kActivationNames)) {
    throw std::invalid_argument("activation: expected one of activations(), got '" + name + "'");
  }
  return static_cast<ActivationKind>(found - std::begin(kActivationNames));
}

// A value as what the engine has for it.
template <class T>
  requires std::is_floating_point_v<T>
void read(const OptionValue& from, T& to) {
  to = static_cast<T>(number(from));
}
template <class T>
  requires std::is_integral_v<T>
void read(const OptionValue& from, T& to) {
  constexpr double kMost = std::is_same_v<T, bool> ? 1 : 1 << 30;
  const double whole = number(from);
  if (!(whole >= 0 && whole <= kMost && std::floor(whole) == whole)) {
    throw std::invalid_argument("options: expected a whole number up to " +
                                std::to_string(static_cast<long>(kMost)));
  }
  to = static_cast<T>(whole);
}

template <class T>
Chance<T> chance(double probability) {
  constexpr double kWords = 4294967296.0;  // 2^32
  if (!(probability >= 0 && probability <= 1)) {
    throw std::invalid_argument("options: expected a probability, got " +
                                std::to_string(probability));
  }
  return {probability > 0, static_cast<T>(probability),
          probability < 1 ? static_cast<T>(1 / (1 - probability)) : T(0),
          static_cast<std::uint64_t>(std::ceil(probability * kWords))};
}

template <class T>
void read(const OptionValue& from, Chance<T>& to) {
  to = chance<T>(number(from));
}

template <class T>
void read(const OptionValue& from, Activation<T>& to) {
  const auto& parts = list(from);
  const std::string* const name =
      parts.size() == 3 ? std::get_if<std::string>(&parts[0].value) : nullptr;
  if (name == nullptr) throw std::invalid_argument("activation: expected (name, alpha, beta)");
  to = {activation_kind(*name), static_cast<T>(number(parts[1])), static_cast<T>(number(parts[2]))};
}

template <class E, std::size_t most>
void read(const OptionValue& from, E (&to)[most]) {
  std::size_t count = 0;
  for (const OptionValue& value : list(from)) {
    if (count == most) throw std::invalid_argument("options: expected fewer values of one option");
    read(value, to[count++]);
  }
}

// Where the value of each option goes.
template <class T>
constexpr std::pair<const char*, void (*)(const OptionValue&, NetworkOptions<T>&)> kOptions[] = {
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
    {"zoneout", [](auto& v, auto& o) { read(v, o.cell.zoneout); }},  // by state
    {"state_noise", [](auto& v, auto& o) { read(v, o.cell.state_noise); }},
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

// Those that are given; what is not named is off. Throws std::invalid_argument with a sentence.
template <class T>
NetworkOptions<T> options_of(const OptionValues& given) {
  constexpr T kOff = std::numeric_limits<T>::infinity();
  const Chance<T> never = chance<T>(0);  // whose scale is 1: kernels multiply by it
  NetworkOptions<T> options{};
  CellOptions<T>& cell = options.cell;
  cell.limits = {kOff, kOff, kOff, kOff, kOff, kOff};
  options.dropout = options.input_dropout = never;
  cell.recurrent_dropout = cell.candidate_dropout = never;
  std::fill(std::begin(cell.zoneout), std::end(cell.zoneout), never);
  for (const auto& [name, value] : given) {
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

}  // namespace simdrnn
