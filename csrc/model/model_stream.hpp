// A model that is fed as its input arrives: the stream of every graph in it, and what is between.
//
// As with engine/stream.hpp no function that is noexcept asks for memory, takes a lock or throws,
// and one thread at a time may be inside.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "model/model.hpp"

namespace simdrnn::model {

// One call: x (steps, count, I) and y (steps, count, F), dense, which do not overlap; attention
// (steps, count) where the model takes it. rows: null are all, and `count` is the batch.
template <class T>
struct StreamCall {
  const T* x;
  T* y;
  Index steps;
  const std::int32_t* rows;
  Index count;
  const T* attention;
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
  [[nodiscard]] Index state_size() const noexcept { return state_size_; }  // numbers of one row

  void run(const StreamCall<T>& call) noexcept;

  // Back to what rows begin with. null: all of them.
  void reset(const std::int32_t* rows, Index count) noexcept;

  // The states of one row, `state_size` numbers: graph by graph, in each network by network, layer
  // by layer and state by state, h first.
  void read_state(Index row, T* to) const noexcept;
  void write_state(Index row, const T* from) noexcept;

  // Whether subnormal numbers count as zeros; on at first, as in Python.
  void set_flush_denormals(bool flush) noexcept;

 private:
  ModelStream(const ModelStream& other, std::vector<std::unique_ptr<Stream<T>>> graphs);
  void lay_out();
  void run_stage(std::size_t at, const T* x, T* y, const StreamCall<T>& block) noexcept;

  std::shared_ptr<const Model<T>> model_;
  Index batch_;
  std::vector<std::unique_ptr<Stream<T>>> graphs_;  // by stage; null where it is another
  std::vector<Index> widths_;                       // of x, and of what every stage makes
  Index state_size_ = 0, block_steps_ = 1;
  bool takes_attention_ = false, flush_denormals_ = true;
  AlignedBuffer memory_;  // what stands between stages, of `block_steps` steps: two, taking turns
  T* between_[2] = {};
};

}  // namespace simdrnn::model
