// One layer and direction of one call: what forward and backward share.
#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include "engine/flush_denormals.hpp"
#include "engine/network.hpp"
#include "engine/threads/team.hpp"

namespace simdrnn {

// Facts of a call that all its passes use: the plan, and the flags of both directions.
template <class T>
struct CallContext {
  Plan plan;
  std::span<const PackedWeights<T>> weights;  // by layer * D + direction; for backward it says so
  Index turn = 0;                             // see PassArgs
  std::vector<std::uint8_t> flags[2];         // by direction; empty where every step is real

  CallContext(const Network<T>& network, const Call<T>& call, bool forward, bool may_gang = true)
      : weights(network.forward_.weights) {
    const NetworkShape& shape = network.shape();
    const CellInfo& info = network.info();
    std::vector<Index> counts;
    if (call.steps.any()) {
      counts = real_steps(call.steps);
      flags[0] = make_flags(call.steps, false);
      if (shape.directions == 2) flags[1] = make_flags(call.steps, true);
    }
    PlanInput input{.steps = call.steps.steps,
                    .batch = call.steps.batch,
                    .input_size = shape.input_size,
                    .hidden_size = shape.hidden_size,
                    .gates = input_blocks(info),
                    .recurrent_gates = recurrent_blocks(info),
                    .element_bytes = sizeof(T),
                    .layers = shape.layers,
                    .directions = shape.directions,
                    .forward = forward,
                    .thread_limit = call.threads,
                    .largest_gang = 1,
                    .real_steps = counts.empty() ? nullptr : &counts,
                    .projected_size = shape.projected_size};
    // Asking for CPUs is a system call: not before it matters.
    const bool several = worth_sharing(input);
    if (input.thread_limit == 0) input.thread_limit = several ? team::limit() : 1;
    // A gang whose threads take turns on a CPU would wait at every step.
    const bool sharing = may_gang && network.may_share_rows(forward);
    if (sharing && several && input.thread_limit > 1 && !team::gangs_stall()) {
      input.largest_gang = team::cpus();
    }
    plan = make_plan(input);
    // Dropped inputs exist for one chunk at a time.
    if (network.drops_inputs(call))
      plan.forward_chunk = std::min(plan.forward_chunk, plan.backward_chunk);
  }

  // For a call that runs: who only asks for a plan or a size leaves the thread's turn as it is.
  void take_turn(Index steps) {
    std::ptrdiff_t* const before = steps_of_this_thread();
    if (before == nullptr) return;
    turn = *before;
    *before = (*before + steps) % 2;
  }
};

template <class T>
class LayerPass {
 public:
  LayerPass(const Network<T>& network, const Call<T>& call, const CallContext<T>& context,
            Index layer, Index direction, Sequence<const T> x)
      : network_(network),
        call_(call),
        context_(context),
        layer_(layer),
        direction_(direction),
        x_(x),
        kernels_(network.kernels()),
        products_(network.products()) {}

  // The layer's packed weights, limits and flags, for the rows of thread p.
  PassArgs<T> pass_args(int p) const {
    const auto& shape = network_.shape_;
    PassArgs<T> pass{};
    pass.steps = call_.steps.steps;
    pass.batch = call_.steps.batch;
    pass.input_size = network_.layer_input(layer_);
    pass.hidden_size = shape.hidden_size;
    pass.h_size = h_size();
    pass.turn = context_.turn;
    pass.reverse = direction_ == 1;
    pass.hold = call_.hold;
    pass.flags = flags();
    pass.rows = context_.plan.order.data() + first_row(group_of(p));
    pass.count = first_row(group_of(p) + 1) - first_row(group_of(p));
    pass.x = x_;
    pass.attention = call_.attention;
    pass.heads = network_.heads();
    for (std::size_t k = 0; k < states(); ++k) {
      pass.initial[k] = of_layer(call_.states[k], k);
      pass.after_reset[k] =
          call_.reset_states.empty() ? pass.initial[k] : of_layer(call_.reset_states[k], k);
    }
    pass.weights = context_.weights[static_cast<std::size_t>(index())];
    pass.options = network_.options_.cell;
    if (network_.projects()) {  // zoneout of h acts behind it
      pass.projection = {shape.projected_size, pass.options.zoneout[0]};
      pass.options.zoneout[0] = {};
    }
    pass.optioned = network_.acts(call_);
    pass.draw = {call_.key, static_cast<std::uint32_t>(index()), call_.training};
    pass.layout = network_.layout();
    return pass;
  }

