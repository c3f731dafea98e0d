// How a stream is put together: its levels, their memory, and which threads share what.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

#include "engine/pass.hpp"
#include "engine/stream_parts.hpp"

namespace simdrnn {

namespace {

// What stands between levels stays in the second-level cache.
constexpr Index kBlockBytes = 1 << 17, kMostBlockSteps = 64;

// Rows that threads may share the units of, for each thread; see plan.cpp.
constexpr Index kFewRowsPerThread = 4;

[[noreturn]] void refuse(const std::string& sentence) { throw std::invalid_argument(sentence); }

// A layer of a network as calls prepare it.
template <class T>
class Prepared : public LayerPass<T> {
 public:
  using LayerPass<T>::LayerPass, LayerPass<T>::padded;
  [[nodiscard]] const CellKernels<T>& kernels() const { return this->kernels_; }
};

template <class T>
std::vector<StreamNode<T>> chain(std::span<const std::shared_ptr<const Network<T>>> networks) {
  std::vector<StreamNode<T>> nodes;
  for (const auto& network : networks) {
    const int below = static_cast<int>(nodes.size());
    nodes.push_back({StreamOperation::kNetwork, {below}, network, {}});
  }
  return nodes;
}

template <class T>
PlanInput plan_input(const Network<T>& network, Index batch, int threads) {
  const NetworkShape& shape = network.shape();
  return {.steps = 1000,  // many: whether a call is long enough is asked when it comes
          .batch = batch,
          .input_size = shape.input_size,
          .hidden_size = shape.hidden_size,
          .gates = input_blocks(network.info()),
          .recurrent_gates = recurrent_blocks(network.info()),
          .element_bytes = sizeof(T),
          .layers = 1,
          .directions = 1,
          .forward = true,
          .thread_limit = threads,
          .largest_gang = threads,
          .real_steps = nullptr,
          .projected_size = shape.projected_size};
}

}  // namespace

template <class T>
Stream<T>::Stream(std::span<const std::shared_ptr<const Network<T>>> networks, Index batch,
                  int threads)
    : Stream(chain(networks), batch, threads) {}

template <class T>
Stream<T>::Stream(std::vector<StreamNode<T>> nodes, Index batch, int threads)
    : nodes_(std::move(nodes)),
      batch_(batch),
      threads_(std::clamp(threads, 1, std::max(1, team::cpus()))) {
  if (nodes_.empty()) refuse("nodes: expected at least one, got none");
  if (batch < 1) refuse("batch: expected at least 1, got " + std::to_string(batch));
  std::vector<int> made{0};  // by the number that nodes know: the value
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (i == 0) {
      if (nodes_[0].operation != StreamOperation::kNetwork) {
        refuse("nodes[0]: expected a network");
      }
      if (nodes_[0].network != nullptr) add_value(nodes_[0].network->shape().input_size);
    }
    check(nodes_[i], i);
    std::vector<int> values;
    for (const int input : nodes_[i].inputs)
      values.push_back(made[static_cast<std::size_t>(input)]);
    add_node(nodes_[i], values);
    made.push_back(static_cast<int>(widths_.size()) - 1);
    if (nodes_[i].operation == StreamOperation::kNetwork) stateful_.push_back(static_cast<int>(i));
  }
  identity_.resize(static_cast<std::size_t>(batch));
  std::iota(identity_.begin(), identity_.end(), 0);
  workers_.resize(static_cast<std::size_t>(threads_));
  for (Worker& worker : workers_) prepare(worker);
  block_rows_ = block_rows();
  Carver counted(nullptr);
  lay_out(counted);
  memory_.reserve(counted.used());
  std::memset(memory_.data(), 0, memory_.bytes());  // no page is fresh when the first step comes
  Carver carved(static_cast<char*>(memory_.data()));
  lay_out(carved);
  plan_gangs();
  reset();
}

template <class T>
Stream<T>::~Stream() = default;

template <class T>
std::unique_ptr<Stream<T>> Stream<T>::clone() const {
  auto made = std::make_unique<Stream>(nodes_, batch_, threads_);
  for (std::size_t at = 0; at < levels_.size(); ++at) {
    const Level& level = levels_[at];
    if (level.h == nullptr) continue;
    for (Index row = 0; row < batch_; ++row) {
      for (Index k = 0; k < level.states(); ++k) {
        std::copy_n(level.of_row(k, row), level.size(k), made->levels_[at].of_row(k, row));
      }
    }
  }
  made->turn_ = turn_;
  made->flush_denormals_ = flush_denormals_;
  return made;
}

