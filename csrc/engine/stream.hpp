// A recurrent network that is fed as its input arrives: the rows' states live on from call to call.
//
// What a call of a network finds out each time (plan, layout of memory, arguments of the kernels) a
// stream has from its beginning: a step fills in where x is and where the output goes, and calls
// the kernels. So no function that is noexcept here asks for memory, takes a lock or throws, and
// all of them may be called from a thread with a deadline. (With `threads` above 1 a long call
// wakes others, and waits for them.)
//
// Weights are those of the networks it was made of, which it keeps alive and any number of streams
// share. Bits are those of one call over the whole sequence: however it is cut into calls,
// whichever rows are beside, on any number of threads.
//
// One thread at a time: whoever cannot know that nobody else is in asks `enter` first. Everything
// else that is const may be called by any thread while nobody steps.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/memory.hpp"
#include "engine/network.hpp"
#include "engine/threads/team.hpp"

namespace simdrnn {

// What a node of a stream makes of its inputs, of one row and step.
enum class StreamOperation {
  kNetwork,  // the network's output
  kAdd,      // their sum
  kHighway,  // of (given, made): g * made + (1 - g) * given, where g is the network's first output
             // from zero states on `given`
  kConcat,   // one behind the other
};

// Inputs are values: 0 is x, i + 1 what node i makes. The output is that of the last node.
template <class T>
struct StreamNode {
  StreamOperation operation = StreamOperation::kNetwork;
  std::vector<int> inputs;
  std::shared_ptr<const Network<T>> network;  // with weights, of one direction
  // What rows of the network begin with and are reset to: S states (L, size), each the same for
  // all rows. Empty: zeros.
  std::vector<std::vector<T>> initial;
};

template <class T>
class Stream {
 public:
  // Rows begin with the initial states. Throws std::invalid_argument with a sentence, or
  // std::bad_alloc. `threads`: how many a call may use.
  Stream(std::vector<StreamNode<T>> nodes, Index batch, int threads = 1);
  // One network on top of the other, from zeros.
  Stream(std::span<const std::shared_ptr<const Network<T>>> networks, Index batch, int threads = 1);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();

  // Another with the same networks, and the states of now. May throw std::bad_alloc.
  [[nodiscard]] std::unique_ptr<Stream> clone() const;

  [[nodiscard]] Index batch() const noexcept { return batch_; }
  [[nodiscard]] Index input_size() const noexcept { return widths_.front(); }
  [[nodiscard]] Index output_size() const noexcept { return widths_.back(); }
  [[nodiscard]] int threads() const noexcept { return threads_; }
  // Whether calls are given a number for each step and row beside x.
  [[nodiscard]] bool takes_attention() const noexcept { return takes_attention_; }
  // Multiplications of one row in one step.
  [[nodiscard]] double multiplications() const noexcept { return multiplications_; }
  [[nodiscard]] const std::vector<StreamNode<T>>& nodes() const noexcept { return nodes_; }
  // Bytes of states and working memory. Weights are not counted: they are shared.
  [[nodiscard]] std::size_t bytes() const noexcept { return memory_.bytes(); }

  // One step of all rows: x (B, I), out (B, F), dense; attention (B,) or null. They must not
  // overlap.
  void step(const T* x, T* out, const T* attention = nullptr) noexcept;
  // Of these rows alone, each at most once: x (count, I), out (count, F), in their order.
  void step(const T* x, T* out, const std::int32_t* rows, Index count,
            const T* attention = nullptr) noexcept;
  // `steps` steps: x (steps, count, I) and out (steps, count, F) of any strides, attention
  // (steps, count) dense or null. rows: null are all, in order, and `count` is the batch.
  void feed(const Sequence<const T>& x, Index steps, const Sequence<T>& out,
            const std::int32_t* rows, Index count, const T* attention = nullptr) noexcept;
  void feed(const T* x, Index steps, T* out, const T* attention = nullptr) noexcept {
    feed({x, batch_ * input_size(), input_size()}, steps,
         {out, batch_ * output_size(), output_size()}, nullptr, batch_, attention);
  }

  // Back to the initial states.
  void reset() noexcept;
  void reset(const std::int32_t* rows, Index count) noexcept;

