// Back-propagation through one layer and direction, chunk by chunk from the last step to the first:
//
//   1. each thread walks its own rows back through the chunk and leaves gate gradients
//   (kernels/recurrent_grad)
//   2. each thread sums its own part of the weight gradients over all rows of the chunk
//   (gemm/product)
//
// Where the tape has checkpoints, the saved values of a stretch of chunks are made again before it
// (layer/recompute.hpp).
//
// Every weight gradient is one chain over the rows in the order they were left, steps descending
// and batch ascending, whoever computes it: thread count and chunk length change no bit.
#pragma once
#include <optional>

#include "layer/gradients.hpp"
#include "layer/recompute.hpp"
#include "layer/row_sums.hpp"

namespace simdrnn {

template <class T>
class BackwardPass : public LayerPass<T> {
  using Base = LayerPass<T>;

 public:
  struct Gradients {
    Sequence<const T> d_y;                 // or null data
    std::vector<const T*> d_final_states;  // entries may be null
    Sequence<T> d_x;
    std::vector<T*> d_initial_states;
    std::vector<T*> d_reset_states;  // empty: a reset leads back to the initial states
    ParameterGradients<T> parameters;
    T* trace;  // or null
  };

  BackwardPass(const Network<T>& network, const Call<T>& call, const CallContext<T>& context,
               Index layer, Index direction, Sequence<const T> x, Sequence<T> y, const T* saved,
               Checkpoints<T> checkpoints)
      : Base(network, call, context, layer, direction, x),
        y_(as_const(this->half(y))),
        saved_(saved),
        info_(network.info()) {
    if (checkpoints.every == 0) return;
    recompute_.emplace(network, call, context, layer, direction, x, y_, checkpoints);
  }

  void lay_out(Carver& memory) {
    const Index hidden = this->hidden(), chunk = this->context_.plan.backward_chunk;
    const Index rows = chunk * this->batch();
    // Padded by two lines: rows a power of two apart would share a set of the first-level cache.
    const Index line = 64 / Index(sizeof(T));
    const Index stride = ((d_projected() + projected_size() + line - 1) / line | 1) * line;
    sums_.emplace(this->products_, this->threads(), memory.take<T>(rows * stride), stride);
    x_rows_ = memory.take<const T*>(rows);
    h_rows_ = memory.take<const T*>(rows);
    const bool has_operand = this->network_.has_operand();
    operand_ = memory.take<T>(has_operand ? rows * hidden : 0);
    operand_rows_ = memory.take<const T*>(has_operand ? rows : 0);
    const Index copies = copies_of_h();
    dropped_h_ = memory.take<T>(rows * copies * this->h_size());
    gate_rows_ = memory.take<const T*>(copies > 1 ? rows * copies : 0);
    capacity_ = rows;
    position_ = memory.take<std::int32_t>(this->flags() != nullptr ? rows : 0);
    dropped_ =
        memory.take<T>(this->drops_input() ? rows * this->network_.layer_input(this->layer_) : 0);
    per_thread_.resize(static_cast<std::size_t>(this->threads()));
    for (int p = 0; p < this->threads(); ++p) lay_out_thread(p, rows, memory);
    if (recompute_) recompute_->lay_out(memory);
  }

  void run(const Gradients& g) {
    start(g);
    const Index steps = this->steps(), stretch = recompute_ ? recompute_->stretch() : steps;
    for (Index end = steps; end > 0;) {
      const Index begin = (end - 1) / stretch * stretch;
      if (recompute_) recompute_->run(begin, end);
      walk_stretch(begin, end, g);
      end = begin;
    }
    const Index inputs = this->network_.layer_input(this->layer_);
    if (steps == 0) {
      clear(g.parameters, {info_.gates * this->hidden(), inputs, this->h_size(), this->hidden()});
    }
    finish(g);
  }

 private:
  // How many the recurrent product saw of each h where recurrent dropout is on, one or one per
  // gate.
  Index copies_of_h() const {
    const CellOptions<T>& options = this->network_.options().cell;
    if (!options.recurrent_dropout.on || !this->call_.training) return 0;
    return options.dropout_by_gate ? info_.gates : 1;
  }

