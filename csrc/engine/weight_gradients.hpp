// The gradients of one layer and direction's parameters: sums over the rows of a chunk, each row of
// gate gradients times what its gates saw.
#pragma once
#include <algorithm>

#include "engine/network.hpp"
#include "engine/sums.hpp"

namespace simdrnn {

// What the products saw, by row of the chunk.
template <class T>
struct SeenRows {
  const T** x = nullptr;
  const T** h = nullptr;
  const T** operand = nullptr;  // what the cell made: of the second phase, or to be projected
  const T** by_gate = nullptr;  // where every gate saw an h of its own: (gates, capacity)
  Index capacity = 0;           // rows of a chunk
};

template <class T>
class WeightGradients {
 public:
  WeightGradients(const Network<T>& network, Index layer, Index copies_of_h)
      : info_(network.info()),
        hidden_(network.shape().hidden_size),
        h_size_(network.shape().h_size()),
        projected_size_(network.shape().projected_size),
        input_(network.layer_input(layer)),
        heads_(network.heads()),
        parameter_count_(network.parameter_count()),
        at_(network.layout().gradient),
        norm_(network.options().cell.norm.on),
        by_gate_(copies_of_h > 1) {}

  // Where in a row of gate gradients those for the attention begin, and how wide the row is.
  [[nodiscard]] Index attention() const { return at_.attention * hidden_; }
  [[nodiscard]] Index width() const { return at_.projected * hidden_ + projected_size_; }

  // Thread p's share of every gradient: a slice of the rows of each.
  void add(const RowSums<T>& sums, const SeenRows<T>& seen, int p, Index rows, bool overwrite,
           const ParameterViews<T>& d) const {
    const Index of_x = input_blocks(info_) * hidden_, joint = joint_gates(info_) * hidden_;
    const bool two_phases = info_.phases == 2;
    // Behind the joint gates: the gates of the second phase, or the separate recurrent parts.
    const Index behind = (two_phases ? info_.second_gates : info_.separate) * hidden_;
    const Index first = at_.of_h_apart * hidden_;
    T* d_behind = d.weight_hh + joint * h_size_;
    sums.product(p, rows, overwrite, at_.of_x * hidden_, of_x, seen.x, input_, d.weight_ih);
    sums.product(p, rows, overwrite, at_.projected * hidden_, projected_size_, seen.operand,
                 hidden_, d.weight_hr);
    if (heads_ > 1) {
      add_heads(sums, seen, p, rows, overwrite, d.weight_hh);
    } else if (by_gate_) {
      add_gates(sums, seen, p, rows, overwrite, d.weight_hh);
    } else {
      // With layer normalisation all recurrent parts are together.
      const Index columns = norm_ ? info_.gate_count * hidden_ : joint;
      sums.product(p, rows, overwrite, at_.of_h * hidden_, columns, seen.h, h_size_, d.weight_hh);
    }
    if (info_.second_sees_h) {
      sums.product(p, rows, overwrite, first, behind, seen.h, h_size_, d_behind);
      d_behind += behind * h_size_;
    }
    if (two_phases || !(by_gate_ || norm_)) {
      sums.product(p, rows, overwrite, first, behind, two_phases ? seen.operand : seen.h, h_size_,
                   d_behind);
    }
    for (Index k = 0; k < parameter_count_; ++k) {
      sums.total(p, rows, overwrite, (at_.parameters + k) * hidden_, hidden_,
                 d.cell_parameters[static_cast<std::size_t>(k)]);
    }
    sums.total(p, rows, overwrite, at_.pre * hidden_, of_x, d.bias_ih);
    if (d.bias_hh == nullptr) return;
    sums.total(p, rows, overwrite, at_.pre * hidden_, joint, d.bias_hh);
    sums.total(p, rows, overwrite, at_.pre_apart * hidden_, behind, d.bias_hh + joint);
  }

  // Without steps they are 0.
  void clear(const ParameterViews<T>& d) const {
    const Index of_x = input_blocks(info_) * hidden_;
    const auto zero = [](T* to, Index n) { std::fill_n(to, to == nullptr ? 0 : n, T(0)); };
    zero(d.weight_ih, of_x * input_);
    zero(d.weight_hh, recurrent_blocks(info_) * hidden_ * (h_size_ / heads_));
    zero(d.weight_hr, projected_size_ * hidden_);
    zero(d.bias_ih, of_x);
    zero(d.bias_hh, recurrent_gates(info_) * hidden_);
    for (T* const parameter : d.cell_parameters) zero(parameter, hidden_);
  }

 private:
  // Of the recurrent weights, where each gate saw an h of its own.
  void add_gates(const RowSums<T>& sums, const SeenRows<T>& seen, int p, Index rows, bool overwrite,
                 T* out) const {
    const Index joint = joint_gates(info_);
    for (Index g = 0; g < joint + info_.separate; ++g) {
      const Index column = g < joint ? at_.of_h + g : at_.of_h_apart + g - joint;
      sums.product(p, rows, overwrite, column * hidden_, hidden_, seen.by_gate + g * seen.capacity,
                   h_size_, out + g * hidden_ * h_size_);
    }
  }

  // Of the blocks of R, of which each sees its head's part of h.
  void add_heads(const RowSums<T>& sums, const SeenRows<T>& seen, int p, Index rows, bool overwrite,
                 T* out) const {
    const Index head = hidden_ / heads_;
    for (Index first = 0; first < info_.gate_count * hidden_; first += head, out += head * head) {
      const T* const* h = by_gate_ ? seen.by_gate + first / hidden_ * seen.capacity : seen.h;
      sums.product(p, rows, overwrite, first, head, h, head, out, first % hidden_);
    }
  }

  CellInfo info_;
  Index hidden_, h_size_, projected_size_, input_, heads_, parameter_count_;
  GradientLayout at_;
  bool norm_, by_gate_;
};

}  // namespace simdrnn