template <class T>
void Stream<T>::check(const StreamNode<T>& node, std::size_t at) const {
  const std::string name = "nodes[" + std::to_string(at) + "]";
  const bool one = node.operation == StreamOperation::kNetwork;
  if (node.inputs.size() != (one ? 1 : 2)) refuse(name + ": expected other inputs");
  for (const int input : node.inputs) {
    if (input < 0 || input > static_cast<int>(at))
      refuse(name + ": expected inputs made before it");
  }
  const bool needs = one || node.operation == StreamOperation::kHighway;
  if (!needs) return;
  if (node.network == nullptr) refuse(name + ": expected a network");
  const NetworkShape& shape = node.network->shape();
  if (shape.directions != 1) {
    refuse(name + ": expected a network of one direction, got " + std::to_string(shape.directions) +
           ": what comes later has not arrived yet");
  }
  if (!one && (shape.layers != 1 || shape.projected_size != 0 || node.network->info().attention)) {
    refuse(name + ": expected a gate of one layer");
  }
  if (node.initial.empty()) return;
  const auto states = static_cast<std::size_t>(node.network->info().states);
  if (node.initial.size() != states) {
    refuse(name + ": expected " + std::to_string(states) + " initial states, got " +
           std::to_string(node.initial.size()));
  }
  for (std::size_t k = 0; k < states; ++k) {
    const Index size = shape.layers * shape.state_size(k);
    if (static_cast<Index>(node.initial[k].size()) != size) {
      refuse(name + ": expected initial states of " + std::to_string(size) + " numbers, got " +
             std::to_string(node.initial[k].size()));
    }
  }
}

template <class T>
int Stream<T>::add_value(Index width) {
  widths_.push_back(width);
  return static_cast<int>(widths_.size()) - 1;
}

template <class T>
void Stream<T>::add_node(const StreamNode<T>& node, const std::vector<int>& values) {
  const auto width = [&](std::size_t i) { return widths_[static_cast<std::size_t>(values[i])]; };
  const auto fits = [&](Index expected, Index got) {
    if (expected != got) {
      refuse("nodes: expected an input of " + std::to_string(expected) + " numbers, got " +
             std::to_string(got));
    }
  };
  if (node.operation == StreamOperation::kNetwork) {
    fits(node.network->shape().input_size, width(0));
    add_network(node, values[0]);
    return;
  }
  Level level{.operation = node.operation, .from = values[0], .beside = values[1], .to = 0};
  joins_ = true;
  if (node.operation == StreamOperation::kConcat) {
    level.to = add_value(width(0) + width(1));
  } else {
    fits(width(0), width(1));
    if (node.operation == StreamOperation::kHighway) {
      fits(node.network->shape().input_size, width(0));
      fits(node.network->shape().hidden_size, width(0));
      fill(level, *node.network, 0);
    }
    level.to = add_value(width(0));
  }
  levels_.push_back(std::move(level));
}

template <class T>
void Stream<T>::add_network(const StreamNode<T>& node, int from) {
  const Network<T>& network = *node.network;
  const NetworkShape& shape = network.shape();
  first_level_.push_back(static_cast<int>(levels_.size()));
  if (from + 1 != static_cast<int>(widths_.size())) joins_ = true;  // no chain
  takes_attention_ = takes_attention_ || network.info().attention;
  for (Index layer = 0; layer < shape.layers; ++layer) {
    Level level{.operation = node.operation, .from = from, .beside = -1, .to = 0};
    fill(level, network, layer);
    for (std::size_t k = 0; k < node.initial.size(); ++k) {
      const T* const begin = node.initial[k].data() + layer * shape.state_size(k);
      level.initial.emplace_back(begin, begin + shape.state_size(k));
    }
    from = level.to = add_value(shape.output_size());
    levels_.push_back(std::move(level));
  }
}

// What calls find out about a layer.
template <class T>
void Stream<T>::fill(Level& level, const Network<T>& network, Index layer) {
  Call<T> call{};
  call.steps = {1, batch_, nullptr, nullptr, nullptr};
  call.states.resize(static_cast<std::size_t>(network.info().states));
  call.threads = 1;
  const CallContext<T> context(network, call, true, false);
  const Prepared<T> prepared(network, call, context, layer, 0, {});
  level.network = &network;
  level.kernels = &prepared.kernels();
  level.pass = prepared.pass_args(0);
  level.padded = prepared.padded();
  const NetworkShape& shape = network.shape();
  multiplications_ += static_cast<double>(network.info().gate_count * shape.hidden_size) *
                      static_cast<double>(network.layer_input(layer) + shape.h_size());
}

template <class T>
void Stream<T>::prepare(Worker& worker) {
  worker.values.resize(widths_.size());
  for (const Level& level : levels_) {
    ForwardArgs<T> args{};
    args.pass = level.pass;
    args.pass.rows = identity_.data();
    args.gang = {0, 1, nullptr, nullptr};
    args.padded = level.padded;
    worker.args.push_back(args);
  }
}

