#include "model/model_stream.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "engine/flush_denormals.hpp"
#include "engine/plan.hpp"

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
  if (stage.kind == StageKind::kEmbedding) {
    if (at > 0) throw std::invalid_argument("stages: expected an embedding as the first alone");
    wanted = 0, made = stage.embedding.width;
  }
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
    : model_(std::move(model)), batch_(batch), threads_(threads) {
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
    : model_(other.model_),
      batch_(other.batch_),
      threads_(other.threads_),
      graphs_(std::move(graphs)) {
  lay_out();
  set_flush_denormals(other.flush_denormals_);
}

template <class T>
void ModelStream<T>::add_stage(std::size_t at) {
  const Stage<T>& stage = model_->stages[at];
  Stream<T>* const graph = graphs_[at].get();
  const Index given = widths_.back();
  widths_.push_back(width_behind(stage, graph, given, at));
  if (stage.kind == StageKind::kEmbedding) first_ = 1;
  if (stage.linear != nullptr) {
    multiplications_ += static_cast<double>(given) * static_cast<double>(widths_.back());
  }
  if (graph == nullptr) return;
  multiplications_ += graph->multiplications();
  takes_attention_ = takes_attention_ || graph->takes_attention();
  for (std::size_t i = 0; i < graph->networks(); ++i) networks_.push_back({graph, i});
  if (batch_ > 0) each_state(*graph, 0, [&](T*, Index size) { state_size_ += size; });
}

template <class T>
void ModelStream<T>::lay_out() {
  if (graphs_.empty()) throw std::invalid_argument("stages: expected one at least");
  widths_.push_back(model_->input_size);
  Index widest = 0;
  for (std::size_t at = 0; at < graphs_.size(); ++at) {
    add_stage(at);
    if (at + 1 < graphs_.size()) widest = std::max(widest, widths_.back());
  }
  if (widest == 0) return;
  const Index row = widest * batch_ * static_cast<Index>(sizeof(T));
  block_steps_ =
      std::clamp(static_cast<Index>(kBetweenBytes) / std::max<Index>(row, 1), Index{1}, kMostSteps);
  Carver counted(nullptr);
  for (T*& buffer : between_) buffer = counted.take<T>(block_steps_ * batch_ * widest);
  memory_.reserve(counted.used());
  std::fill_n(static_cast<char*>(memory_.data()), counted.used(), '\0');  // touched before a step
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
std::size_t ModelStream<T>::bytes() const noexcept {
  std::size_t bytes = memory_.bytes();
  for (const auto& graph : graphs_) {
    if (graph != nullptr) bytes += graph->bytes();
  }
  return bytes;
}

template <class T>
bool ModelStream<T>::fits(const std::int64_t* numbers, Index count) const noexcept {
  const Index rows = model_->stages.front().embedding.rows;
  return std::all_of(numbers, numbers + count,
                     [&](std::int64_t number) { return number >= 0 && number < rows; });
}

// The rows of the table: in `to`, but for a single one, which is read where it stands.
template <class T>
const T* ModelStream<T>::look_up(const std::int64_t* numbers, Index count, T* to) const noexcept {
  const auto& [table, rows, width] = model_->stages.front().embedding;
  const auto row = [&, known = rows, size = width](std::int64_t number) {
    return table.get() + (number >= 0 && number < known ? number : 0) * size;
  };
  if (count == 1 && first_ < graphs_.size()) return row(*numbers);
  for (Index i = 0; i < count; ++i) std::copy_n(row(numbers[i]), width, to + i * width);
  return to;
}

template <class T>
void ModelStream<T>::run(const StreamCall<T>& call) noexcept {
  const std::size_t stages = graphs_.size();
  if (call.steps == 0 || call.count == 0) return;
  if (stages == 1 && first_ == 0) return run_stage(0, call.x, call.y, call);
  const Index in = call.count * input_size(), out = call.count * output_size();
  for (Index begin = 0; begin < call.steps; begin += block_steps_) {
    StreamCall<T> block = call;
    block.steps = std::min(block_steps_, call.steps - begin);
    if (call.attention != nullptr) block.attention = call.attention + begin * call.count;
    const auto to = [&](std::size_t at) {
      return at + 1 == stages ? call.y + begin * out : between_[at % 2];
    };
    const T* x = first_ == 0
                     ? call.x + begin * in
                     : look_up(call.numbers + begin * call.count, block.steps * call.count, to(0));
    for (std::size_t at = first_; at < stages; ++at) {
      T* const y = to(at);
      run_stage(at, x, y, block);
      x = y;
    }
  }
}

template <class T>
void ModelStream<T>::run_stage(std::size_t at, const T* x, T* y,
                               const StreamCall<T>& block) noexcept {
  if (Stream<T>* const graph = graphs_[at].get(); graph != nullptr) {
    const T* const attention = graph->takes_attention() ? block.attention : nullptr;
    if (block.steps == 1 && block.rows == nullptr) return graph->step(x, y, attention);
    const Index in = graph->input_size(), out = graph->output_size();
    return graph->feed({x, block.count * in, in}, block.steps, {y, block.count * out, out},
                       block.rows, block.count, attention);
  }
  const Stage<T>& stage = model_->stages[at];
  const Index rows = block.steps * block.count;
  if (stage.linear != nullptr) {
    return run_linear(*stage.linear, {x, widths_[at], rows}, {y, widths_[at + 1], rows});
  }
  const FlushDenormals scope(flush_denormals_);
  activate_rows(stage.activation, *model_->table, x, y, rows, widths_[at]);
}

template <class T>
void ModelStream<T>::run_linear(const Dense<T>& linear, DenseRows<const T> x,
                                DenseRows<T> y) const noexcept {
  const double flops = 2.0 * static_cast<double>(linear.outputs()) *
                       static_cast<double>(linear.inputs()) * static_cast<double>(x.count);
  if (threads_ > 1 && useful_threads(flops) > 1) {
    try {
      return linear.forward(x, y, {threads_, flush_denormals_, {}});
    } catch (const std::exception&) {  // no memory to wake others with: then without them
    }
  }
  const FlushDenormals scope(flush_denormals_);
  linear.forward_here(x, y);
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
