// The forward pass over a stack: per layer and direction one parallel region for a chunk of steps,
// in which each thread runs its rows from beginning to end without meeting another.
#include "layer/pass.hpp"

namespace simdrnn {

namespace {

template <class T>
class ForwardPass : public LayerPass<T> {
  using Base = LayerPass<T>;

 public:
  ForwardPass(const Network<T>& network, const Call<T>& call, const CallContext<T>& context,
              Index layer, Index direction, Sequence<const T> x, Sequence<T> y, T* saved)
      : Base(network, call, context, layer, direction, x), y_(this->half(y)), saved_(saved) {}

  // Lays out the threads' states and scratch.
  void lay_out(Carver& memory) {
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
      a.at_initial = memory.take<std::uint8_t>(a.run.count);
      a.scratch = memory.take<char>(this->kernels_.forward_scratch(a));
    }
    const Index width = this->network_.layer_input(this->layer_);
    dropped_ = memory.take<T>(
        this->drops_input() ? this->context_.plan.forward_chunk * this->batch() * width : 0);
  }

  void run(const std::vector<T*>& final_states) {
    const Index chunk = this->context_.plan.forward_chunk;
    for (Index begin = 0; begin < this->steps() || begin == 0; begin += chunk) {
      const Index end = std::min(begin + chunk, this->steps());
      this->run_threads(per_thread_, barrier_, [&](int p, ForwardArgs<T>& a) {
        if (begin == 0) start(p, a);
        a.begin = begin;
        a.end = end;
        if (this->drops_input()) {
          const Sequence<T> inputs = this->window(dropped_, begin, end);
          if (a.gang.part == 0) this->drop_inputs(this->group_of(p), begin, end, inputs);
          a.run.x = as_const(inputs);
        }
        if (a.gang.parts > 1) {
          // The chunk before may have been run by the first member alone.
          if (begin > 0 && p > 0) follow(per_thread_.front(), a);
          a.gang.meet(a.gang.place);
        }
        this->kernels_.forward(a);
        if (end >= this->steps() && a.gang.part == 0) finish(a, final_states);
      });
      if (this->call_.poll) this->call_.poll();
    }
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
      a.at_initial[i] = 1;
    }
  }

  static void follow(const ForwardArgs<T>& first, ForwardArgs<T>& a) {
    std::copy_n(first.h, a.run.count, a.h);
    std::copy_n(first.h_next, a.run.count, a.h_next);
    std::copy_n(first.at_initial, a.run.count, a.at_initial);
  }

  void finish(const ForwardArgs<T>& a, const std::vector<T*>& final_states) {
    const Index hidden = this->hidden();
    for (Index i = 0; i < a.run.count; ++i) {
      const Index at = a.run.rows[i] * hidden;
      const bool initial = a.at_initial[i] != 0;
      std::copy_n(initial ? a.run.initial[0] + at : a.h[i], hidden,
                  this->of_layer(final_states[0]) + at);
      for (std::size_t k = 1; k < this->states(); ++k) {
        std::copy_n(initial ? a.run.initial[k] + at : a.state[k] + i * a.padded, hidden,
                    this->of_layer(final_states[k]) + at);
      }
    }
  }

  Sequence<T> y_;
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

// Calls visit(pass) for each layer and direction in order; `memory` starts over for each.
template <class T, class Visit>
void each_pass(const Network<T>& network, const Call<T>& call, const CallContext<T>& context,
               const TapeViews<T>& tape, const std::vector<Sequence<T>>& hidden, Visit visit) {
  const NetworkShape& shape = network.shape();
  for (Index layer = 0; layer < shape.layers; ++layer) {
    const auto at = static_cast<std::size_t>(layer);
    const Sequence<const T> x = layer == 0 ? call.x : as_const(hidden[at - 1]);
    for (Index direction = 0; direction < shape.directions; ++direction) {
      const auto index = static_cast<std::size_t>(layer * shape.directions + direction);
      T* const saved = tape.saved.empty() ? nullptr : tape.saved[index];
      ForwardPass<T> pass(network, call, context, layer, direction, x, hidden[at], saved);
      visit(pass);
    }
  }
}

}  // namespace

template <class T>
void Network<T>::forward(const Call<T>& call, const TapeViews<T>& tape,
                         const std::vector<T*>& final_states) const {
  if (walks_nothing(call)) return forward(without_steps(call), tape, final_states);
  const CallContext<T> context(shape_, info_, call, true);
  const auto carve = [&](char* base, bool run) {
    Carver outer(base);
    const auto hidden = between_layers(shape_, call, tape, outer);
    std::size_t most = 0;
    each_pass(*this, call, context, tape, hidden, [&](ForwardPass<T>& pass) {
      Carver inner(base == nullptr ? nullptr : base + outer.used());
      pass.lay_out(inner);
      most = std::max(most, inner.used());
      if (run) pass.run(final_states);
    });
    return outer.used() + most;
  };
  const Workspace workspace(carve(nullptr, false));
  carve(workspace.data(), true);
}

template <class T>
std::size_t Network<T>::forward_bytes(const Call<T>& call, bool recording) const {
  const CallContext<T> context(shape_, info_, call, true);
  TapeViews<T> tape;
  tape.hidden.resize(recording ? static_cast<std::size_t>(shape_.layers) : 1);
  Carver outer(nullptr);
  const auto hidden = between_layers(shape_, call, tape, outer);
  std::size_t most = 0;
  each_pass(*this, call, context, tape, hidden, [&](ForwardPass<T>& pass) {
    Carver inner(nullptr);
    pass.lay_out(inner);
    most = std::max(most, inner.used());
  });
  return outer.used() + most;
}

template void Network<float>::forward(const Call<float>&, const TapeViews<float>&,
                                      const std::vector<float*>&) const;
template void Network<double>::forward(const Call<double>&, const TapeViews<double>&,
                                       const std::vector<double*>&) const;
template std::size_t Network<float>::forward_bytes(const Call<float>&, bool) const;
template std::size_t Network<double>::forward_bytes(const Call<double>&, bool) const;

}  // namespace simdrnn