  // The states: by network, in the order of the nodes that have one with states, then by layer and
  // state, h first.
  [[nodiscard]] std::size_t networks() const noexcept { return stateful_.size(); }
  [[nodiscard]] const Network<T>& network(std::size_t i) const noexcept {
    return *nodes_[static_cast<std::size_t>(stateful_[i])].network;
  }
  // Where a row's state is until the next step: network(i).shape().state_size(k) numbers, which may
  // be written to.
  [[nodiscard]] T* state(std::size_t i, Index layer, std::size_t k, Index row) noexcept;
  [[nodiscard]] const T* state(std::size_t i, Index layer, std::size_t k, Index row) const noexcept;
  // All of a state (L, B, size).
  void read_state(std::size_t i, std::size_t k, T* to) const noexcept;
  void write_state(std::size_t i, std::size_t k, const T* from) noexcept;

  // Whether subnormal numbers count as zeros, as in calls; on at first.
  void set_flush_denormals(bool flush) noexcept { flush_denormals_ = flush; }

  // The right to be inside, of one thread at a time; false where another is.
  [[nodiscard]] bool enter() noexcept { return !inside_.exchange(true, std::memory_order_acquire); }
  void leave() noexcept { inside_.store(false, std::memory_order_release); }

 private:
  struct Level;   // one layer of a network, or another operation
  struct Worker;  // what a thread of a call needs for itself
  struct Work;    // one call

  // Putting it together: stream_layout.cpp.
  void check(const StreamNode<T>& node, std::size_t at) const;
  int add_value(Index width);
  void add_node(const StreamNode<T>& node, const std::vector<int>& values);
  void add_network(const StreamNode<T>& node, int from);
  void fill(Level& level, const Network<T>& network, Index layer);
  void prepare(Worker& worker);
  void lay_out(Carver& memory);
  void lay_out_states(Level& level, Carver& memory);
  void lay_out_worker(Worker& worker, Carver& memory);
  [[nodiscard]] Index scratch_bytes(const Level& level) const;
  [[nodiscard]] Index block_rows() const;
  void plan_gangs();

  // Running it: stream.cpp.
  [[nodiscard]] bool run(const Work& work) noexcept;
  void run_shared(const Work& work, int threads) noexcept;
  void run_alone(Worker& worker, const Work& work) noexcept;
  void run_member(int member, int members, const Work& work) noexcept;
  template <class Layer>
  void run_blocks(Worker& worker, const Work& work, Layer layer) noexcept;
  void run_level(Worker& worker, std::size_t at, const Work& work, Index begin,
                 Index steps) noexcept;
  void set_up(Worker& worker, std::size_t at, const Work& work, Index begin, Index steps) noexcept;
  void gather(Worker& worker, std::size_t at, const Work& work) noexcept;
  void scatter(Worker& worker, std::size_t at, const Work& work) noexcept;
  void call_kernel(const Level& level, const ForwardArgs<T>& args) const noexcept;
  void join(Worker& worker, std::size_t at, const Work& work, Index steps) noexcept;
  void mix(Worker& worker, std::size_t at, const Work& work, Index t) noexcept;
  void reset_row(Index row) noexcept;
  [[nodiscard]] Index block_steps(Index rows, Index steps) const noexcept;

  std::vector<StreamNode<T>> nodes_;
  const Index batch_;
  const int threads_;
  std::vector<int> stateful_;     // nodes with states
  std::vector<int> first_level_;  // of these
  std::vector<Index> widths_;     // of the values; those between a network's layers are among them
  std::vector<Level> levels_;
  std::vector<Worker> workers_;
  std::vector<int> gangs_;  // by how few rows, from 1: threads that should share their units
  int gang_of_all_ = 1;
  bool takes_attention_ = false, flush_denormals_ = true;
  bool joins_ = false;  // whether it is more than a chain of layers
  double multiplications_ = 0;
  Index block_rows_ = 0;  // rows of one step or several for which there is room between levels
  Index turn_ = 0;        // steps so far, modulo 2; see PassArgs
  // Whether the first worker's arguments are those of a step of all rows, dense.
  bool steady_ = false;
  std::vector<std::int32_t> identity_;
  team::Barrier barrier_;
  AlignedBuffer memory_;
  std::atomic<bool> inside_{false};
};

}  // namespace simdrnn
