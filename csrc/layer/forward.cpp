// The forward pass over a stack: per layer and direction one parallel region for a chunk of steps,
// in which each thread runs its rows from beginning to end without meeting another. Or several
// layers or directions in one region, each on one thread.
#include "layer/pass.hpp"

namespace simdrnn {

namespace {

template <class T>
class ForwardPass : public LayerPass<T> {
  using Base = LayerPass<T>;

 public:
  ForwardPass(const Network<T>& network, const Call<T>& call, const CallContext<T>& context,
              Index layer, Index direction, T* saved)
      : Base(network, call, context, layer, direction, {}), saved_(saved) {}

  // What it reads and writes; not needed to count memory.
  void connect(Sequence<const T> x, Sequence<T> y) {
    this->x_ = x;
    y_ = this->half(y);
  }

  // Lays out the threads' states and scratch.
  void lay_out(Carver& memory) {
    homes_.clear();
    per_thread_.resize(static_cast<std::size_t>(this->threads()));
    for (int p = 0; p < this->threads(); ++p) {
      ForwardArgs<T>& a = per_thread_[static_cast<std::size_t>(p)];
      if (p > 0 && this->is_gang()) {
        a = per_thread_.front();  // the same rows and states
      } else {
        lay_out_rows(p, a, memory);
      }
      a.gang = this->gang_of(p, barrier_);
      a.h = memory.take<T*>(a.run.count);
      a.h_next = memory.take<T*>(a.run.count);
      a.origin = memory.take<std::uint8_t>(a.run.count);
      a.scratch = memory.take<char>(this->kernels_.forward_scratch(a));
    }
    const Index width = this->network_.layer_input(this->layer_);
    dropped_ = memory.take<T>(
        this->drops_input() ? this->context_.plan.forward_chunk * this->batch() * width : 0);
  }

  void run(const std::vector<T*>& final_states) {
    const Index chunk = this->context_.plan.forward_chunk;
    for (Index begin = 0; begin < this->steps() || begin == 0; begin += chunk) {
      this->run_threads(per_thread_, barrier_, [&](int p, ForwardArgs<T>& a) {
        if (a.gang.parts > 1) prepare_gang(p, a, begin);
        run_chunk(p, a, begin, final_states);
      });
      if (this->call_.poll) this->call_.poll();
    }
  }

  // The chunk that begins at a step, on the calling thread alone.
  void run_alone(Index begin, const std::vector<T*>& final_states) {
    const FlushDenormals scope(this->call_.flush_denormals);
    run_chunk(0, per_thread_.front(), begin, final_states);
  }

 private:
  void lay_out_rows(int p, ForwardArgs<T>& a, Carver& memory) {
    a = {};
    a.run = this->run_args(p);
    a.y = y_;
    a.saved = saved_;
    a.end = this->context_.plan.forward_chunk;
    a.hoist_steps = this->context_.plan.hoist_steps;
    a.padded = this->padded();
    const CellInfo& info = this->network_.info();
    const Index elements = a.run.count * a.padded;
    homes_.push_back(memory.take<T>(2 * elements));
    for (std::size_t k = 1; k < this->states(); ++k) a.state[k] = memory.take<T>(elements);
    a.operand = memory.take<T>(info.phases == 2 ? elements : 0);
    a.gates = memory.take<T>(info.phases == 2 ? elements * (info.gates - 1) : 0);
  }

  void start(int p, ForwardArgs<T>& a) {
    T* const home = homes_[static_cast<std::size_t>(this->group_of(p))];
    for (Index i = 0; i < a.run.count; ++i) {
      a.h[i] = home + 2 * i * a.padded;
      a.h_next[i] = a.h[i] + a.padded;
      a.origin[i] = kInitial;
    }
  }

  // What members of a gang need of each other before they begin.
  void prepare_gang(int p, ForwardArgs<T>& a, Index begin) {
    if (begin == 0) start(p, a);
    if (begin > 0 && p > 0) {  // the chunk before may have been run by the first member alone
      const ForwardArgs<T>& first = per_thread_.front();
      std::copy_n(first.h, a.run.count, a.h);
      std::copy_n(first.h_next, a.run.count, a.h_next);
      std::copy_n(first.origin, a.run.count, a.origin);
    }
    a.gang.meet(a.gang.place);
  }

  void run_chunk(int p, ForwardArgs<T>& a, Index begin, const std::vector<T*>& final_states) {
    a.begin = begin;
    a.end = std::min(begin + this->context_.plan.forward_chunk, this->steps());
    if (begin == 0 && a.gang.parts == 1) start(p, a);
    if (this->drops_input()) {
      const Sequence<T> inputs = this->window(dropped_, begin, a.end);
      if (a.gang.part == 0) this->drop_inputs(this->group_of(p), begin, a.end, inputs);
      if (a.gang.parts > 1) a.gang.meet(a.gang.place);
      a.run.x = as_const(inputs);
    }
    this->kernels_.forward(a);
    if (a.end >= this->steps() && a.gang.part == 0) finish(a, final_states);
  }

  void finish(const ForwardArgs<T>& a, const std::vector<T*>& final_states) {
    const Index hidden = this->hidden();
    for (Index i = 0; i < a.run.count; ++i) {
      const Index at = a.run.rows[i] * hidden;
      const bool carried = a.origin[i] == kCarried;
      const T* const* const given = a.origin[i] == kAfterReset ? a.run.after_reset : a.run.initial;
      for (std::size_t k = 0; k < this->states(); ++k) {
        const T* const own = k == 0 ? a.h[i] : a.state[k] + i * a.padded;
        std::copy_n(carried ? own : given[k] + at, hidden, this->of_layer(final_states[k]) + at);
      }
    }
  }

  Sequence<T> y_{};
  T* saved_;
  std::vector<ForwardArgs<T>> per_thread_;
  std::vector<T*> homes_;  // by group: where its rows' hidden states live, two each
  team::Barrier barrier_;
  T* dropped_ = nullptr;
};

// Two sequences between layers, taking turns, when no tape keeps them all.
template <class T>
std::vector<Sequence<T>> between_layers(const NetworkShape& shape, const Call<T>& call,
                                        const TapeViews<T>& tape, Carver& memory) {
  if (static_cast<Index>(tape.hidden.size()) == shape.layers) return tape.hidden;
  const Index width = shape.directions * shape.hidden_size, batch = call.steps.batch;
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
        context_(shape_, network.info(), call, true, true, network.drops_inputs(call)) {
    const Index count = shape_.layers * shape_.directions;
    passes_.reserve(static_cast<std::size_t>(count));
    for (Index i = 0; i < count; ++i) {
      T* const saved = tape.saved.empty() ? nullptr : tape.saved[static_cast<std::size_t>(i)];
      passes_.emplace_back(network, call, context_, i / shape_.directions, i % shape_.directions,
                           saved);
    }
    const Schedule schedule = context_.plan.schedule;
    together_ = schedule == Schedule::kDirections ? shape_.directions
                : schedule == Schedule::kLayers   ? shape_.layers
                                                  : 1;
  }

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
