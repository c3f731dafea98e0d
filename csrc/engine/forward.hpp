// One layer and direction forward: the time loops of all its threads, a chunk of steps at a time.
// Backward runs it too, for the steps whose saved values were not kept (engine/recompute.hpp).
#pragma once
#include "engine/pass.hpp"

namespace simdrnn {

template <class T>
class ForwardPass : public LayerPass<T> {
  using Base = LayerPass<T>;

 public:
  ForwardPass(const Network<T>& network, const Call<T>& call, const CallContext<T>& context,
              Index layer, Index direction, T* saved, Checkpoints<T> checkpoints)
      : Base(network, call, context, layer, direction, {}),
        saved_(saved),
        checkpoints_(checkpoints) {}

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
      a.h = memory.take<T*>(a.pass.count);
      a.h_next = memory.take<T*>(a.pass.count);
      a.origin = memory.take<std::uint8_t>(a.pass.count);
      a.scratch = memory.take<char>(this->kernels_.forward_scratch(a));
    }
    const Index width = this->network_.layer_input(this->layer_);
    dropped_ = memory.take<T>(
        this->drops_input() ? this->context_.plan.forward_chunk * this->batch() * width : 0);
  }

  void run(const std::vector<T*>& final_states) {
    const Index chunk = this->context_.plan.forward_chunk;
    for (Index begin = 0; begin < this->steps() || begin == 0; begin += chunk) {
      this->run_threads(per_thread_, barrier_,
                        [&](int p, ForwardArgs<T>& a) { run_chunk(p, a, begin, final_states); });
      if (this->call_.poll) this->call_.poll();
    }
  }

  // The chunk that begins at a step, on the calling thread alone.
  void run_alone(Index begin, const std::vector<T*>& final_states) {
    const FlushDenormals scope(this->call_.flush_denormals);
    run_chunk(0, per_thread_.front(), begin, final_states);
  }

 protected:
  // Every row begins with its initial states.
  void start(int p, ForwardArgs<T>& a) {
    T* const home = homes_[static_cast<std::size_t>(this->group_of(p))];
    for (Index i = 0; i < a.pass.count; ++i) {
      a.h[i] = home + 2 * i * a.padded;
      a.h_next[i] = a.h[i] + a.padded;
      a.origin[i] = kInitial;
    }
  }

  // Goes on after a chunk that the first member of a gang may have run alone.
  void follow(int p, ForwardArgs<T>& a) {
    if (p == 0 || a.gang.parts == 1) return;
    const ForwardArgs<T>& first = per_thread_.front();
    std::copy_n(first.h, a.pass.count, a.h);
    std::copy_n(first.h_next, a.pass.count, a.h_next);
    std::copy_n(first.origin, a.pass.count, a.origin);
  }

  static void meet(const ForwardArgs<T>& a) {
    if (a.gang.parts > 1) a.gang.meet(a.gang.place);
  }

  // The steps [begin, end), at most a chunk, from the states that the steps before left.
  void advance(int p, ForwardArgs<T>& a, Index begin, Index end) {
    if (this->drops_input()) {
      const Sequence<T> inputs = this->window(dropped_, begin, end);
      if (a.gang.part == 0) this->drop_inputs(this->group_of(p), begin, end, inputs);
      meet(a);
      a.pass.x = as_const(inputs);
    }
    a.begin = begin;
    a.end = end;
    if (checkpoints_.data == nullptr) {
      this->kernels_.forward(a);
      return;
    }
    const Index every = checkpoints_.every;
    for (; a.begin < end; a.begin = a.end) {
      a.end = std::min((a.begin / every + 1) * every, end);
      this->kernels_.forward(a);
      if (a.end % every == 0 && a.end < this->steps()) keep(a);
    }
  }

  Sequence<T> y_{};
  T* saved_;
  std::vector<ForwardArgs<T>> per_thread_;
  team::Barrier barrier_;

 private:
  void lay_out_rows(int p, ForwardArgs<T>& a, Carver& memory) {
    a = {};
    a.pass = this->pass_args(p);
    a.y = y_;
    a.saved = saved_;
    a.end = this->context_.plan.forward_chunk;
    // Layer normalisation needs W x apart from R h: made for one step at a time at least.
    a.hoist_steps =
        std::max<Index>(this->context_.plan.hoist_steps, a.pass.options.norm.on ? 1 : 0);
    a.overlap = this->network_.overlaps(a.pass, a.hoist_steps, this->context_.plan.gang, true);
    a.padded = this->padded();
    const CellInfo& info = this->network_.info();
    const Index elements = a.pass.count * a.padded;
    homes_.push_back(memory.take<T>(2 * elements));
    for (std::size_t k = 1; k < this->states(); ++k) a.state[k] = memory.take<T>(elements);
    a.operand = memory.take<T>(this->network_.has_operand() ? elements : 0);
    a.gates =
        memory.take<T>(info.phases == 2 ? elements * (info.gate_count - info.second_gates) : 0);
  }

  void run_chunk(int p, ForwardArgs<T>& a, Index begin, const std::vector<T*>& final_states) {
    if (begin == 0) {
      start(p, a);
    } else {
      follow(p, a);
    }
    meet(a);
    const Index end = std::min(begin + this->context_.plan.forward_chunk, this->steps());
    advance(p, a, begin, end);
    if (end >= this->steps() && a.gang.part == 0) finish(a, final_states);
  }

  // State k of the i-th row.
  const T* state_of(const ForwardArgs<T>& a, Index i, std::size_t k) const {
    const Index at = a.pass.rows[i] * this->width(k);
    if (a.origin[i] == kInitial) return a.pass.initial[k] + at;
    if (a.origin[i] == kAfterReset) return a.pass.after_reset[k] + at;
    return k == 0 ? a.h[i] : a.state[k] + i * a.padded;
  }

  // The checkpoint behind the steps so far.
  void keep(const ForwardArgs<T>& a) {
    const Index hidden = this->hidden();
    if (a.gang.part == 0) {
      for (Index i = 0; i < a.pass.count; ++i) {
        T* to = this->checkpoint(checkpoints_, a.end) + a.pass.rows[i] * this->checkpoint_width();
        for (std::size_t k = 1; k < this->states(); ++k, to += hidden) {
          std::copy_n(state_of(a, i, k), hidden, to);
        }
      }
    }
    meet(a);  // before the others overwrite it
  }

  void finish(const ForwardArgs<T>& a, const std::vector<T*>& final_states) {
    for (Index i = 0; i < a.pass.count; ++i) {
      for (std::size_t k = 0; k < this->states(); ++k) {
        const Index width = this->width(k);
        std::copy_n(state_of(a, i, k), width,
                    this->of_layer(final_states[k], k) + a.pass.rows[i] * width);
      }
    }
  }

  Checkpoints<T> checkpoints_;
  std::vector<T*> homes_;  // by group: where its rows' hidden states live, two each
  T* dropped_ = nullptr;
};

}  // namespace simdrnn
