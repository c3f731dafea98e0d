// A whole model that is stepped: recurrent networks and what stands before and behind them, one
// stage after the other. It is only read, by any number of streams.
#pragma once
#include <memory>
#include <vector>

#include "engine/dense.hpp"
#include "engine/stream.hpp"
#include "model/activation_stage.hpp"

namespace simdrnn::model {

enum class StageKind {
  kGraph,       // recurrent networks, as a stream has them
  kLinear,      // y = W x + b
  kActivation,  // y = f(x)
  kEmbedding,   // y = the row of a table that a number names; the first stage alone
};

// A table (rows, width), C-contiguous.
template <class T>
struct EmbeddingStage {
  std::shared_ptr<const T> table;
  Index rows = 0, width = 0;
};

template <class T>
struct Stage {
  StageKind kind = StageKind::kGraph;
  std::vector<StreamNode<T>> nodes;  // of a graph
  std::shared_ptr<const Dense<T>> linear;
  ActivationStage<T> activation;
  EmbeddingStage<T> embedding;
};

template <class T>
struct Model {
  Index input_size = 0;  // 0 where the first stage is an embedding
  std::vector<Stage<T>> stages;
  const KernelTable* table = nullptr;  // that its weights are packed for
};

}  // namespace simdrnn::model
