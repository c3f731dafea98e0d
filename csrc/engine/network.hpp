// A stack of recurrent layers: packed weights, and the forward and backward passes over them.
//
// forward and backward may run at the same time on several threads; set_parameters may not run
// beside them.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "abi/kernel_table.hpp"
#include "engine/aligned_buffer.hpp"
#include "engine/gradients.hpp"
#include "engine/plan.hpp"
#include "engine/steps.hpp"

namespace simdrnn {

struct NetworkShape {
  std::string cell;
  Index input_size, hidden_size, layers, directions;
  Index projected_size = 0;  // of h after its projection; 0: it is not projected

  [[nodiscard]] Index h_size() const { return projected_size > 0 ? projected_size : hidden_size; }
  [[nodiscard]] Index state_size(std::size_t state) const {
    return state == 0 ? h_size() : hidden_size;
  }
  // What a layer hands on, for each step and row.
  [[nodiscard]] Index output_size() const { return directions * h_size(); }
};

// The arguments of one call, checked by the front end. With a projection everything that is called
// (B, H) of state 0 and (T, B, D*H) of outputs is P wide, not H. Arrays are (T, B, width) with unit
// inner stride, or C-contiguous where only a pointer is given.
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
};

// What a stack does beside its cells' equations.
template <class T>
struct NetworkOptions {
  CellOptions<T> cell;
  Chance<T> dropout;        // of a layer's output on its way to the next, at every step
  Chance<T> input_dropout;  // of a layer's input, once per sequence
  Index heads = 1;          // blocks of R along its diagonal; divides H
};

template <class T>
struct CallContext;  // engine/pass.hpp

template <class T>
class Network {
 public:
  Network(const NetworkShape& shape, const NetworkOptions<T>& options);

  // index = layer * D + direction. The weights are packed for the ISA active now.
  void set_parameters(Index index, const T* weight_ih, const T* weight_hh, const T* bias_ih,
                      const T* bias_hh, const std::vector<const T*>& parameters,
                      const T* weight_hr);

  void forward(const Call<T>& call, const TapeViews<T>& tape,
               const std::vector<T*>& final_states) const;

  // d_output.data and d_final_states' entries may be null: zero. d_x.data may be: not wanted.
  // Everything else is overwritten.
  // d_reset_states is empty where the call has no reset_states. trace is empty or has one array per
  // layer and direction, written at real steps only: see kernels/backward/trace.hpp. d_attention
  // is null where the cell takes none.
  void backward(const Call<T>& call, const TapeViews<const T>& tape, Sequence<const T> d_output,
                const std::vector<const T*>& d_final_states, Sequence<T> d_x,
                const std::vector<T*>& d_initial_states, const std::vector<T*>& d_reset_states,
                const std::vector<ParameterGradients<T>>& d_parameters,
                const std::vector<T*>& trace = {}, T* d_attention = nullptr) const;

  // Bytes of working memory beside results and tape. checkpoint_every: 0 without checkpoints.
  [[nodiscard]] std::size_t workspace_bytes(Index steps, Index batch, bool training,
                                            Index checkpoint_every) const;

  // The most that backward of this very call may take, whether or not threads find together.
  [[nodiscard]] std::size_t backward_peak(const Call<T>& call, Index checkpoint_every) const;

  // How the engine would cut forward or backward of such a call. (Which threads are there to share
  // hidden units is asked anew at every call.)
  [[nodiscard]] Plan plan(const Call<T>& call, bool forward) const;
  [[nodiscard]] std::size_t packed_bytes() const;
  [[nodiscard]] const KernelTable& table() const;
  [[nodiscard]] const ProductKernels<T>& products() const;

  [[nodiscard]] Index layer_input(Index layer) const {
    return layer == 0 ? shape_.input_size : shape_.output_size();
  }
  [[nodiscard]] const CellInfo& info() const { return info_; }
  [[nodiscard]] const NetworkOptions<T>& options() const { return options_; }
  // Values per unit that a step leaves on the tape.
  [[nodiscard]] Index saved_width() const { return layout_.saved.width; }
  // Parameters with a value per unit: the cell's own; then with layer normalisation the weights of
  // both norms by gate, and weight and bias of the state's.
  [[nodiscard]] Index parameter_count() const { return layout_.parameters; }
  [[nodiscard]] const RowLayout& layout() const { return layout_; }
  [[nodiscard]] const NetworkShape& shape() const { return shape_; }
  [[nodiscard]] bool projects() const { return shape_.projected_size > 0; }
  // Whether a step has a product whose operand the cell makes.
  [[nodiscard]] bool has_operand() const { return info_.phases == 2 || projects(); }
  [[nodiscard]] Index heads() const { return options_.heads; }
  // How many h a unit sees: columns of R.
  [[nodiscard]] Index seen_units() const { return shape_.h_size() / options_.heads; }

  // Dropout on the way into a layer: from the layer below at every step, and once per sequence.
  [[nodiscard]] bool drops_input(const Call<T>& call, Index layer) const {
    return call.training && ((layer > 0 && options_.dropout.on) || options_.input_dropout.on);
  }
  [[nodiscard]] bool drops_inputs(const Call<T>& call) const {
    return drops_input(call, 0) || (shape_.layers > 1 && drops_input(call, 1));
  }
  void drop_input(const Call<T>& call, Index layer, Index t, Index b, const T* in, T* out,
                  Index width) const;

  // Whether threads may share the hidden units of a row: not where a norm needs the whole row, or
  // in backward where heads do not begin with a vector of it.
  [[nodiscard]] bool may_share_rows(bool forward) const {
    if (forward || options_.cell.norm.on) return !options_.cell.norm.on;
    const bool whole = options_.heads == 1 || seen_units() % products().lanes == 0;
    return whole && !(options_.cell.limits.step_gradient_norm < static_cast<T>(__builtin_inf()));
  }

 private:
  struct Packed {
    AlignedBuffer memory;
    PackedWeights<T> weights{};
    const KernelTable* table = nullptr;
  };
  template <class>
  friend class LayerPass;

  [[nodiscard]] std::size_t forward_bytes(const Call<T>& call, bool recording) const;
  // Of the plan that will run: another plan of the same call may need more.
  [[nodiscard]] std::size_t backward_bytes(const Call<T>& call, const CallContext<T>& context,
                                           Index checkpoint_every) const;
  [[nodiscard]] std::size_t backward_bytes(const Call<T>& call, Index checkpoint_every) const;
  // Whether the states that are carried are not those the cell made, so that both are saved.
  [[nodiscard]] bool keeps_states() const;
  // Whether an option acts on the steps of such a call.
  [[nodiscard]] bool acts(const Call<T>& call) const;
  [[nodiscard]] const CellKernels<T>& kernels() const;

  NetworkShape shape_;
  NetworkOptions<T> options_;
  int cell_ = 0;  // index in the table
  CellInfo info_;
  RowLayout layout_;
  std::vector<Packed> packed_;
};

}  // namespace simdrnn