template <class T>
Index Stream<T>::scratch_bytes(const Level& level) const {
  ForwardArgs<T> args{};
  args.pass = level.pass;
  args.gang = {0, 1, nullptr, nullptr};
  args.padded = level.padded;
  Index most = 0;
  const auto ask = [&](Index rows, Index steps) {
    args.pass.count = rows;
    args.hoist_steps = level.hoisted(rows, steps);
    args.overlap = level.network->overlaps(args.pass, args.hoist_steps, 1, true);
    most = std::max(most, level.kernels->forward_scratch(args));
  };
  ask(batch_, 1);
  for (Index rows = 1; rows <= batch_ && hoisted_steps(rows, kMostBlockSteps) > 0; ++rows) {
    ask(rows, kMostBlockSteps);
  }
  return most;
}

template <class T>
void Stream<T>::lay_out(Carver& memory) {
  for (Level& level : levels_) {
    if (level.operation == StreamOperation::kNetwork) lay_out_states(level, memory);
  }
  for (Worker& worker : workers_) lay_out_worker(worker, memory);
}

template <class T>
void Stream<T>::lay_out_states(Level& level, Carver& memory) {
  level.h = memory.take<T*>(batch_);
  level.h_next = memory.take<T*>(batch_);
  T* const homes = memory.take<T>(2 * batch_ * level.padded);
  for (Index row = 0; level.h != nullptr && row < batch_; ++row) {
    level.h[row] = homes + 2 * row * level.padded;
    level.h_next[row] = level.h[row] + level.padded;
  }
  for (Index k = 1; k < level.states(); ++k) {
    level.state[k] = memory.take<T>(batch_ * level.padded);
  }
}

template <class T>
void Stream<T>::lay_out_worker(Worker& worker, Carver& memory) {
  Index scratch = 0, padded = 0, states = 0, operand = 0, gates = 0, gate = 0;
  for (const Level& level : levels_) {
    if (level.network == nullptr) continue;
    const CellInfo& info = level.network->info();
    scratch = std::max(scratch, scratch_bytes(level));
    padded = std::max(padded, level.padded);
    states = std::max<Index>(states, info.states);
    if (level.network->has_operand()) operand = std::max(operand, level.padded);
    if (info.phases == 2) {
      gates = std::max(gates, level.padded * (info.gate_count - info.second_gates));
    }
    if (level.operation == StreamOperation::kHighway) gate = std::max(gate, level.padded);
  }
  worker.scratch = memory.take<char>(scratch);
  worker.origin = memory.take<std::uint8_t>(batch_);
  worker.h = memory.take<T*>(batch_);
  worker.h_next = memory.take<T*>(batch_);
  for (Index k = 1; k < states; ++k) worker.state[k] = memory.take<T>(batch_ * padded);
  worker.operand = memory.take<T>(batch_ * operand);
  worker.gates = memory.take<T>(batch_ * gates);
  worker.gate = memory.take<T>(batch_ * gate);
  worker.gate_home = memory.take<T>(batch_ * gate);
  worker.zeros = memory.take<T>(gate);
  for (std::size_t i = 1; i + 1 < widths_.size(); ++i) {
    worker.values[i].data = memory.take<T>(block_rows_ * widths_[i]);
    worker.values[i].stride_b = widths_[i];
  }
  for (ForwardArgs<T>& args : worker.args) {
    args.scratch = worker.scratch;
    args.origin = worker.origin;
    args.operand = worker.operand;
    args.gates = worker.gates;
  }
}

template <class T>
Index Stream<T>::block_rows() const {
  const Index width = std::accumulate(widths_.begin(), widths_.end(), Index{0});
  const Index fit = kBlockBytes / (width * Index{sizeof(T)});
  return std::max(batch_, std::min(fit, kMostBlockSteps));
}

template <class T>
void Stream<T>::plan_gangs() {
  if (threads_ < 2) return;
  const auto gang = [&](Index rows) {
    int least = threads_;
    for (const Level& level : levels_) {
      if (level.operation != StreamOperation::kNetwork) continue;
      const Plan plan = make_plan(plan_input(*level.network, rows, threads_));
      least = std::min(least, level.network->may_share_rows(true) ? plan.gang : 1);
    }
    return least;
  };
  for (Index rows = 1; rows <= std::min<Index>(batch_, kFewRowsPerThread * threads_); ++rows) {
    gangs_.push_back(gang(rows));
  }
  gang_of_all_ = gang(batch_);
}

// Those members that are defined here; stream.cpp has the others.
template class Stream<float>;
template class Stream<double>;

}  // namespace simdrnn
