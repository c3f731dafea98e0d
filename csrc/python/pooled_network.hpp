// A network for calls that bring their parameters along, as buffers of the order that
// buffer_call.hpp says.
#pragma once
#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "python/bound_network.hpp"
#include "python/buffer_call.hpp"
#include "python/network_pool.hpp"

namespace simdrnn::python {

// Takes buffers one by one and checks how large they are. The front end has checked shapes with
// better words; this keeps a wrong call from touching memory that is not there.
class BufferReader {
 public:
  BufferReader(const char* what, const Buffer* buffers, std::size_t count)
      : what_(what), buffers_(buffers), count_(count) {}

  template <class E>
  E* next(Index size) {
    if (at_ == count_) fail("more than " + std::to_string(count_));
    const Buffer& buffer = buffers_[at_++];
    const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(E);
    if (buffer.bytes != bytes) {
      fail(std::to_string(bytes) + " bytes in buffer " + std::to_string(at_ - 1) + ", got " +
           std::to_string(buffer.bytes));
    }
    return static_cast<E*>(buffer.data);
  }
  void finish() const {
    if (at_ != count_) fail(std::to_string(at_) + ", got " + std::to_string(count_));
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    throw std::invalid_argument(std::string(what_) + ": expected " + expected);
  }
  const char* what_;
  const Buffer* buffers_;
  std::size_t count_;
  std::size_t at_ = 0;
};

class SharedNetwork {
 public:
  virtual ~SharedNetwork() = default;
  virtual void run(const BufferCall& call) = 0;
  virtual std::size_t release() = 0;
};

template <class T>
class SharedNetworkOf final : public SharedNetwork {
 public:
  SharedNetworkOf(const NetworkShape& shape, const NetworkOptions<T>& options, bool bias)
      : pool_(shape, options, bias) {}

  std::size_t release() override { return pool_.release(); }

  void run(const BufferCall& buffers) override {
    BufferReader arguments("arguments", buffers.arguments, buffers.argument_count);
    BufferReader results("results", buffers.results, buffers.result_count);
    One one{buffers.fields, {}, {}, {}};
    read_call(one, arguments);
    if (one.field(kPass) == kBackwardPass) {
      backward(one, arguments, results);
    } else {
      forward(one, arguments, results);
    }
  }

 private:
  // One call: what it brings, in the engine's terms.
  struct One {
    const std::int64_t* fields;
    Call<T> call;
    Parameters<T> parameters;
    std::vector<std::int64_t> lengths;

    [[nodiscard]] std::int64_t field(CallField which) const { return fields[which]; }
    [[nodiscard]] bool given(GivenBuffer which) const { return (fields[kGiven] & which) != 0; }
    [[nodiscard]] Index rows() const { return call.steps.steps * call.steps.batch; }
  };

  [[nodiscard]] const NetworkShape& shape() const { return pool_.model().shape(); }
  [[nodiscard]] const CellInfo& info() const { return pool_.model().info(); }
  [[nodiscard]] Index passes() const { return shape().layers * shape().directions; }
  [[nodiscard]] Index width() const { return shape().output_size(); }
  [[nodiscard]] Index state_size(const One& one, std::size_t state) const {
    return passes() * one.call.steps.batch * shape().state_size(state);
  }

  // Sizes of the parameters of a layer and direction, in the order of state_dict.
  [[nodiscard]] std::vector<Index> parameter_sizes(Index index) const {
    const Index rows = info().gate_count * shape().hidden_size;
    std::vector<Index> sizes{rows * pool_.model().layer_input(index / shape().directions),
                             rows * shape().h_size()};
    if (pool_.bias()) sizes.insert(sizes.end(), 2, rows);
    if (pool_.model().projects()) sizes.push_back(shape().projected_size * shape().hidden_size);
    sizes.insert(sizes.end(), static_cast<std::size_t>(info().cell_parameters),
                 shape().hidden_size);
    return sizes;
  }

  template <class E>
  Sequence<E> sequence(const One& one, BufferReader& reader, Index row) const {
    E* const data = reader.next<E>(one.rows() * row);
    const bool batch_first = one.field(kBatchFirst) != 0;
    return {data, batch_first ? row : one.call.steps.batch * row,
            batch_first ? one.call.steps.steps * row : row};
  }

  template <class E>
  std::vector<E*> states(const One& one, BufferReader& reader) const {
    std::vector<E*> states(static_cast<std::size_t>(info().states));
    for (std::size_t k = 0; k < states.size(); ++k) states[k] = reader.next<E>(state_size(one, k));
    return states;
  }

