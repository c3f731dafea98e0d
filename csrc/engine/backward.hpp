// Back-propagation through one layer and direction, chunk by chunk from the last step to the first:
//
//   1. each thread walks its own rows back through the chunk and leaves gate gradients
//   (kernels/backward/loop.hpp)
//   2. each thread sums its own part of the weight gradients over all rows of the chunk
//   (kernels/gemm/outer.hpp)
//
// Where the tape has checkpoints, the saved values of a stretch of chunks are made again before it
// (engine/recompute.hpp).
//
// Every weight gradient is one chain over the rows in the order they were left, steps descending
// and batch ascending, whoever computes it: thread count and chunk length change no bit.
#pragma once
#include <optional>

#include "engine/recompute.hpp"
#include "engine/sums.hpp"
#include "engine/weight_gradients.hpp"

namespace simdrnn {

template <class T>
class BackwardPass : public LayerPass<T> {
  using Base = LayerPass<T>;

 public:
  BackwardPass(const Network<T>& network, const Call<T>& call, const CallContext<T>& context,
               Index layer, Index direction, Sequence<const T> x, Sequence<const T> y,
               const T* saved, Checkpoints<const T> checkpoints)
      : Base(network, call, context, layer, direction, x),
        y_(this->half(y)),
        saved_(saved),
        info_(network.info()),
        weights_(network, layer, copies_of_h()) {
    if (checkpoints.every == 0) return;
    recompute_.emplace(network, call, context, layer, direction, x, y_, checkpoints);
  }

  void lay_out(Carver& memory) {
    const Index hidden = this->hidden(), chunk = this->context_.plan.backward_chunk;
    const Index rows = chunk * this->batch();
    // Padded by two lines: rows a power of two apart would share a set of the first-level cache.
    const Index line = 64 / Index(sizeof(T));
    const Index stride = ((weights_.width() + line - 1) / line | 1) * line;
    sums_.emplace(this->products_, this->threads(), memory.take<T>(rows * stride), stride);
    seen_.x = memory.take<const T*>(rows);
    seen_.h = memory.take<const T*>(rows);
    const bool has_operand = this->network_.has_operand();
    operand_ = memory.take<T>(has_operand ? rows * hidden : 0);
    seen_.operand = memory.take<const T*>(has_operand ? rows : 0);
    const Index copies = copies_of_h();
    dropped_h_ = memory.take<T>(rows * copies * this->h_size());
    seen_.by_gate = memory.take<const T*>(copies > 1 ? rows * copies : 0);
    seen_.capacity = rows;
    position_ = memory.take<std::int32_t>(this->flags() != nullptr ? rows : 0);
    dropped_ =
        memory.take<T>(this->drops_input() ? rows * this->network_.layer_input(this->layer_) : 0);
    per_thread_.resize(static_cast<std::size_t>(this->threads()));
    for (int p = 0; p < this->threads(); ++p) lay_out_thread(p, rows, memory);
    if (recompute_) recompute_->lay_out(memory);
  }

  // From the gradients for the layer's output and the final states; d_x, for its input, may have
  // null data: not wanted.
  void run(const Sequence<const T>& d_y, const std::vector<const T*>& d_final_states,
           const Sequence<T>& d_x, const Gradients<T>& to) {
    d_y_ = this->half(d_y);
    d_x_ = d_x;
    const auto at = static_cast<std::size_t>(this->index());
    trace_ = to.trace.empty() ? nullptr : to.trace[at];
    start(d_final_states, to);
    const Index steps = this->steps(), stretch = recompute_ ? recompute_->stretch() : steps;
    for (Index end = steps; end > 0;) {
      const Index begin = (end - 1) / stretch * stretch;
      if (recompute_) recompute_->run(begin, end);
      walk_stretch(begin, end, to);
      end = begin;
    }
    if (steps == 0 && !to.add) weights_.clear(to.parameters[at]);
    finish(to);
  }

 private:
  // How many the recurrent product saw of each h where recurrent dropout is on, one or one per
  // gate.
  Index copies_of_h() const {
    const CellOptions<T>& options = this->network_.options().cell;
    if (!options.recurrent_dropout.on || !this->call_.training) return 0;
    return options.dropout_by_gate ? recurrent_gates(info_) : 1;
  }

  void walk_stretch(Index first, Index last, const Gradients<T>& to) {
    const auto& parameters = to.parameters[static_cast<std::size_t>(this->index())];
    Index chunk = this->context_.plan.backward_chunk;
    if (recompute_) {  // stretches are short: chunks of one length, none of them a small rest
      const Index chunks = (last - first + chunk - 1) / chunk;
      chunk = (last - first + chunks - 1) / chunks;
    }
    for (Index end = last; end > first; end -= chunk) {
      const Index begin = std::max(first, end - chunk);
      const StepRows numbers{begin,
                             end,
                             this->steps(),
                             this->batch(),
                             this->direction_ == 1,
                             this->flags() == nullptr ? nullptr : position_};
      const Index rows = numbers.number(this->flags());
      this->run_threads(per_thread_, barrier_,
                        [&](int p, BackwardArgs<T>& a) { walk(p, a, begin, end, to); });
      this->run_all([&](int p) {
        weights_.add(*sums_, seen_, p, rows, end == this->steps() && !to.add, parameters);
        if (to.attention == nullptr) return;
        const T* const d_attention = sums_->d_pre() + weights_.attention();
        add_over_units(numbers, d_attention, sums_->stride(), this->hidden(), p, this->threads(),
                       to.attention);
      });
      if (this->call_.poll) this->call_.poll();
    }
  }

