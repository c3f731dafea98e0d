// A model that is fed as its input arrives: the stream of every graph in it, and what is between.
//
// As with engine/stream.hpp no function that is noexcept asks for memory, takes a lock or throws,
// and one thread at a time may be inside.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/model.hpp"

namespace simdrnn::model {

// One call: x (steps, count, I) and y (steps, count, F), dense, which do not overlap; attention
// (steps, count) where the model takes it. rows: null are all, and `count` is the batch. A model
// that begins with an embedding is given `numbers` (steps, count), and no x.
template <class T>
struct StreamCall {
  const T* x;
  T* y;
  Index steps;
  const std::int32_t* rows;
  Index count;
  const T* attention;
  const std::int64_t* numbers = nullptr;
};

template <class T>
class ModelStream {
 public:
  // Throws std::invalid_argument with a sentence, or std::bad_alloc.
  ModelStream(std::shared_ptr<const Model<T>> model, Index batch, int threads);

  // Another of the same model with the states of now.
  [[nodiscard]] std::unique_ptr<ModelStream> clone() const;

  [[nodiscard]] Index batch() const noexcept { return batch_; }
  [[nodiscard]] Index input_size() const noexcept { return widths_.front(); }
  [[nodiscard]] Index output_size() const noexcept { return widths_.back(); }
  [[nodiscard]] bool takes_attention() const noexcept { return takes_attention_; }
  [[nodiscard]] bool takes_numbers() const noexcept { return first_ == 1; }
  [[nodiscard]] Index state_size() const noexcept { return state_size_; }  // numbers of one row
  // Multiplications of one row in one step.
  [[nodiscard]] double multiplications() const noexcept { return multiplications_; }
  // Bytes of states and working memory. Weights are not counted: they are shared.
  [[nodiscard]] std::size_t bytes() const noexcept;

  // Whether all of `count` numbers are rows of the table. Others, which another thread may write
  // after this was asked, are taken for the first row.
  [[nodiscard]] bool fits(const std::int64_t* numbers, Index count) const noexcept;
  void run(const StreamCall<T>& call) noexcept;

  // Back to what rows begin with. null: all of them.
  void reset(const std::int32_t* rows, Index count) noexcept;

  // The states of one row, `state_size` numbers: graph by graph, in each network by network, layer
  // by layer and state by state, h first.
  void read_state(Index row, T* to) const noexcept;
  void write_state(Index row, const T* from) noexcept;
  // The same by network, as engine/stream.hpp has it: those of all graphs, one after the other.
  [[nodiscard]] std::size_t networks() const noexcept { return networks_.size(); }
  [[nodiscard]] const Network<T>& network(std::size_t i) const noexcept {
    return networks_[i].graph->network(networks_[i].at);
  }
  void read_state(std::size_t i, std::size_t k, T* to) const noexcept {
    networks_[i].graph->read_state(networks_[i].at, k, to);
  }
  void write_state(std::size_t i, std::size_t k, const T* from) noexcept {
    networks_[i].graph->write_state(networks_[i].at, k, from);
  }

  // Whether subnormal numbers count as zeros; on at first, as in Python.
  void set_flush_denormals(bool flush) noexcept;

  // The right to be inside, of one thread at a time; false where another is.
  [[nodiscard]] bool enter() noexcept { return !inside_.exchange(true, std::memory_order_acquire); }
  void leave() noexcept { inside_.store(false, std::memory_order_release); }

 private:
  struct GraphNetwork {
    Stream<T>* graph;
    std::size_t at;
  };

  ModelStream(const ModelStream& other, std::vector<std::unique_ptr<Stream<T>>> graphs);
  void lay_out();
  void add_stage(std::size_t at);
  const T* look_up(const std::int64_t* numbers, Index count, T* to) const noexcept;
  void run_stage(std::size_t at, const T* x, T* y, const StreamCall<T>& block) noexcept;
  void run_linear(const Dense<T>& linear, DenseRows<const T> x, DenseRows<T> y) const noexcept;

  std::shared_ptr<const Model<T>> model_;
  Index batch_;
  int threads_;
  std::vector<std::unique_ptr<Stream<T>>> graphs_;  // by stage; null where it is another
  std::vector<GraphNetwork> networks_;              // of these
  std::vector<Index> widths_;                       // of x, and of what every stage makes
  std::size_t first_ = 0;                           // stage that is given vectors
  Index state_size_ = 0, block_steps_ = 1;
  double multiplications_ = 0;
  bool takes_attention_ = false, flush_denormals_ = true;
  AlignedBuffer memory_;  // what stands between stages, of `block_steps` steps: two, taking turns
  T* between_[2] = {};
  std::atomic<bool> inside_{false};
};

}  // namespace simdrnn::model
