// The Python class behind NetworkF32 and NetworkF64: arrays to views, GIL released, call.
#pragma once
#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "engine/network.hpp"
#include "python/arrays.hpp"
#include "python/option_values.hpp"
#include "python/parameter_arrays.hpp"
#include "python/plan_names.hpp"
#include "python/signal_poll.hpp"

namespace simdrnn::python {

// Whether calls treat subnormal numbers as zeros; see engine/flush_denormals.hpp.
inline std::atomic<bool> flush_denormals{true};

// Fields of simdrnn.run.Run, in its order.
enum RunField {
  kX,
  kStates,
  kLengths,
  kMask,
  kReset,
  kHold,
  kTraining,
  kKey,
  kNumThreads,
  kResetStates,
  kAttention
};

template <class T>
class BoundNetwork {
 public:
  BoundNetwork(const std::string& cell, Index input_size, Index hidden_size, Index layers,
               Index directions, const OptionValues& options, Index projected_size)
      : network_({cell, input_size, hidden_size, layers, directions, projected_size},
                 options_of<T>(options)) {}

  void set_parameters(Index index, const py::array& weight_ih, const py::object& weight_hh,
                      const py::object& bias_ih, const py::object& bias_hh,
                      const py::tuple& parameters, const py::object& weight_hr) {
    const auto given = ParameterArrays<const T, T>(network_).pointers(
        py::make_tuple(weight_ih, weight_hh, bias_ih, bias_hh, parameters, weight_hr), index);
    const py::gil_scoped_release unlocked;
    network_.set_parameters(index, given.weight_ih, given.weight_hh, given.bias_ih, given.bias_hh,
                            given.parameters, given.weight_hr);
  }

  void forward(const py::tuple& run, py::array& output, const py::tuple& final_states,
               const py::object& tape_arrays) const {
    const Call<T> call = make_call(run);
    TapeViews<T> tape;
    if (tape_arrays.is_none()) {
      tape.hidden.push_back(output_of(output, call));
    } else {
      tape = make_tape<T>(call, tape_arrays);
      tape.hidden.back() = output_of(output, call);
    }
    const std::vector<T*> finals = states_of<T>(final_states, "final_states", call);
    const Unlocked unlocked(long_enough(call));
    network_.forward(call, tape, finals);
  }

  void backward(const py::tuple& run, const py::tuple& tape_arrays, const py::array& d_output,
                const py::tuple& d_final_states, const py::object& d_x,
                const py::tuple& d_initial_states, const py::object& d_reset_states,
                const py::list& d_parameters, const py::object& trace,
                const py::object& d_attention) const {
    const Call<T> call = make_call(run);
    const TapeViews<const T> tape = make_tape<const T>(call, tape_arrays);
    const auto d_finals = states_of<const T>(d_final_states, "d_final_states", call);
    const auto d_initials = states_of<T>(d_initial_states, "d_initial_states", call);
    std::vector<T*> d_resets;
    if (!d_reset_states.is_none()) {
      d_resets = states_of<T>(py::cast<py::tuple>(d_reset_states), "d_reset_states", call);
    }
    const auto d_y =
        sequence<const T>(d_output, "d_output", call.steps.steps, call.steps.batch, width());
    Sequence<T> d_input{};  // null data: not wanted
    if (!d_x.is_none()) {
      auto array = py::cast<py::array>(d_x);
      d_input = sequence<T>(array, "d_x", call.steps.steps, call.steps.batch,
                            network_.shape().input_size);
    }
    std::vector<ParameterGradients<T>> gradients;
    for (Index index = 0; index < passes(); ++index) {
      gradients.push_back(ParameterArrays<T, T>(network_).pointers(
          py::cast<py::tuple>(d_parameters[static_cast<std::size_t>(index)]), index));
    }
    const std::vector<T*> traced = trace_of(trace, call);
    T* const d_attention_data = attention_of<T>(d_attention, "d_attention", call);
    const py::gil_scoped_release unlocked;
    network_.backward(call, tape, d_y, d_finals, d_input, d_initials, d_resets, gradients, traced,
                      d_attention_data);
  }

