// The saved values of a tape with checkpoints, made again for backward: for a stretch of steps at a
// time, by the forward kernels, from the states before it. h is in the output, which every tape
// keeps; the other states are in the checkpoint there.
//
// The same kernel runs on the same numbers as in the recorded pass, so every bit is the same.
#pragma once
#include "engine/forward.hpp"

namespace simdrnn {

template <class T>
class Recompute : public ForwardPass<T> {
  using Base = ForwardPass<T>;

 public:
  // y: the direction's half of the output.
  Recompute(const Network<T>& network, const Call<T>& call, const CallContext<T>& context,
            Index layer, Index direction, Sequence<const T> x, Sequence<const T> y,
            Checkpoints<const T> checkpoints)
      : Base(network, call, context, layer, direction, nullptr, {}),
        written_(y),
        from_(checkpoints),
        values_(this->batch() * network.saved_width() * this->hidden()) {
    this->x_ = x;
  }

  // Steps made again at once: from one checkpoint to the next, or over so many that backward has a
  // chunk to walk.
  [[nodiscard]] Index stretch() const {
    const Index chunk = this->context_.plan.backward_chunk;
    return std::min(std::max<Index>(1, this->steps()),
                    (chunk + from_.every - 1) / from_.every * from_.every);
  }

  void lay_out(Carver& memory) {
    buffer_ = memory.take<T>(stretch() * values_);
    // All outputs go to one row each: they are in written_, where others may be reading them.
    this->y_ = {memory.take<T>(this->batch() * this->h_size()), 0, this->h_size()};
    Base::lay_out(memory);
  }

  void run(Index begin, Index end) {
    for (ForwardArgs<T>& a : this->per_thread_)
      a.saved = buffer_ - first_time(begin, end) * values_;
    const Index chunk = this->context_.plan.forward_chunk;
    for (Index at = begin; at < end; at += chunk) {
      this->run_threads(this->per_thread_, this->barrier_, [&](int p, ForwardArgs<T>& a) {
        if (at == begin) {
          resume(p, a, begin, end);
        } else {
          this->follow(p, a);
        }
        this->meet(a);
        this->advance(p, a, at, std::min(at + chunk, end));
      });
      if (this->call_.poll) this->call_.poll();
    }
    begin_ = begin;
  }

  // What `run` has made, for the walk back.
  void hand_over(BackwardArgs<T>& a) const {
    a.saved = this->per_thread_.front().saved;
    a.saved_begin = begin_;
    a.checkpoint = begin_ == 0 ? nullptr : this->checkpoint(from_, begin_);
  }

 private:
  [[nodiscard]] Index first_time(Index begin, Index end) const {
    return this->direction_ == 1 ? this->steps() - end : begin;
  }

  [[nodiscard]] unsigned flags_of(Index step, Index b) const {
    const std::uint8_t* const flags = this->flags();
    return flags[first_time(step, step + 1) * this->batch() + b];
  }

  // The real step before `begin` whose states row b's first real step in [begin, end) continues
  // from; kNoStep or kReset if that begins with the initial states, or with those of a reset. (Or
  // if there is none: only rows that need it look back, so that every gap is gone through twice at
  // most.) kernels/backward/before.hpp looks back alike, on its side: no function crosses the seam.
  [[nodiscard]] Index step_before(Index begin, Index end, Index b) const {
    if (this->flags() == nullptr) return begin - 1;
    Index step = begin;
    while (step < end && flags_of(step, b) == 0) ++step;
    if (step == end || (flags_of(step, b) & kStepFresh) != 0) return kNoStep;
    for (step = begin - 1; step >= 0; --step) {
      const unsigned flags = flags_of(step, b);
      if ((flags & kStepReal) != 0) return step;
      if ((flags & kStepFresh) != 0) return kReset;
    }
    return kNoStep;
  }

  // The states of thread p's rows before the stretch.
  void resume(int p, ForwardArgs<T>& a, Index begin, Index end) {
    this->start(p, a);
    const Index hidden = this->hidden();
    for (Index i = 0; i < a.pass.count; ++i) {
      const Index b = a.pass.rows[i], before = step_before(begin, end, b);
      if (before == kReset) a.origin[i] = kAfterReset;
      if (before < 0) continue;
      a.origin[i] = kCarried;
      if (a.gang.part != 0) continue;
      const Index t = first_time(before, before + 1);
      const T* const h = written_.data + t * written_.stride_t + b * written_.stride_b;
      std::copy_n(h, this->h_size(), a.h[i]);
      const T* from = this->checkpoint(from_, begin) + b * this->checkpoint_width();
      for (std::size_t k = 1; k < this->states(); ++k, from += hidden) {
        std::copy_n(from, hidden, a.state[k] + i * a.padded);
      }
    }
  }

  Sequence<const T> written_;
  Checkpoints<const T> from_;
  Index values_;  // saved in one step
  T* buffer_ = nullptr;
  Index begin_ = 0;
};

}  // namespace simdrnn
