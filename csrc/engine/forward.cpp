// The forward pass over a stack: per layer and direction one parallel region for a chunk of steps,
// in which each thread runs its rows from beginning to end without meeting another. Or several
// layers or directions in one region, each on one thread.
#include "engine/forward_pass.hpp"

namespace simdrnn {

namespace {

// Two sequences between layers, taking turns, when no tape keeps them all.
template <class T>
std::vector<Sequence<T>> between_layers(const NetworkShape& shape, const Call<T>& call,
                                        const TapeViews<T>& tape, Carver& memory) {
  if (static_cast<Index>(tape.hidden.size()) == shape.layers) return tape.hidden;
  const Index width = shape.output_size(), batch = call.steps.batch;
  T* turns[2] = {};
  for (Index layer = 0; layer + 1 < std::min<Index>(shape.layers, 3); ++layer) {
    turns[layer] = memory.take<T>(call.steps.steps * batch * width);
  }
  std::vector<Sequence<T>> hidden;
  for (Index layer = 0; layer + 1 < shape.layers; ++layer) {
    hidden.push_back({turns[layer % 2], batch * width, width});
  }
  hidden.push_back(tape.hidden.back());
  return hidden;
}

template <class T>
class ForwardStack {
 public:
  ForwardStack(const Network<T>& network, const Call<T>& call, const TapeViews<T>& tape)
      : shape_(network.shape()),
        call_(call),
        tape_(tape),
        context_(shape_, network.info(), call, true, network.may_share_rows(true),
                 network.drops_inputs(call)) {
    const Index count = shape_.layers * shape_.directions;
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
    const auto hidden = between_layers(shape_, call_, tape_, outer);
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

template void Network<float>::forward(const Call<float>&, const TapeViews<float>&,
                                      const std::vector<float*>&) const;
template void Network<double>::forward(const Call<double>&, const TapeViews<double>&,
                                       const std::vector<double*>&) const;
template std::size_t Network<float>::forward_bytes(const Call<float>&, bool) const;
template std::size_t Network<double>::forward_bytes(const Call<double>&, bool) const;

}  // namespace simdrnn