 protected:
  [[nodiscard]] Index index() const { return layer_ * network_.shape_.directions + direction_; }
  [[nodiscard]] Index hidden() const { return network_.shape_.hidden_size; }
  [[nodiscard]] Index batch() const { return call_.steps.batch; }
  [[nodiscard]] Index steps() const { return call_.steps.steps; }
  [[nodiscard]] Index h_size() const { return network_.shape_.h_size(); }
  [[nodiscard]] Index width(std::size_t state) const { return network_.shape_.state_size(state); }
  // This layer and direction's (B, H) part of a state's (L*D, B, H) array; null stays null.
  template <class E>
  [[nodiscard]] E* of_layer(E* all, std::size_t state) const {
    return all == nullptr ? nullptr : all + index() * batch() * width(state);
  }
  [[nodiscard]] std::size_t states() const {
    return static_cast<std::size_t>(network_.info_.states);
  }
  [[nodiscard]] int threads() const { return context_.plan.threads(); }
  [[nodiscard]] bool is_gang() const { return context_.plan.gang > 1; }
  [[nodiscard]] int group_of(int p) const { return is_gang() ? 0 : p; }
  [[nodiscard]] Index first_row(int group) const {
    return context_.plan.first_row[static_cast<std::size_t>(group)];
  }
  [[nodiscard]] std::size_t groups() const {
    return static_cast<std::size_t>(this->context_.plan.groups());
  }
  // Thread p's place in the gang that meets at `barrier`, or on its own.
  [[nodiscard]] Gang gang_of(int p, team::Barrier& barrier) const {
    if (!is_gang()) return {0, 1, nullptr, nullptr};
    return {p, context_.plan.gang, &team::Barrier::meet, &barrier};
  }
  // Calls body(p) for each thread.
  template <class Body>
  void run_all(Body body) const {
    team::run(threads(), [&](int p) {
      const FlushDenormals scope(call_.flush_denormals);
      body(p);
    });
  }
  // Calls body(p, args) for each thread's arguments; a gang that cannot be gathered is run by its
  // first member.
  template <class Args, class Body>
  void run_threads(std::vector<Args>& args, team::Barrier& barrier, Body body) const {
    if (!is_gang()) {
      run_all([&](int p) { body(p, args[static_cast<std::size_t>(p)]); });
      return;
    }
    barrier.expect(threads());
    const auto member = [&](int p) {
      const FlushDenormals scope(call_.flush_denormals);
      body(p, args[static_cast<std::size_t>(p)]);
    };
    if (team::run_together(threads(), member)) return;
    const Gang gang = args.front().gang;
    args.front().gang = {0, 1, nullptr, nullptr};
    member(0);
    args.front().gang = gang;
  }
  [[nodiscard]] const std::uint8_t* flags() const {
    const auto& flags = context_.flags[direction_];
    return flags.empty() ? nullptr : flags.data();
  }
  // H, which h has at most, rounded up so that full vectors fit, plus a line: a power-of-two stride
  // would put all rows of a tile into the same set of the first-level cache.
  [[nodiscard]] Index padded() const {
    const Index lanes = products_.lanes;
    return (hidden() + lanes - 1) / lanes * lanes + 64 / Index(sizeof(T));
  }
  // Values of one row in a checkpoint: its states other than h.
  [[nodiscard]] Index checkpoint_width() const { return (network_.info_.states - 1) * hidden(); }
  // The checkpoint before a step; null where there is nothing in it.
  template <class E>
  [[nodiscard]] E* checkpoint(const Checkpoints<E>& all, Index step) const {
    if (all.data == nullptr) return nullptr;
    return all.data + (step / all.every - 1) * batch() * checkpoint_width();
  }
  // The direction's half of a layer's (T, B, D*H) sequence.
  template <class E>
  [[nodiscard]] Sequence<E> half(Sequence<E> whole) const {
    if (whole.data != nullptr) whole.data += direction_ * h_size();
    return whole;
  }
  [[nodiscard]] bool drops_input() const { return network_.drops_input(call_, layer_); }

  // A (chunk, B, width) buffer seen as the (T, B, width) sequence of which it holds the steps
  // [begin, end) in processing order.
  [[nodiscard]] Sequence<T> window(T* buffer, Index begin, Index end) const {
    const Index width = network_.layer_input(layer_);
    const Index first = direction_ == 1 ? steps() - end : begin;
    return {buffer - first * batch() * width, batch() * width, width};
  }

  // Writes the dropped inputs of a group's rows for the steps [begin, end).
  void drop_inputs(int group, Index begin, Index end, Sequence<T> to) const {
    const Index width = network_.layer_input(layer_);
    for (Index step = begin; step < end; ++step) {
      const Index t = direction_ == 1 ? steps() - 1 - step : step;
      for (Index r = first_row(group); r < first_row(group + 1); ++r) {
        const Index b = context_.plan.order[static_cast<std::size_t>(r)];
        network_.drop_input(call_, layer_, t, b, x_.data + t * x_.stride_t + b * x_.stride_b,
                            to.data + t * to.stride_t + b * to.stride_b, width);
      }
    }
  }

  const Network<T>& network_;
  const Call<T>& call_;
  const CallContext<T>& context_;
  Index layer_, direction_;
  Sequence<const T> x_;
  const CellKernels<T>& kernels_;
  const ProductKernels<T>& products_;
};

}  // namespace simdrnn