  void lay_out_thread(int p, Index rows, Carver& memory) {
    BackwardArgs<T>& a = per_thread_[static_cast<std::size_t>(p)];
    if (p > 0 && this->is_gang()) {
      a = per_thread_.front();  // the same rows and states
    } else {
      a = {};
      a.pass = this->pass_args(p);
      a.end = this->context_.plan.backward_chunk;
      a.y = y_;
      a.saved = saved_;
      a.padded = this->padded();
      a.overlap = this->network_.overlaps(a.pass, this->context_.plan.backward_chunk,
                                          this->context_.plan.gang, false);
      const Index elements = a.pass.count * a.padded;
      for (std::size_t k = 0; k < this->states(); ++k) a.d_state[k] = memory.take<T>(elements);
      a.d_operand = memory.take<T>(this->network_.has_operand() ? elements : 0);
      a.d_pre = sums_->d_pre();
      a.d_pre_stride = sums_->stride();
      a.x_rows = seen_.x;
      a.h_rows = seen_.h;
      a.operand = operand_;
      a.dropped_h = dropped_h_;
    }
    a.gang = this->gang_of(p, barrier_);
    T room_for_d_x{};
    a.d_x.data = &room_for_d_x;  // counted whether or not it is wanted
    a.scratch = memory.take<char>(this->kernels_.backward_scratch(a));
    a.d_x.data = nullptr;
    sums_->lay_out_thread(rows, memory);
  }

  // The gradients carried into the last step are the final states'.
  void start(const std::vector<const T*>& d_final_states, const Gradients<T>& to) {
    for (std::size_t group = 0; group < this->groups(); ++group) {
      const BackwardArgs<T>& a = per_thread_[group];
      for (std::size_t k = 0; k < this->states(); ++k) {
        std::fill_n(a.d_state[k], a.pass.count * a.padded, T(0));
        const T* const d_final = this->of_layer(d_final_states[k], k);
        if (d_final == nullptr) continue;
        const Index width = this->width(k);
        for (Index i = 0; i < a.pass.count; ++i) {
          std::copy_n(d_final + a.pass.rows[i] * width, width, a.d_state[k] + i * a.padded);
        }
      }
    }
    for (std::size_t k = 0; k < this->states(); ++k) {
      const Index size = this->batch() * this->width(k);
      std::fill_n(this->of_layer(to.states[k], k), size, T(0));
      if (!to.reset_states.empty()) {
        std::fill_n(this->of_layer(to.reset_states[k], k), size, T(0));
      }
    }
    for (Index r = 0; this->network_.has_operand() && r < seen_.capacity; ++r) {
      seen_.operand[r] = operand_ + r * this->hidden();
    }
    const Index copies = copies_of_h();
    for (Index gate = 0; copies > 1 && gate < copies; ++gate) {
      for (Index r = 0; r < seen_.capacity; ++r) {
        seen_.by_gate[gate * seen_.capacity + r] =
            dropped_h_ + (r * copies + gate) * this->h_size();
      }
    }
  }

  // What is left at the first step belongs to the initial states.
  void finish(const Gradients<T>& to) {
    for (std::size_t group = 0; group < this->groups(); ++group) {
      const BackwardArgs<T>& a = per_thread_[group];
      for (std::size_t k = 0; k < this->states(); ++k) {
        T* const d_initial = this->of_layer(to.states[k], k);
        const Index width = this->width(k);
        for (Index i = 0; i < a.pass.count; ++i) {
          const T* const from = a.d_state[k] + i * a.padded;
          T* const row = d_initial + a.pass.rows[i] * width;
          for (Index u = 0; u < width; ++u) row[u] += from[u];
        }
      }
    }
  }

  void walk(int p, BackwardArgs<T>& a, Index begin, Index end, const Gradients<T>& to) {
    a.begin = begin;
    a.end = end;
    if (recompute_) recompute_->hand_over(a);
    a.d_y = d_y_;
    a.trace = trace_;
    a.position = this->flags() == nullptr ? nullptr : position_;
    for (std::size_t k = 0; k < this->states(); ++k) {
      a.d_initial[k] = this->of_layer(to.states[k], k);
      a.d_after_reset[k] =
          to.reset_states.empty() ? a.d_initial[k] : this->of_layer(to.reset_states[k], k);
    }
    a.d_x = d_x_;
    a.accumulate_d_x = this->direction_ > 0;
    if (this->drops_input()) {
      const Sequence<T> inputs = this->window(dropped_, begin, end);
      if (a.gang.part == 0) this->drop_inputs(this->group_of(p), begin, end, inputs);
      if (a.gang.parts > 1) a.gang.meet(a.gang.place);
      a.pass.x = as_const(inputs);
    }
    this->kernels_.backward(a);
  }

  Sequence<const T> y_;
  const T* saved_;
  CellInfo info_;
  WeightGradients<T> weights_;
  std::vector<BackwardArgs<T>> per_thread_;
  team::Barrier barrier_;
  std::optional<Recompute<T>> recompute_;  // where the tape has checkpoints
  std::optional<RowSums<T>> sums_;         // of gate gradients, over the rows of a chunk
  SeenRows<T> seen_;
  T* operand_ = nullptr;
  std::int32_t* position_ = nullptr;
  T* dropped_ = nullptr;  // the layer's input
  T* dropped_h_ = nullptr;
  Sequence<const T> d_y_{};  // the direction's half
  Sequence<T> d_x_{};
  T* trace_ = nullptr;
};

}  // namespace simdrnn