  static Index slots_of(const CellInfo& info) { return info.gates + info.separate; }
  [[nodiscard]] Index projected_size() const { return this->network_.shape().projected_size; }
  // Gradients of W x and R h, which with layer normalisation come first in a row of d_pre.
  [[nodiscard]] Index products() const {
    return this->network_.options().cell.norm.on ? 2 * info_.gates : 0;
  }
  // Where the gradients of what is projected begin in a row of d_pre: behind all others.
  [[nodiscard]] Index d_projected() const {
    return (products() + slots_of(info_) + this->network_.parameter_count()) * this->hidden();
  }
  void walk_stretch(Index first, Index last, const Gradients& g) {
    Index chunk = this->context_.plan.backward_chunk;
    if (recompute_) {  // stretches are short: chunks of one length, none of them a small rest
      const Index chunks = (last - first + chunk - 1) / chunk;
      chunk = (last - first + chunks - 1) / chunks;
    }
    for (Index end = last; end > first; end -= chunk) {
      const Index begin = std::max(first, end - chunk);
      const Index rows = this->flags() == nullptr
                             ? (end - begin) * this->batch()
                             : number_rows(this->flags(), this->call_.steps, this->direction_ == 1,
                                           begin, end, position_);
      this->run_threads(per_thread_, barrier_,
                        [&](int p, BackwardArgs<T>& a) { walk(p, a, begin, end, g); });
      this->run_all([&](int p) { sum_weights(p, rows, end == this->steps(), g.parameters); });
      if (this->call_.poll) this->call_.poll();
    }
  }

