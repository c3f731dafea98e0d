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
};

template <class T>
struct Stage {
  StageKind kind = StageKind::kGraph;
  std::vector<StreamNode<T>> nodes;  // of a graph
  std::shared_ptr<const Dense<T>> linear;
  ActivationStage<T> activation;
};

template <class T>
struct Model {
  Index input_size = 0;
  std::vector<Stage<T>> stages;
  const KernelTable* table = nullptr;  // that its weights are packed for
};

}  // namespace simdrnn::model