  [[nodiscard]] std::size_t workspace_bytes(Index steps, Index batch, bool training,
                                            Index checkpoint_every) const {
    return network_.workspace_bytes(steps, batch, training, checkpoint_every);
  }

  [[nodiscard]] std::size_t backward_peak(const py::tuple& run, Index checkpoint_every) const {
    return network_.backward_peak(make_call(run), checkpoint_every);
  }

  [[nodiscard]] py::dict explain(Index steps, Index batch, bool forward, int threads,
                                 const py::object& lengths) const {
    Call<T> call{};
    call.steps = {steps, batch, optional_elements<const std::int64_t>(lengths, "lengths", batch),
                  nullptr, nullptr};
    call.threads = threads;
    const Plan plan = network_.plan(call, forward);
    py::dict result;
    result["schedule"] = name_of(plan.schedule);
    result["why"] = name_of(plan.why);
    result["threads"] = plan.busy_threads;
    result["hoisted_steps"] = forward ? plan.hoist_steps : 0;
    result["chunk"] = forward ? plan.forward_chunk : plan.backward_chunk;
    return result;
  }

  // Rows and columns of the register tile.
  [[nodiscard]] std::pair<int, int> tile() const {
    return {network_.products().tile_rows, network_.products().outer_width};
  }
  [[nodiscard]] const char* isa() const { return network_.table().isa; }
  [[nodiscard]] std::size_t packed_bytes() const { return network_.packed_bytes(); }

  [[nodiscard]] py::object plain_layer(const py::handle& x, const py::handle& state) const;
  [[nodiscard]] py::object plain_cell(const py::handle& x, const py::handle& state) const;

 private:
  // Giving up the GIL costs more than a step of a small network.
  struct Unlocked {
    explicit Unlocked(bool unlock) {
      if (unlock) released.emplace();
    }
    std::optional<py::gil_scoped_release> released;
  };

  [[nodiscard]] bool long_enough(const Call<T>& call) const {
    constexpr Index kMultiplications = 1 << 19;  // about 10 us
    const NetworkShape& s = network_.shape();
    const auto work = static_cast<double>(call.steps.steps * call.steps.batch) *
                      static_cast<double>(network_.info().gate_count * s.hidden_size) *
                      static_cast<double>(s.input_size + s.h_size());
    return work * static_cast<double>(s.layers * s.directions) >
           static_cast<double>(kMultiplications);
  }

  [[nodiscard]] Index passes() const {
    return network_.shape().layers * network_.shape().directions;
  }
  [[nodiscard]] Index width() const { return network_.shape().output_size(); }

  Call<T> make_call(const py::tuple& run) const {
    Call<T> call{};
    const auto x = py::cast<py::array>(run[kX]);
    if (x.ndim() != 3) reject("x", "three dimensions");
    const Index steps = x.shape(0), batch = x.shape(1);
    call.steps = {
        steps, batch, optional_elements<const std::int64_t>(run[kLengths], "lengths", batch),
        bytes(run[kMask], "mask", steps * batch), bytes(run[kReset], "reset", steps * batch)};
    // Lengths that leave nothing out cost nothing.
    const std::int64_t* const lengths = call.steps.lengths;
    if (lengths != nullptr &&
        std::all_of(lengths, lengths + batch, [&](std::int64_t n) { return n == steps; })) {
      call.steps.lengths = nullptr;
    }
    call.x = sequence<const T>(x, "x", steps, batch, network_.shape().input_size);
    call.states = states_of<const T>(py::cast<py::tuple>(run[kStates]), "states", call);
    if (!run[kResetStates].is_none()) {
      call.reset_states =
          states_of<const T>(py::cast<py::tuple>(run[kResetStates]), "reset_states", call);
    }
    call.attention = attention_of<const T>(run[kAttention], "attention", call);
    call.hold = py::cast<bool>(run[kHold]);
    call.training = py::cast<bool>(run[kTraining]);
    call.key = py::cast<std::uint64_t>(run[kKey]);
    call.threads = py::cast<int>(run[kNumThreads]);
    call.flush_denormals = flush_denormals.load(std::memory_order_relaxed);
    call.poll = SignalPoll();
    return call;
  }

