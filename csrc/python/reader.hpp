// A call in the engine's terms: which arrays it takes, keeps and gives, and how large each must be.
//
// That is said here once, for both sources of sources.hpp; arrays are asked for in the order of
// buffer_call.hpp.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "engine/network.hpp"
#include "python/gil.hpp"
#include "python/sources.hpp"

namespace simdrnn::python {

// Whether calls treat subnormal numbers as zeros; see engine/flush_denormals.hpp.
inline std::atomic<bool> flush_denormals{true};

// Lets Ctrl-C through: asks Python for pending signals every tenth of a second, on the calling
// thread, between parallel regions. More often would only fight other threads for the GIL.
class SignalPoll {
 public:
  void operator()() {
    const auto now = Clock::now();
    if (now < next_) return;
    next_ = now + kPeriod;
    const WithGil locked;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kPeriod{100};
  Clock::time_point next_ = Clock::now() + kPeriod;
};

// Without the GIL as long as this lives, where a call is long enough: giving it up costs more than
// a step of a small network.
class Unlocked {
 public:
  explicit Unlocked(double multiplications) {
    constexpr double kLongCall = 1 << 19;  // about 10 us
    if (multiplications > kLongCall) released_.emplace();
  }
  template <class T>
  Unlocked(const Network<T>& network, const Call<T>& call)
      : Unlocked(multiplications(network, call)) {}
  explicit operator bool() const { return released_.has_value(); }

 private:
  template <class T>
  static double multiplications(const Network<T>& network, const Call<T>& call) {
    const NetworkShape& s = network.shape();
    const auto of_pass = static_cast<double>(call.steps.steps * call.steps.batch) *
                         static_cast<double>(network.info().gate_count * s.hidden_size) *
                         static_cast<double>(s.input_size + s.h_size());
    return of_pass * static_cast<double>(s.passes());
  }

  std::optional<WithoutGil> released_;
};

template <class T>
class Reader {
 public:
  explicit Reader(const Network<T>& network)
      : network_(network), info_(network.info()), shape_(network.shape()) {}

  template <class Source>
  Call<T> call(Source& from) const {
    Call<T> call = begin(from);
    finish(call, from);
    return call;
  }

  // A call's first part, behind which some sources have the parameters, and the rest of it.
  template <class Source>
  Call<T> begin(Source& from) const {
    Call<T> call{};
    call.steps = from.steps();
    call.x = from.template sequence<const T>(names::x, call.steps, shape_.input_size);
    call.states = from.template arrays<const T>(names::states, state_sizes(call));
    return call;
  }
  template <class Source>
  void finish(Call<T>& call, Source& from) const {
    StepSources& s = call.steps;
    if (from.given(names::reset_states)) {
      call.reset_states = from.template arrays<const T>(names::reset_states, state_sizes(call));
    }
    s.lengths = from.lengths(s);
    // Lengths that leave nothing out cost nothing.
    const auto whole = [&](std::int64_t length) { return length == s.steps; };
    if (s.lengths != nullptr && std::all_of(s.lengths, s.lengths + s.batch, whole)) {
      s.lengths = nullptr;
    }
    s.mask = from.bytes(names::mask, s);
    s.reset = from.bytes(names::reset, s);
    call.attention = attention<const T>(from, s);
    from.settle(call);
    call.flush_denormals = flush_denormals.load(std::memory_order_relaxed);
  }

  // What a recorded call keeps beside its output, and that.
  template <class E, class Source>
  TapeViews<E> tape(Source& from, const Call<T>& call, const Sequence<E>& output) const {
    TapeViews<E> tape;
    const Index steps = call.steps.steps, states_size = call.steps.batch * shape_.hidden_size;
    tape.hidden = from.template lower<E>(call.steps, shape_.layers - 1, shape_.output_size());
    tape.hidden.push_back(output);
    const Index every = from.checkpoint_every();
    if (every <= 0) {
      const Index size = steps * states_size * network_.saved_width();
      tape.saved = from.template pieces<E>(names::saved, shape_.passes(), size);
      return tape;
    }
    const Index borders = steps == 0 ? 0 : (steps - 1) / every, others = info_.states - 1;
    for (E* const data : from.template pieces<E>(names::checkpoints, shape_.passes(),
                                                 borders * states_size * others)) {
      tape.checkpoints.push_back({others > 0 ? data : nullptr, every});
    }
    return tape;
  }