  // What forward and backward are both given.
  void read_call(One& one, BufferReader& arguments) const {
    Call<T>& call = one.call;
    const Index steps = one.field(kSteps), batch = one.field(kBatch);
    call.steps = {steps, batch, nullptr, nullptr, nullptr};
    call.x = sequence<const T>(one, arguments, shape().input_size);
    call.states = states<const T>(one, arguments);
    for (Index index = 0; index < passes(); ++index) {
      for (const Index size : parameter_sizes(index)) {
        one.parameters.push_back({arguments.next<const T>(size), static_cast<std::size_t>(size)});
      }
    }
    if (one.given(kGivenResetStates)) call.reset_states = states<const T>(one, arguments);
    if (one.given(kGivenLengths)) {
      const auto* const lengths = arguments.next<const std::int32_t>(batch);
      // Nobody can have checked numbers that a compiled program computes.
      for (Index b = 0; b < batch; ++b) {
        one.lengths.push_back(std::clamp<std::int64_t>(lengths[b], 0, steps));
      }
      call.steps.lengths = one.lengths.data();
    }
    if (one.given(kGivenMask)) call.steps.mask = arguments.next<const std::uint8_t>(steps * batch);
    if (one.given(kGivenReset)) {
      call.steps.reset = arguments.next<const std::uint8_t>(steps * batch);
    }
    if (one.given(kGivenKey)) {
      const auto* const words = arguments.next<const std::uint32_t>(2);
      call.training = true;
      call.key = words[0] | static_cast<std::uint64_t>(words[1]) << 32;
    }
    call.hold = one.field(kHoldOutput) != 0;
    call.threads = static_cast<int>(one.field(kThreads));
    call.flush_denormals = flush_denormals.load(std::memory_order_relaxed);
  }

  // What a recorded call leaves, from the buffers behind the output; E is T or const T.
  template <class E>
  TapeViews<E> read_tape(const One& one, const Sequence<E>& output, BufferReader& reader) const {
    TapeViews<E> tape;
    const Index layers = shape().layers, rows = one.rows();
    E* const lower = reader.next<E>((layers - 1) * rows * width());
    for (Index layer = 0; layer + 1 < layers; ++layer) {
      tape.hidden.push_back(
          {lower + layer * rows * width(), one.call.steps.batch * width(), width()});
    }
    tape.hidden.push_back(output);
    const Index every = one.field(kCheckpointEvery), steps = one.call.steps.steps;
    const Index borders = every > 0 && steps > 0 ? (steps - 1) / every : 0;
    const Index size = every > 0 ? borders * one.call.steps.batch * (info().states - 1)
                                 : rows * pool_.model().saved_width();
    E* const kept = reader.next<E>(passes() * size * shape().hidden_size);
    for (Index index = 0; index < passes(); ++index) {
      E* const data = kept + index * size * shape().hidden_size;
      if (every > 0) {
        tape.checkpoints.push_back({info().states > 1 ? data : nullptr, every});
      } else {
        tape.saved.push_back(data);
      }
    }
    return tape;
  }

  void forward(One& one, BufferReader& arguments, BufferReader& results) {
    const Sequence<T> output = sequence<T>(one, results, width());
    const std::vector<T*> finals = states<T>(one, results);
    TapeViews<T> tape;
    if (one.field(kPass) == kRecordPass) {
      tape = read_tape(one, output, results);
    } else {
      tape.hidden.push_back(output);
    }
    arguments.finish();
    results.finish();
    const auto lease = pool_.lease(one.parameters);
    lease.network().forward(one.call, tape, finals);
  }

  void backward(One& one, BufferReader& arguments, BufferReader& results) {
    const auto tape = read_tape(one, sequence<const T>(one, arguments, width()), arguments);
    Sequence<const T> d_output{};
    if (one.given(kGivenOutput)) d_output = sequence<const T>(one, arguments, width());
    std::vector<const T*> d_finals;
    for (std::size_t k = 0; k < static_cast<std::size_t>(info().states); ++k) {
      const bool given = (one.field(kGivenStates) >> k & 1) != 0;
      d_finals.push_back(given ? arguments.next<const T>(state_size(one, k)) : nullptr);
    }
    std::vector<T> unwanted;
    const Sequence<T> d_x = input_gradient(one, results, unwanted);
    const std::vector<T*> d_initials = states<T>(one, results);
    std::vector<ParameterGradients<T>> gradients;
    for (Index index = 0; index < passes(); ++index) gradients.push_back(gradient(index, results));
    std::vector<T*> d_resets;
    if (one.given(kGivenResetStates)) d_resets = states<T>(one, results);
    arguments.finish();
    results.finish();
    const auto lease = pool_.lease(one.parameters);
    lease.network().backward(one.call, tape, d_output, d_finals, d_x, d_initials, d_resets,
                             gradients);
  }

  // Where d_x goes: nowhere if it is not wanted. (Rows that steps leave out are cleared all the
  // same, so that they need a place.)
  Sequence<T> input_gradient(const One& one, BufferReader& results,
                             std::vector<T>& unwanted) const {
    const Index row = shape().input_size;
    if (one.given(kWantedInput)) return sequence<T>(one, results, row);
    if (!one.call.steps.any()) return {};
    unwanted.resize(static_cast<std::size_t>(one.rows() * row));
    return {unwanted.data(), one.call.steps.batch * row, row};
  }

  ParameterGradients<T> gradient(Index index, BufferReader& results) const {
    const std::vector<Index> sizes = parameter_sizes(index);
    auto size = sizes.begin();
    const auto take_one = [&] { return results.next<T>(*size++); };
    ParameterGradients<T> gradient{};
    gradient.weight_ih = take_one();
    gradient.weight_hh = take_one();
    if (pool_.bias()) {
      gradient.bias_ih = take_one();
      gradient.bias_hh = take_one();
    }
    if (pool_.model().projects()) gradient.weight_hr = take_one();
    while (size != sizes.end()) gradient.parameters.push_back(take_one());
    return gradient;
  }

  NetworkPool<T> pool_;
};

}  // namespace simdrnn::python
