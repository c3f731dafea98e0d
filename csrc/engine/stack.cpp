// The passes over a stack of layers.
//
// Forward, per layer and direction one parallel region for a chunk of steps, in which each thread
// runs its rows from beginning to end without meeting another. Or several layers or directions in
// one region, each on one thread. Backward, layer by layer from the last, direction by direction.
#include "engine/backward.hpp"

namespace simdrnn {

namespace {

// What stands between the layers, each (T, B, D*H): two sequences, taking turns.
template <class T>
std::vector<Sequence<T>> between_layers(const NetworkShape& shape, const Call<T>& call,
                                        Carver& memory) {
  const Index width = shape.output_size(), batch = call.steps.batch;
  T* turns[2] = {};
  for (Index layer = 0; layer + 1 < std::min<Index>(shape.layers, 3); ++layer) {
    turns[layer] = memory.take<T>(call.steps.steps * batch * width);
  }
  std::vector<Sequence<T>> sequences;
  for (Index layer = 0; layer + 1 < shape.layers; ++layer) {
    sequences.push_back({turns[layer % 2], batch * width, width});
  }
  return sequences;
}

template <class T>
void fill_zero(const Sequence<T>& s, Index steps, Index batch, Index width) {
  for (Index t = 0; t < steps; ++t) {
    for (Index b = 0; b < batch; ++b)
      std::fill_n(s.data + t * s.stride_t + b * s.stride_b, width, T(0));
  }
}

// The way back through what drops a layer's input.
template <class T, class Drop>
void drop_gradient(const Call<T>& call, const Plan& plan, const Sequence<T>& d, Drop drop) {
  const Index batch = call.steps.batch;
  team::run(plan.threads(), [&](int p) {
    const Index begin = batch * p / plan.threads(), end = batch * (p + 1) / plan.threads();
    for (Index t = 0; t < call.steps.steps; ++t) {
      for (Index b = begin; b < end; ++b) {
        T* const row = d.data + t * d.stride_t + b * d.stride_b;
        drop(t, b, row);
      }
    }
  });
}

template <class T>
class ForwardStack {
 public:
  ForwardStack(const Network<T>& network, const Call<T>& call, const TapeViews<T>& tape)
      : shape_(network.shape()), call_(call), tape_(tape), context_(network, call, true) {
    const Index count = shape_.passes();
    passes_.reserve(static_cast<std::size_t>(count));
    for (Index i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      passes_.emplace_back(network, call, context_, i / shape_.directions, i % shape_.directions,
                           tape.saved.empty() ? nullptr : tape.saved[at],
                           tape.checkpoints.empty() ? Checkpoints<T>{} : tape.checkpoints[at]);
    }
    const Schedule schedule = context_.plan.schedule;
    together_ = schedule == Schedule::kDirections ? shape_.directions
                : schedule == Schedule::kLayers   ? shape_.layers
                                                  : 1;
  }

  // For a call that runs; before it is laid out.
  void take_turn() { context_.take_turn(call_.steps.steps); }

  // Lays everything out in `memory`, which is counted if it has no base; returns its bytes.
  std::size_t lay_out(char* base) {
    Carver outer(base);
    auto hidden = tape_.hidden;
    if (static_cast<Index>(hidden.size()) < shape_.layers) {  // no tape keeps them all
      hidden = between_layers(shape_, call_, outer);
      hidden.push_back(tape_.hidden.back());
    }
    std::size_t most = 0;
    for (std::size_t first = 0; first < passes_.size(); first += step()) {
      Carver inner(base == nullptr ? nullptr : base + outer.used());
      for (std::size_t i = first; i < first + step(); ++i) {
        const std::size_t layer = i / static_cast<std::size_t>(shape_.directions);
        passes_[i].connect(layer == 0 ? call_.x : as_const(hidden[layer - 1]), hidden[layer]);
        passes_[i].lay_out(inner);
      }
      most = std::max(most, inner.used());
    }
    return outer.used() + most;
  }

  void run(const std::vector<T*>& final_states) {
    for (std::size_t first = 0; first < passes_.size(); first += step()) {
      if (context_.plan.side_by_side()) {
        run_together(first, final_states);
      } else {
        passes_[first].run(final_states);
      }
    }
  }

 private:
  [[nodiscard]] std::size_t step() const { return static_cast<std::size_t>(together_); }

  // Directions take the same chunk at the same time; a layer lags the one below by a chunk. (So of
  // the two sequences between layers that take turns, each chunk has been read before it is
  // written again.)
  void run_together(std::size_t first, const std::vector<T*>& final_states) {
    const Index chunk = context_.plan.forward_chunk;
    const Index chunks = (call_.steps.steps + chunk - 1) / chunk;
    const Index lag = context_.plan.schedule == Schedule::kLayers ? 1 : 0;
    for (Index tick = 0; tick < chunks + lag * (together_ - 1); ++tick) {
      const Index begin = lag * std::max<Index>(0, tick - chunks + 1);
      const Index end = lag == 0 ? together_ : std::min(together_, tick + 1);
      team::run(static_cast<int>(end - begin), [&](int j) {
        const Index i = begin + j;
        passes_[first + static_cast<std::size_t>(i)].run_alone((tick - lag * i) * chunk,
                                                               final_states);
      });
      if (call_.poll) call_.poll();
    }
  }

