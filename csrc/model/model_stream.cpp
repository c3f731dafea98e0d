#include "model/model_stream.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "engine/flush_denormals.hpp"

namespace simdrnn::model {

namespace {

constexpr std::size_t kBetweenBytes = std::size_t{64} << 10;  // so much stays in a near cache
constexpr Index kMostSteps = 64;

template <class T, class Visit>
void each_state(Stream<T>& stream, Index row, Visit visit) {
  for (std::size_t i = 0; i < stream.networks(); ++i) {
    const auto& network = stream.network(i);
    for (Index layer = 0; layer < network.shape().layers; ++layer) {
      for (std::size_t k = 0; k < static_cast<std::size_t>(network.info().states); ++k) {
        visit(stream.state(i, layer, k, row), network.shape().state_size(k));
      }
    }
  }
}

// The width of what a stage makes; throws where it does not take `given`.
template <class T>
Index width_behind(const Stage<T>& stage, const Stream<T>* graph, Index given, std::size_t at) {
  Index wanted = given, made = given;
  if (graph != nullptr) wanted = graph->input_size(), made = graph->output_size();
  if (stage.linear != nullptr) wanted = stage.linear->inputs(), made = stage.linear->outputs();
  if (wanted != given || made < 1) {
    throw std::invalid_argument("stage " + std::to_string(at) + ": expected one that takes " +
                                std::to_string(given) + " numbers, got " + std::to_string(wanted));
  }
  return made;
}

}  // namespace

template <class T>
ModelStream<T>::ModelStream(std::shared_ptr<const Model<T>> model, Index batch, int threads)
    : model_(std::move(model)), batch_(batch) {
  for (const Stage<T>& stage : model_->stages) {
    graphs_.push_back(stage.kind == StageKind::kGraph
                          ? std::make_unique<Stream<T>>(stage.nodes, batch, threads)
                          : nullptr);
  }
  lay_out();
}

template <class T>
ModelStream<T>::ModelStream(const ModelStream& other,
                            std::vector<std::unique_ptr<Stream<T>>> graphs)
    : model_(other.model_), batch_(other.batch_), graphs_(std::move(graphs)) {
  lay_out();
  set_flush_denormals(other.flush_denormals_);
}

template <class T>
void ModelStream<T>::lay_out() {
  if (graphs_.empty()) throw std::invalid_argument("stages: expected one at least");
  widths_.push_back(model_->input_size);
  Index widest = 0;
  for (std::size_t at = 0; at < graphs_.size(); ++at) {
    widths_.push_back(width_behind(model_->stages[at], graphs_[at].get(), widths_.back(), at));
    if (at + 1 < graphs_.size()) widest = std::max(widest, widths_.back());
    if (graphs_[at] == nullptr) continue;
    takes_attention_ = takes_attention_ || graphs_[at]->takes_attention();
    if (batch_ > 0) {
      each_state(*graphs_[at], 0, [&](T*, Index size) { state_size_ += size; });
    }
  }
  if (widest == 0) return;
  const Index row = widest * batch_ * static_cast<Index>(sizeof(T));
  block_steps_ =
      std::clamp(static_cast<Index>(kBetweenBytes) / std::max<Index>(row, 1), Index{1}, kMostSteps);
  Carver counted(nullptr);
  for (T*& buffer : between_) buffer = counted.take<T>(block_steps_ * batch_ * widest);
  memory_.reserve(counted.used());
  Carver memory(static_cast<char*>(memory_.data()));
  for (T*& buffer : between_) buffer = memory.take<T>(block_steps_ * batch_ * widest);
}

template <class T>
std::unique_ptr<ModelStream<T>> ModelStream<T>::clone() const {
  std::vector<std::unique_ptr<Stream<T>>> graphs;
  for (const auto& graph : graphs_) graphs.push_back(graph == nullptr ? nullptr : graph->clone());
  return std::unique_ptr<ModelStream>(new ModelStream(*this, std::move(graphs)));
}

template <class T>
void ModelStream<T>::run(const StreamCall<T>& call) noexcept {
  if (graphs_.size() == 1) return run_stage(0, call.x, call.y, call);
  const Index in = call.count * input_size(), out = call.count * output_size();
  for (Index begin = 0; begin < call.steps; begin += block_steps_) {
    StreamCall<T> block = call;
    block.steps = std::min(block_steps_, call.steps - begin);
    if (call.attention != nullptr) block.attention = call.attention + begin * call.count;
    const T* x = call.x + begin * in;
    for (std::size_t at = 0; at < graphs_.size(); ++at) {
      T* const y = at + 1 == graphs_.size() ? call.y + begin * out : between_[at % 2];
      run_stage(at, x, y, block);
      x = y;
    }
  }
}

template <class T>
void ModelStream<T>::run_stage(std::size_t at, const T* x, T* y,
                               const StreamCall<T>& block) noexcept {
  if (Stream<T>* const graph = graphs_[at].get(); graph != nullptr) {
    if (block.steps == 1 && block.rows == nullptr) return graph->step(x, y, block.attention);
    const Index in = graph->input_size(), out = graph->output_size();
    return graph->feed({x, block.count * in, in}, block.steps, {y, block.count * out, out},
                       block.rows, block.count, block.attention);
  }
  const FlushDenormals scope(flush_denormals_);
  const Stage<T>& stage = model_->stages[at];
  const Index rows = block.steps * block.count;
  if (stage.linear != nullptr) {
    stage.linear->forward_here({x, widths_[at], rows}, {y, widths_[at + 1], rows});
  } else {
    activate_rows(stage.activation, *model_->table, x, y, rows, widths_[at]);
  }
}

template <class T>
void ModelStream<T>::reset(const std::int32_t* rows, Index count) noexcept {
  for (const auto& graph : graphs_) {
    if (graph == nullptr) continue;
    if (rows == nullptr) {
      graph->reset();
    } else {
      graph->reset(rows, count);
    }
  }
}

template <class T>
void ModelStream<T>::read_state(Index row, T* to) const noexcept {
  for (const auto& graph : graphs_) {
    if (graph == nullptr) continue;
    each_state(*graph, row, [&](const T* state, Index size) { to = std::copy_n(state, size, to); });
  }
}

template <class T>
void ModelStream<T>::write_state(Index row, const T* from) noexcept {
  for (const auto& graph : graphs_) {
    if (graph == nullptr) continue;
    each_state(*graph, row, [&](T* state, Index size) {
      std::copy_n(from, size, state);
      from += size;
    });
  }
}

template <class T>
void ModelStream<T>::set_flush_denormals(bool flush) noexcept {
  flush_denormals_ = flush;
  for (const auto& graph : graphs_) {
    if (graph != nullptr) graph->set_flush_denormals(flush);
  }
}

template class ModelStream<float>;
template class ModelStream<double>;

}  // namespace simdrnn::model