  // What the cell takes of every step beside x, or a gradient for it; null where it takes nothing.
  template <class E>
  E* attention_of(const py::handle& object, const char* name, const Call<T>& call) const {
    if (object.is_none() == (network_.info().attention)) {
      reject(name, "an array for a cell that takes one, else None");
    }
    return optional_elements<E>(object, name, call.steps.steps * call.steps.batch);
  }

  static const std::uint8_t* bytes(const py::handle& object, const char* name, Index size) {
    return reinterpret_cast<const std::uint8_t*>(optional_elements<const bool>(object, name, size));
  }

  template <class E>
  std::vector<E*> states_of(const py::tuple& arrays, const char* name, const Call<T>& call) const {
    if (static_cast<int>(arrays.size()) != network_.info().states)
      reject(name, "one array per state");
    std::vector<E*> states;
    for (const auto& item : arrays) {
      auto array = py::cast<py::array>(item);
      const Index size = call.steps.batch * network_.shape().state_size(states.size());
      states.push_back(elements<E>(array, name, passes() * size));
    }
    return states;
  }

  Sequence<T> output_of(py::array& output, const Call<T>& call) const {
    return sequence<T>(output, "output", call.steps.steps, call.steps.batch, width());
  }

  // From (saved, hidden, checkpoints, checkpoint_every). E is const T when the arrays are only
  // read: the last hidden one, the user's output, may be read-only.
  template <class E>
  TapeViews<E> make_tape(const Call<T>& call, const py::object& arrays) const {
    const auto parts = py::cast<py::tuple>(arrays);
    TapeViews<E> tape;
    const Index steps = call.steps.steps, batch = call.steps.batch;
    const Index step_size = batch * network_.shape().hidden_size, saved = network_.saved_width();
    for (const auto& item : py::cast<py::list>(parts[0])) {
      auto array = py::cast<py::array>(item);
      tape.saved.push_back(elements<E>(array, "saved", steps * step_size * saved));
    }
    for (const auto& item : py::cast<py::list>(parts[1])) {
      auto array = py::cast<py::array>(item);
      tape.hidden.push_back(sequence<E>(array, "hidden", steps, batch, width()));
    }
    const auto every = py::cast<Index>(parts[3]);
    const Index others = network_.info().states - 1;
    for (const auto& item : py::cast<py::list>(parts[2])) {
      auto array = py::cast<py::array>(item);
      if (every < 1) reject("tape", "checkpoint_every of at least 1 with checkpoints");
      const Index borders = steps == 0 ? 0 : (steps - 1) / every;
      E* const data = elements<E>(array, "checkpoints", borders * step_size * others);
      tape.checkpoints.push_back({others > 0 ? data : nullptr, every});
    }
    const auto of_directions = static_cast<Index>(tape.saved.size() + tape.checkpoints.size());
    if (of_directions != passes() || (!tape.saved.empty() && !tape.checkpoints.empty()) ||
        static_cast<Index>(tape.hidden.size()) != network_.shape().layers) {
      reject("tape",
             "one array of saved values, or of checkpoints, per layer and direction and one hidden "
             "array per layer");
    }
    return tape;
  }

  std::vector<T*> trace_of(const py::object& trace, const Call<T>& call) const {
    std::vector<T*> arrays;
    if (trace.is_none()) return arrays;
    const NetworkShape& shape = network_.shape();
    const Index width = 2 * shape.h_size() + (network_.info().states - 1) * shape.hidden_size;
    for (const auto& item : py::cast<py::list>(trace)) {
      auto array = py::cast<py::array>(item);
      arrays.push_back(elements<T>(array, "trace", call.steps.steps * call.steps.batch * width));
    }
    if (static_cast<Index>(arrays.size()) != passes()) {
      reject("trace", "one array per layer and direction");
    }
    return arrays;
  }

  Network<T> network_;
};

}  // namespace simdrnn::python