  void lay_out_thread(int p, Index rows, Carver& memory) {
    BackwardArgs<T>& a = per_thread_[static_cast<std::size_t>(p)];
    if (p > 0 && this->is_gang()) {
      a = per_thread_.front();  // the same rows and states
    } else {
      a = {};
      a.run = this->run_args(p);
      a.end = this->context_.plan.backward_chunk;
      a.y = y_;
      a.saved = saved_;
      a.padded = this->padded();
      const Index elements = a.run.count * a.padded;
      for (std::size_t k = 0; k < this->states(); ++k) a.d_state[k] = memory.take<T>(elements);
      a.d_operand = memory.take<T>(this->network_.has_operand() ? elements : 0);
      a.d_pre = sums_->d_pre();
      a.d_pre_stride = sums_->stride();
      a.x_rows = x_rows_;
      a.h_rows = h_rows_;
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

  // The arguments of each group of rows once.
  [[nodiscard]] std::size_t groups() const {
    return static_cast<std::size_t>(this->context_.plan.groups());
  }

  // The gradients carried into the last step are the final states'.
  void start(const Gradients& g) {
    for (std::size_t group = 0; group < groups(); ++group) {
      const BackwardArgs<T>& a = per_thread_[group];
      for (std::size_t k = 0; k < this->states(); ++k) {
        std::fill_n(a.d_state[k], a.run.count * a.padded, T(0));
        const T* const d_final = this->of_layer(g.d_final_states[k], k);
        if (d_final == nullptr) continue;
        const Index width = this->width(k);
        for (Index i = 0; i < a.run.count; ++i) {
          std::copy_n(d_final + a.run.rows[i] * width, width, a.d_state[k] + i * a.padded);
        }
      }
    }
    for (std::size_t k = 0; k < this->states(); ++k) {
      const Index size = this->batch() * this->width(k);
      std::fill_n(this->of_layer(g.d_initial_states[k], k), size, T(0));
      if (!g.d_reset_states.empty()) {
        std::fill_n(this->of_layer(g.d_reset_states[k], k), size, T(0));
      }
    }
    for (Index r = 0; this->network_.has_operand() && r < capacity_; ++r) {
      operand_rows_[r] = operand_ + r * this->hidden();
    }
    const Index copies = copies_of_h();
    for (Index gate = 0; copies > 1 && gate < copies; ++gate) {
      for (Index r = 0; r < capacity_; ++r) {
        gate_rows_[gate * capacity_ + r] = dropped_h_ + (r * copies + gate) * this->h_size();
      }
    }
  }

  // What is left at the first step belongs to the initial states.
  void finish(const Gradients& g) {
    for (std::size_t group = 0; group < groups(); ++group) {
      const BackwardArgs<T>& a = per_thread_[group];
      for (std::size_t k = 0; k < this->states(); ++k) {
        T* const d_initial = this->of_layer(g.d_initial_states[k], k);
        const Index width = this->width(k);
        for (Index i = 0; i < a.run.count; ++i) {
          const T* const from = a.d_state[k] + i * a.padded;
          T* const to = d_initial + a.run.rows[i] * width;
          for (Index u = 0; u < width; ++u) to[u] += from[u];
        }
      }
    }
  }

  void walk(int p, BackwardArgs<T>& a, Index begin, Index end, const Gradients& g) {
    a.begin = begin;
    a.end = end;
    if (recompute_) recompute_->hand_over(a);
    a.d_y = g.d_y;
    a.trace = g.trace;
    a.position = this->flags() == nullptr ? nullptr : position_;
    for (std::size_t k = 0; k < this->states(); ++k) {
      a.d_initial[k] = this->of_layer(g.d_initial_states[k], k);
      a.d_after_reset[k] =
          g.d_reset_states.empty() ? a.d_initial[k] : this->of_layer(g.d_reset_states[k], k);
    }
    a.d_x = g.d_x;
    a.accumulate_d_x = this->direction_ > 0;
    if (this->drops_input()) {
      const Sequence<T> inputs = this->window(dropped_, begin, end);
      if (a.gang.part == 0) this->drop_inputs(this->group_of(p), begin, end, inputs);
      if (a.gang.parts > 1) a.gang.meet(a.gang.place);
      a.run.x = as_const(inputs);
    }
    this->kernels_.backward(a);
  }

  // Thread p's share of every weight gradient: a slice of the rows of each.
  void sum_weights(int p, Index rows, bool overwrite, const ParameterGradients<T>& d) {
    const Index hidden = this->hidden(), input = this->network_.layer_input(this->layer_);
    const Index all = info_.gates * hidden;
    const bool two_phases = info_.phases == 2;
    const Index joint = all - (two_phases ? 1 : info_.separate) * hidden;
    const Index h_size = this->h_size(), sums = products() * hidden;
    sums_->product(p, rows, overwrite, 0, all, x_rows_, input, d.weight_ih);
    if (copies_of_h() > 1) {
      sum_gates(p, rows, overwrite, d.weight_hh);
    } else if (sums > 0) {
      sums_->product(p, rows, overwrite, all, all, h_rows_, h_size, d.weight_hh);
    } else {
      sums_->product(p, rows, overwrite, 0, joint, h_rows_, h_size, d.weight_hh);
    }
    sums_->product(p, rows, overwrite, d_projected(), projected_size(), operand_rows_, hidden,
                   d.weight_hr);
    // Behind the joint gates: the gate of the second phase, or the separate recurrent parts.
    const Index rest = two_phases ? joint : all;
    if (two_phases || (copies_of_h() <= 1 && sums == 0)) {
      sums_->product(p, rows, overwrite, rest, all - joint, two_phases ? operand_rows_ : h_rows_,
                     h_size, d.weight_hh + joint * h_size);
    }
    for (std::size_t k = 0; k < d.parameters.size(); ++k) {
      const Index slot = slots_of(info_) + static_cast<Index>(k);
      sums_->total(p, rows, overwrite, sums + slot * hidden, hidden, d.parameters[k]);
    }
    if (d.bias_ih == nullptr) return;
    sums_->total(p, rows, overwrite, sums, all, d.bias_ih);
    sums_->total(p, rows, overwrite, sums, joint, d.bias_hh);
    sums_->total(p, rows, overwrite, sums + rest, all - joint, d.bias_hh + joint);
  }

  // Thread p's share of the recurrent weights' gradients where each gate saw an h of its own.
  void sum_gates(int p, Index rows, bool overwrite, T* out) {
    const Index hidden = this->hidden(), gates = info_.gates;
    const Index joint = gates - (info_.phases == 2 ? 1 : info_.separate);
    for (Index g = 0; g < (info_.phases == 2 ? joint : gates); ++g) {
      // Separate parts follow the gates; of layer normalisation all recurrent ones do.
      const Index column = products() > 0 ? gates + g : g < joint ? g : gates + g - joint;
      sums_->product(p, rows, overwrite, column * hidden, hidden, gate_rows_ + g * capacity_,
                     this->h_size(), out + g * hidden * this->h_size());
    }
  }

  Sequence<const T> y_;
  const T* saved_;
  CellInfo info_;
  std::vector<BackwardArgs<T>> per_thread_;
  team::Barrier barrier_;
  std::optional<Recompute<T>> recompute_;  // where the tape has checkpoints
  std::optional<RowSums<T>> sums_;         // of gate gradients, over the rows of a chunk
  const T** x_rows_ = nullptr;
  const T** h_rows_ = nullptr;
  T* operand_ = nullptr;
  const T** operand_rows_ = nullptr;
  std::int32_t* position_ = nullptr;
  T* dropped_ = nullptr;  // the layer's input
  T* dropped_h_ = nullptr;
  const T** gate_rows_ = nullptr;  // of each gate: where its rows of dropped_h_ are
  Index capacity_ = 0;             // rows of a chunk
};

}  // namespace simdrnn