  template <class Source>
  Gradients<T> gradients(Source& from, const Call<T>& call) const {
    Gradients<T> d{};
    if (from.given(names::d_x)) {
      d.x = from.template sequence<T>(names::d_x, call.steps, shape_.input_size);
    }
    d.states = from.template arrays<T>(names::states, state_sizes(call));
    for (Index index = 0; index < shape_.passes(); ++index) {
      d.parameters.push_back(parameters<T>(from.of_pass(index), index));
    }
    if (from.given(names::reset_states) == call.reset_states.empty()) {
      reject("reset_states", "gradients exactly where resets go to states of their own");
    }
    if (!call.reset_states.empty()) {
      d.reset_states = from.template arrays<T>(names::reset_states, state_sizes(call));
    }
    d.attention = attention<T>(from, call.steps);
    d.add = from.given(names::add);
    if (from.given(names::trace)) {
      const Index width = 2 * shape_.h_size() + (info_.states - 1) * shape_.hidden_size;
      d.trace = from.template pieces<T>(names::trace, shape_.passes(),
                                        call.steps.steps * call.steps.batch * width);
    }
    return d;
  }

  // Of layer * D + direction. None where the layer has no such, and only there; biases may be.
  template <class E, class Source>
  ParameterViews<E> parameters(Source&& from, Index index) const {
    const Index hidden = shape_.hidden_size, rows = input_blocks(info_) * hidden;
    const Index columns = network_.layer_input(index / shape_.directions);
    const Index recurrent = recurrent_blocks(info_) * hidden * network_.seen_units();
    ParameterViews<E> p{};
    p.weight_ih = needed<E>(from, names::weight_ih, rows * columns);
    p.weight_hh = needed<E>(from, names::weight_hh, recurrent);
    p.bias_ih = from.template array<E>(names::bias_ih, rows);
    p.bias_hh = from.template array<E>(names::bias_hh, recurrent_gates(info_) * hidden);
    p.weight_hr = needed<E>(from, names::weight_hr, shape_.projected_size * hidden);
    const std::vector<Index> sizes(static_cast<std::size_t>(network_.parameter_count()), hidden);
    p.cell_parameters = from.template optional_arrays<E>(names::cell_parameters, sizes);
    return p;
  }

  // What the last layer puts out, or the gradient for it.
  template <class E>
  [[nodiscard]] Sequence<E> output(const py::handle& array, const char* name,
                                   const Call<T>& call) const {
    return sequence<E>(array, name, call.steps.steps, call.steps.batch, shape_.output_size());
  }

  // Of the arrays (L*D, B, H) that a state is.
  [[nodiscard]] std::vector<Index> state_sizes(const Call<T>& call) const {
    std::vector<Index> sizes(static_cast<std::size_t>(info_.states));
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      sizes[k] = shape_.passes() * call.steps.batch * shape_.state_size(k);
    }
    return sizes;
  }

 private:
  // Null exactly where there is nothing of that size.
  template <class E, class Source>
  static E* needed(Source& from, const Name& name, Index size) {
    if (from.given(name) != (size > 0))
      reject(name.text, "an array exactly where the layer has one");
    return size > 0 ? from.template array<E>(name, size) : nullptr;
  }

  // What the cell takes of every step beside x, or its gradient; null where it takes nothing.
  template <class E, class Source>
  E* attention(Source& from, const StepSources& s) const {
    if (from.given(names::attention) != info_.attention) {
      reject("attention", "an array for a cell that takes one, else None");
    }
    return from.template array<E>(names::attention, s.steps * s.batch);
  }

  const Network<T>& network_;
  const CellInfo& info_;
  const NetworkShape& shape_;
};

}  // namespace simdrnn::python
