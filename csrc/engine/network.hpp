// A stack of recurrent layers: packed weights, and the forward and backward passes over them.
//
// Weights are packed once, into a network that nobody has seen yet; from then on it is only read,
// by any number of threads. Other weights, or other instruction sets, are other networks.
//
// What backward reads besides, the matrices transposed, is packed with the rest for a call that is
// recorded. Else the first backward makes it of what was packed for forward: so it needs no
// weights, which may have changed by then, and is the same whoever makes it.
#pragma once
#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "abi/kernel_table.hpp"
#include "engine/call.hpp"
#include "engine/memory.hpp"
#include "engine/plan.hpp"
#include "engine/spare_buffer.hpp"

namespace simdrnn {

struct NetworkShape {
  std::string cell;
  Index input_size, hidden_size, layers, directions;  // directions: of a layer, 1 or 2
  Index projected_size = 0;  // of h after its projection; 0: it is not projected

  [[nodiscard]] Index h_size() const { return projected_size > 0 ? projected_size : hidden_size; }
  [[nodiscard]] Index state_size(std::size_t state) const {
    return state == 0 ? h_size() : hidden_size;
  }
  [[nodiscard]] Index passes() const { return layers * directions; }
  // What a layer hands on, for each step and row.
  [[nodiscard]] Index output_size() const { return directions * h_size(); }
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

// The memory of packed weights that nobody needs any more: a buffer for each layer and direction.
using PackedBuffers = std::vector<AlignedBuffer>;

// What is packed at once.
enum class PackFor { kForward, kBoth };

// Such memory of a network's versions, for each of the two forms.
struct SpareMemories {
  Spare<PackedBuffers> forward, backward;
};

template <class T>
class Network {
 public:
  // Without weights: it answers what no weight changes.
  Network(const NetworkShape& shape, const NetworkOptions<T>& options, const KernelTable& isa);
  // With these, by layer * D + direction, packed for that ISA; from and to `spare`, which versions
  // of one network share, their memory comes and goes.
  Network(const NetworkShape& shape, const NetworkOptions<T>& options, const KernelTable& isa,
          std::span<const ParameterViews<const T>> weights, PackFor passes = PackFor::kBoth,
          std::shared_ptr<SpareMemories> spare = std::make_shared<SpareMemories>());
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  ~Network();

  void forward(const Call<T>& call, const TapeViews<T>& tape,
               const std::vector<T*>& final_states) const;

  // From the gradients for the output and the final states; null data or entries: they are zero.
  void backward(const Call<T>& call, const TapeViews<const T>& tape, Sequence<const T> d_output,
                const std::vector<const T*>& d_final_states, const Gradients<T>& gradients) const;

  // Bytes of working memory beside results and tape. checkpoint_every: 0 without checkpoints.
  [[nodiscard]] std::size_t workspace_bytes(Index steps, Index batch, bool training,
                                            Index checkpoint_every) const;

  // The most that backward of this very call may take, whether or not threads find together.
  [[nodiscard]] std::size_t backward_peak(const Call<T>& call, Index checkpoint_every) const;

  // How the engine would cut forward or backward of such a call. (Which threads are there to share
  // hidden units is asked anew at every call.)
  [[nodiscard]] Plan plan(const Call<T>& call, bool forward) const;
  // Of what is packed by now.
  [[nodiscard]] std::size_t packed_bytes() const;
  [[nodiscard]] const KernelTable& table() const { return table_; }
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

  // Whether the input products, or gradients, of so many steps are formed beside them, in a gang of
  // so many threads.
  [[nodiscard]] bool overlaps(const PassArgs<T>& pass, Index steps, int gang, bool forward) const {
    if (pass.count != 1 || steps < kOverlappedSteps) return false;
    const auto bytes = [&](Index blocks, Index columns) {
      return static_cast<double>(blocks * shape_.hidden_size * columns * Index{sizeof(T)});
    };
    const double recurrent = bytes(recurrent_blocks(info_), seen_units());
    const double input = bytes(input_blocks(info_), pass.input_size);
    return worth_overlapping(recurrent / gang, recurrent + input, forward);
  }

  // Whether threads may share the hidden units of a row: not where a norm needs the whole row, or
  // in backward where heads do not begin with a vector of it.
  [[nodiscard]] bool may_share_rows(bool forward) const {
    if (forward || options_.cell.norm.on) return !options_.cell.norm.on;
    const bool whole = options_.heads == 1 || seen_units() % products().lanes == 0;
    return whole && !(options_.cell.limits.step_gradient_norm < static_cast<T>(__builtin_inf()));
  }

 private:
  template <class>
  friend class LayerPass;
  template <class>
  friend struct CallContext;

  // One layer and direction after the other: pointers into their memory.
  struct Packed {
    std::vector<PackedWeights<T>> weights;
    PackedBuffers memory;
  };

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

  // With `given`, for forward, and for backward too if `backward` is not null; without, for
  // backward of what `packed` has for forward.
  void pack(Index index, const ParameterViews<const T>* given, PackedWeights<T>& packed,
            AlignedBuffer* forward, AlignedBuffer* backward) const;
  // The weights for both passes.
  [[nodiscard]] const Packed& for_backward() const;
  [[nodiscard]] PackedBuffers memory_from(Spare<PackedBuffers>& spare) const;

  NetworkShape shape_;
  NetworkOptions<T> options_;
  const KernelTable& table_;
  int cell_ = 0;  // index in the table
  CellInfo info_;
  RowLayout layout_;
  Packed forward_;
  // Filled once, by whoever is the first to put one there; no lock, which a fork could find held.
  mutable std::atomic<Packed*> both_{nullptr};
  std::shared_ptr<SpareMemories> spare_;
};

}  // namespace simdrnn