  const NetworkShape& shape_;
  const Call<T>& call_;
  const TapeViews<T>& tape_;
  CallContext<T> context_;
  std::vector<ForwardPass<T>> passes_;
  Index together_ = 1;  // passes that share the memory and run at the same time
};

}  // namespace

template <class T>
void Network<T>::forward(const Call<T>& call, const TapeViews<T>& tape,
                         const std::vector<T*>& final_states) const {
  if (walks_nothing(call)) return forward(without_steps(call), tape, final_states);
  ForwardStack<T> stack(*this, call, tape);
  stack.take_turn();
  const Workspace workspace(stack.lay_out(nullptr));
  stack.lay_out(workspace.data());
  stack.run(final_states);
}

template <class T>
std::size_t Network<T>::forward_bytes(const Call<T>& call, bool recording) const {
  TapeViews<T> tape;
  tape.hidden.resize(recording ? static_cast<std::size_t>(shape_.layers) : 1);
  return ForwardStack<T>(*this, call, tape).lay_out(nullptr);
}

template <class T>
void Network<T>::backward(const Call<T>& call, const TapeViews<const T>& tape,
                          Sequence<const T> d_output, const std::vector<const T*>& d_final_states,
                          const Gradients<T>& gradients) const {
  if (walks_nothing(call)) {
    return backward(without_steps(call), tape, d_output, d_final_states, gradients);
  }
  CallContext<T> context(*this, call, false);
  context.weights = for_backward().weights;
  context.take_turn(call.steps.steps);
  const Index steps = call.steps.steps, batch = call.steps.batch;
  const auto pass_at = [&](Index layer, Index direction) {
    const auto at = static_cast<std::size_t>(layer);
    const Sequence<const T> x = layer == 0 ? call.x : tape.hidden[at - 1];
    const auto index = static_cast<std::size_t>(layer * shape_.directions + direction);
    return BackwardPass<T>(
        *this, call, context, layer, direction, x, tape.hidden[at],
        tape.saved.empty() ? nullptr : tape.saved[index],
        tape.checkpoints.empty() ? Checkpoints<const T>{} : tape.checkpoints[index]);
  };
  const Workspace workspace(backward_bytes(call, context, tape.checkpoint_every()));
  Carver outer(workspace.data());
  const auto d_between = between_layers(shape_, call, outer);
  if (gradients.attention != nullptr) std::fill_n(gradients.attention, steps * batch, T(0));
  Sequence<const T> d_y = d_output;
  for (Index layer = shape_.layers - 1; layer >= 0; --layer) {
    const Sequence<T> d_in =
        layer == 0 ? gradients.x : d_between[static_cast<std::size_t>(layer - 1)];
    if (call.steps.any() && d_in.data != nullptr) fill_zero(d_in, steps, batch, layer_input(layer));
    for (Index direction = 0; direction < shape_.directions; ++direction) {
      auto pass = pass_at(layer, direction);
      Carver inner(workspace.data() + outer.used());
      pass.lay_out(inner);
      pass.run(d_y, d_final_states, d_in, gradients);
    }
    if (d_in.data != nullptr && drops_input(call, layer)) {
      drop_gradient(call, context.plan, d_in, [&](Index t, Index b, T* row) {
        drop_input(call, layer, t, b, row, row, layer_input(layer));
      });
    }
    d_y = as_const(d_in);
  }
}

template <class T>
std::size_t Network<T>::backward_bytes(const Call<T>& call, Index checkpoint_every) const {
  return backward_bytes(call, CallContext<T>(*this, call, false), checkpoint_every);
}

template <class T>
std::size_t Network<T>::backward_peak(const Call<T>& call, Index checkpoint_every) const {
  if (walks_nothing(call)) return backward_peak(without_steps(call), checkpoint_every);
  std::size_t most = 0;
  for (const bool may_gang : {false, true}) {
    const CallContext<T> context(*this, call, false, may_gang);
    most = std::max(most, backward_bytes(call, context, checkpoint_every) +
                              context.flags[0].size() + context.flags[1].size());
  }
  return most;
}

template <class T>
std::size_t Network<T>::backward_bytes(const Call<T>& call, const CallContext<T>& context,
                                       Index checkpoint_every) const {
  Carver memory(nullptr);
  between_layers(shape_, call, memory);
  std::size_t most = 0;
  for (Index layer = 0; layer < std::min<Index>(shape_.layers, 2); ++layer) {
    for (Index direction = 0; direction < shape_.directions; ++direction) {
      BackwardPass<T> pass(*this, call, context, layer, direction, {}, {}, nullptr,
                           {nullptr, checkpoint_every});
      Carver inner(nullptr);
      pass.lay_out(inner);
      most = std::max(most, inner.used());
    }
  }
  return memory.used() + most;
}

// Those members that are defined here; network.cpp has the others.
template class Network<float>;
template class Network<double>;

}  // namespace simdrnn
