// Parts that only tests and benchmarks reach for: the vector mathematics, and what the machine can
// do.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/dispatch/dispatch.hpp"
#include "engine/plan.hpp"
#include "engine/threads/team.hpp"
#include "python/arrays.hpp"
#include "python/gil.hpp"
#include "python/options.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace {

template <class T>
py::array apply(const MathKernels<T>& math, const std::string& name, const py::array& x) {
  const std::pair<const char*, typename MathKernels<T>::Function> functions[] = {
      {"exp", math.exp},           {"sigmoid", math.sigmoid},
      {"tanh", math.tanh},         {"expm1_below_zero", math.expm1_below_zero},
      {"log", math.log},           {"log1p", math.log1p},
      {"softplus", math.softplus}, {"log_sigmoid", math.log_sigmoid}};
  for (const auto& [known, function] : functions) {
    if (name != known) continue;
    py::array y(x.dtype(), std::vector<py::ssize_t>{x.size()});
    function(elements<const T>(x, "x", x.size()), elements<T>(y, "y", x.size()), x.size());
    return y;
  }
  throw std::invalid_argument("name: expected a function of csrc/simd, got " + name);
}

py::array math(const std::string& name, const py::array& x) {
  const KernelTable& table = dispatch::active();
  if (py::dtype::of<float>().equal(x.dtype())) return apply(table.math_f32, name, x);
  return apply(table.math_f64, name, x);
}

template <class T>
py::array apply_activation(typename MathKernels<T>::ActivationFunction function,
                           ActivationKind kind, double alpha, double beta, const py::array& x) {
  const Activation<T> activation{kind, static_cast<T>(alpha), static_cast<T>(beta)};
  py::array y(x.dtype(), std::vector<py::ssize_t>{x.size()});
  function(activation, elements<const T>(x, "x", x.size()), elements<T>(y, "y", x.size()),
           x.size());
  return y;
}

py::array activation(const std::string& name, double alpha, double beta, const py::array& x,
                     bool slope) {
  const ActivationKind kind = activation_kind(name);
  const KernelTable& table = dispatch::active();
  if (py::dtype::of<float>().equal(x.dtype())) {
    const auto& functions = table.math_f32;
    return apply_activation<float>(slope ? functions.slope : functions.activate, kind, alpha, beta,
                                   x);
  }
  const auto& functions = table.math_f64;
  return apply_activation<double>(slope ? functions.slope : functions.activate, kind, alpha, beta,
                                  x);
}

// Options as the engine has them: plain data, so that a program without Python can have the same.
template <class T>
py::bytes bytes_of_options(const py::dict& options) {
  static_assert(std::is_trivially_copyable_v<NetworkOptions<T>>);
  const NetworkOptions<T> made = options_of<T>(options);
  return {reinterpret_cast<const char*>(&made), sizeof made};
}

