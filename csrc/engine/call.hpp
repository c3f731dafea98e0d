// One call of a network: what it takes, what forward keeps for backward, and where backward writes.
//
// All of it was checked by the front end. With a projection everything that is called (B, H) of
// state 0 and (T, B, D*H) of outputs is P wide, not H. Arrays are (T, B, width) with unit inner
// stride, or C-contiguous where only a pointer is given.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "abi/args.hpp"
#include "engine/steps.hpp"

namespace simdrnn {

template <class T>
struct Call {
  StepSources steps;
  Sequence<const T> x;
  std::vector<const T*> states;        // (L*D, B, H) each
  std::vector<const T*> reset_states;  // the same, after a reset; empty: those of `states`
  const T* attention;                  // (T, B), where the cell takes one
  bool hold;
  bool training;      // whether what is random is drawn
  std::uint64_t key;  // of what is random
  int threads;        // 0: team::limit()
  bool flush_denormals;
  std::function<void()> poll;  // called between parallel regions; may throw to stop
};

// The same call with no steps where it has no rows: nothing is left to walk through.
template <class T>
bool walks_nothing(const Call<T>& call) {
  return call.steps.batch == 0 && call.steps.steps > 0;
}
template <class T>
Call<T> without_steps(Call<T> call) {
  call.steps.steps = 0;
  return call;
}

// The states other than h before steps every, 2*every, ... of one layer and direction, in
// processing order: (ceil(T / every) - 1, B, (states-1)*H). Null data where h is the only one.
template <class E>
struct Checkpoints {
  E* data;
  Index every;
};

// What forward leaves for backward: per layer and direction the saved values (T, B, saved*H), or
// only checkpoints; per layer its output before dropout (T, B, D*H), the last of which is the
// call's output. E is T where it is written, const T where it is read.
template <class E>
struct TapeViews {
  std::vector<E*> saved;                    // empty: not kept
  std::vector<Sequence<E>> hidden;          // not recording: only the last layer's
  std::vector<Checkpoints<E>> checkpoints;  // empty: everything is saved, or nothing recorded

  [[nodiscard]] Index checkpoint_every() const {
    return checkpoints.empty() ? 0 : checkpoints.front().every;
  }
};

// The parameters of one layer and direction, or the gradients for them.
template <class E>
struct ParameterViews {
  E* weight_ih;
  E* weight_hh;  // null where the cell has none
  E* bias_ih;    // null without biases
  E* bias_hh;
  // The cell's own, then layer normalisation's, (H) each; null where it is a bias left out.
  std::vector<E*> cell_parameters;
  E* weight_hr;  // null without projection
};

// All that backward writes. What is there is overwritten, but for the trace, which is written at
// real steps only, and for gradients of parameters that are to be added.
template <class T>
struct Gradients {
  Sequence<T> x;                              // null data: not wanted
  std::vector<T*> states;                     // for those the call begins with
  std::vector<ParameterViews<T>> parameters;  // by layer * D + direction
  std::vector<T*> reset_states;               // empty: the call has none
  T* attention;                               // null where the cell takes none
  std::vector<T*> trace;  // by layer * D + direction, see kernels/backward/trace.hpp; or empty
  bool add = false;       // to what `parameters` hold: their chains go on
};

template <class T>
Sequence<const T> as_const(const Sequence<T>& s) {
  return {s.data, s.stride_t, s.stride_b};
}

}  // namespace simdrnn
