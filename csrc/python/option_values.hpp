// A layer's options as Python gives them, and as the kernels take them.
#pragma once
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include "engine/network.hpp"

namespace simdrnn::python {

struct OptionValues {
  std::vector<double> limits;                                // in the order of Limits
  std::vector<std::tuple<int, double, double>> activations;  // kind, alpha, beta
  bool own_activations;
  bool dropout_by_gate;
  std::vector<double> chances;  // dropout, input, recurrent, candidate, then zoneout by state
  Index heads;
  std::tuple<bool, bool, double> layer_norm;  // LayerNorm's on, carried, epsilon
};

template <class T>
Chance<T> chance(double probability) {
  constexpr double kWords = 4294967296.0;  // 2^32
  return {probability > 0, static_cast<T>(probability),
          probability < 1 ? static_cast<T>(1 / (1 - probability)) : T(0),
          static_cast<std::uint64_t>(std::ceil(probability * kWords))};
}

template <class T>
NetworkOptions<T> options_of(const OptionValues& values) {
  const auto limit = [&](std::size_t i) { return static_cast<T>(values.limits.at(i)); };
  NetworkOptions<T> options{};
  options.cell.limits = {limit(0), limit(1), limit(2), limit(3), limit(4), limit(5)};
  for (std::size_t i = 0; i < values.activations.size() && i < kMaxActivations; ++i) {
    const auto& [kind, alpha, beta] = values.activations[i];
    options.cell.activations[i] = {static_cast<ActivationKind>(kind), static_cast<T>(alpha),
                                   static_cast<T>(beta)};
  }
  options.cell.own_activations = values.own_activations;
  const auto& [norm, carried, epsilon] = values.layer_norm;
  options.cell.norm = {norm, carried, static_cast<T>(epsilon)};
  options.dropout = chance<T>(values.chances.at(0));
  options.input_dropout = chance<T>(values.chances.at(1));
  options.cell.dropout_by_gate = values.dropout_by_gate;
  options.cell.recurrent_dropout = chance<T>(values.chances.at(2));
  options.cell.candidate_dropout = chance<T>(values.chances.at(3));
  for (std::size_t k = 0; k < kMaxStates; ++k) {
    const bool given = k + 4 < values.chances.size();
    options.cell.zoneout[k] = chance<T>(given ? values.chances[k + 4] : 0.0);
  }
  options.heads = values.heads;
  return options;
}

}  // namespace simdrnn::python