py::bytes options_bytes(const py::dict& options, const std::string& dtype) {
  if (dtype == "float32") return bytes_of_options<float>(options);
  if (dtype == "float64") return bytes_of_options<double>(options);
  throw std::invalid_argument("dtype: expected float32 or float64, got " + dtype);
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double fma_peak(const std::string& dtype, double seconds, int threads) {
  if (dtype != "float32" && dtype != "float64") {
    throw std::invalid_argument("dtype: expected float32 or float64, got " + dtype);
  }
  if (threads < 1) throw std::invalid_argument("threads: expected a positive integer");
  const KernelTable& table = dispatch::active();
  const auto chain = dtype == "float32" ? table.fma_chain_f32 : table.fma_chain_f64;
  // A few hundred microseconds: long enough to time, short enough to repeat.
  constexpr Index kRounds = 200000;
  const WithoutGil unlocked;
  double best = 0;
  const auto begin = Clock::now();
  do {
    std::vector<double> done(static_cast<std::size_t>(threads));
    const auto round = Clock::now();
    team::run(threads, [&](int p) { done[static_cast<std::size_t>(p)] = chain(kRounds); });
    const double elapsed = seconds_since(round);
    best = std::max(best, std::reduce(done.begin(), done.end()) / elapsed);
  } while (seconds_since(begin) < seconds);
  return best / 1e9;
}

// Runs `rounds` times a job of each of the sizes in turn; returns how many parts were not called
// exactly once.
Index miscounted_parts(const std::vector<int>& sizes, Index rounds) {
  const WithoutGil unlocked;
  Index wrong = 0;
  for (Index round = 0; round < rounds; ++round) {
    const int parts = sizes[static_cast<std::size_t>(round) % sizes.size()];
    std::vector<std::atomic<int>> calls(static_cast<std::size_t>(parts));
    team::run(parts, [&](int p) { calls[static_cast<std::size_t>(p)].fetch_add(1); });
    for (const auto& count : calls) wrong += count.load() == 1 ? 0 : 1;
  }
  return wrong;
}

py::dict plan(Index steps, Index batch, Index input_size, Index hidden_size, int gates, int threads,
              const py::object& real_steps, Index layers, Index directions, bool forward,
              Index projected_size, int recurrent_gates) {
  std::vector<Index> counts;
  if (!real_steps.is_none()) {
    for (const auto item : real_steps) counts.push_back(py::cast<Index>(item));
  }
  const Plan made = make_plan({.steps = steps,
                               .batch = batch,
                               .input_size = input_size,
                               .hidden_size = hidden_size,
                               .gates = gates,
                               .recurrent_gates = recurrent_gates < 0 ? gates : recurrent_gates,
                               .element_bytes = sizeof(float),
                               .layers = layers,
                               .directions = directions,
                               .forward = forward,
                               .thread_limit = threads,
                               .largest_gang = threads,
                               .real_steps = real_steps.is_none() ? nullptr : &counts,
                               .projected_size = projected_size});
  py::dict result;
  py::list order, first_row;
  for (const auto row : made.order) order.append(row);
  for (const auto row : made.first_row) first_row.append(row);
  result["order"] = order;
  result["first_row"] = first_row;
  result["schedule"] = made.schedule_name();
  result["why"] = made.why_name();
  result["gang"] = made.gang;
  result["hoist_steps"] = made.hoist_steps;
  result["forward_chunk"] = made.forward_chunk;
  result["backward_chunk"] = made.backward_chunk;
  return result;
}

}  // namespace

void register_testing(py::module_& m) {
  auto testing = m.def_submodule("testing", "Parts that only tests and benchmarks reach for.");
  testing.def("math", &math, py::arg("name"), py::arg("x"),
              "A function of csrc/simd of a 1-D float32 or float64 array, by the active ISA.");
  testing.def(
      "activation", &activation, py::arg("name"), py::arg("alpha"), py::arg("beta"), py::arg("x"),
      py::arg("slope"),
      "An activation of the elements of x; or, with slope, its slope where x are its values.");
  testing.def("options_bytes", &options_bytes, py::arg("options"), py::arg("dtype"),
              "The options of a network as its memory holds them; see tools/bits_driver.");
  testing.def("fma_peak", &fma_peak, py::arg("dtype"), py::arg("seconds"), py::arg("threads"),
              "The best GFLOP/s that FMAs on registers reach within that time.");
  testing.def("miscounted_parts", &miscounted_parts, py::arg("sizes"), py::arg("rounds"),
              "How many parts of jobs of these sizes, in turn, were not called exactly once.");
  testing.def("plan", &plan, py::arg("steps"), py::arg("batch"), py::arg("input_size"),
              py::arg("hidden_size"), py::arg("gates"), py::arg("threads"),
              py::arg("real_steps") = py::none(), py::arg("layers") = 1, py::arg("directions") = 1,
              py::arg("forward") = true, py::arg("projected_size") = 0,
              py::arg("recurrent_gates") = -1,
              "How a call would be cut into work; -1: as many recurrent gates as gates.");
}

}  // namespace simdrnn::python
