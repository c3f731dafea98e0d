// A call of the engine with what must come out of it, and functions on vectors likewise.
#pragma once
#include <string>
#include <type_traits>
#include <vector>

#include "engine/network.hpp"
#include "problem_file.hpp"

// What of a result is not as expected; empty where everything is.
using Finding = std::string;

// Whether all bytes are those expected; else a sentence about the first element that is not.
template <class T>
Finding difference(const std::string& what, const std::vector<T>& expected,
                   const std::vector<T>& got) {
  if (expected.size() != got.size()) {
    return what + ": expected " + std::to_string(expected.size()) + " elements, got " +
           std::to_string(got.size());
  }
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::bit_cast<Bits>(expected[i]) == std::bit_cast<Bits>(got[i])) continue;
    char text[128];
    std::snprintf(text, sizeof text, ": element %zu of %zu: expected %.17g, got %.17g", i,
                  got.size(), static_cast<double>(expected[i]), static_cast<double>(got[i]));
    return what + text;
  }
  return {};
}

// A result before it is written: no number that comes out by accident.
template <class T>
std::vector<T> unwritten(std::size_t size) {
  std::vector<T> values(size);
  if (size > 0) std::memset(values.data(), 0xA5, size * sizeof(T));
  return values;
}

// The parameters of one layer and direction, or their gradients.
template <class T>
struct Parameters {
  Block<T> weight_ih, weight_hh, bias_ih, bias_hh, weight_hr;
  std::vector<Block<T>> cell;

  static Parameters read(ProblemFile& file) {
    Parameters p;
    for (Block<T>* const one : p.fixed()) *one = file.block<T>();
    p.cell = file.blocks<T>();
    return p;
  }
  [[nodiscard]] std::vector<Block<T>*> fixed() {
    return {&weight_ih, &weight_hh, &bias_ih, &bias_hh, &weight_hr};
  }
  [[nodiscard]] std::vector<Block<T>*> all() {
    std::vector<Block<T>*> blocks = fixed();
    for (Block<T>& one : cell) blocks.push_back(&one);
    return blocks;
  }
};

template <class E, class P>
simdrnn::ParameterViews<E> views_of(P& parameters) {
  const auto at = [](auto& block) -> E* { return block.given ? block.values.data() : nullptr; };
  simdrnn::ParameterViews<E> views{at(parameters.weight_ih),
                                   at(parameters.weight_hh),
                                   at(parameters.bias_ih),
                                   at(parameters.bias_hh),
                                   {},
                                   at(parameters.weight_hr)};
  for (auto& one : parameters.cell) views.cell_parameters.push_back(at(one));
  return views;
}

template <class T>
struct Problem {
  simdrnn::NetworkShape shape;
  simdrnn::NetworkOptions<T> options;
  std::vector<Parameters<T>> parameters;
  simdrnn::Index steps, batch;
  Block<T> x;
  std::vector<Block<T>> states, reset_states;
  Block<std::int64_t> lengths;
  Block<std::uint8_t> mask, reset;
  Block<T> attention;
  std::int64_t hold, training, key, threads;
  std::int64_t recorded, checkpoint_every;
  Block<T> output;  // results of forward
  std::vector<Block<T>> final_states;
  std::int64_t goes_back;
  Block<T> d_output;
  std::vector<Block<T>> d_final_states;
  Block<T> d_x;  // results of backward
  std::vector<Block<T>> d_states, d_reset_states;
  std::vector<Parameters<T>> d_parameters;
  Block<T> d_attention;

  static Problem read(ProblemFile& file);
  // On these kernels; what differs first, or nothing.
  [[nodiscard]] Finding run(const simdrnn::KernelTable& isa) const;

 private:
  [[nodiscard]] simdrnn::Call<T> call() const;
};

// Functions of csrc/kernels/simd over many numbers.
template <class T>
struct MathProblem {
  std::string function;
  std::vector<double> arguments;  // of an activation: which, alpha, beta
  std::vector<T> x, y;

  static MathProblem read(ProblemFile& file);
  [[nodiscard]] Finding run(const simdrnn::KernelTable& isa) const;
};
