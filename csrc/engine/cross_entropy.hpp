// Cross entropy of rows of logits under softmax, and its gradient.
#pragma once
#include <vector>

#include "abi/kernel_table.hpp"
#include "engine/dense.hpp"
#include "engine/memory.hpp"

namespace simdrnn {

// One loss: of what it read it keeps all that its gradient takes.
template <class T>
class CrossEntropy {
 public:
  // targets and real: logits.count; a target is looked at only where the row is real. real may be
  // null: all are. Throws std::out_of_range where a target is none of the classes.
  CrossEntropy(DenseRows<const T> logits, Index classes, const std::int64_t* targets,
               const std::uint8_t* real, const KernelTable& isa, const DenseRun& run);
  CrossEntropy(const CrossEntropy&) = delete;
  CrossEntropy& operator=(const CrossEntropy&) = delete;
  ~CrossEntropy();

  [[nodiscard]] Index rows() const { return static_cast<Index>(total_.size()); }
  [[nodiscard]] Index classes() const { return classes_; }
  [[nodiscard]] Index count() const { return count_; }   // of real rows
  [[nodiscard]] double value() const { return value_; }  // the mean over them, or 0

  // Writes `scale` times the gradient of the value, (rows, classes).
  void backward(double scale, T* d_logits, const DenseRun& run) const;

 private:
  Index classes_;
  const KernelTable& table_;
  std::vector<std::int64_t> targets_;
  std::vector<std::uint8_t> real_;  // empty: all are
  std::vector<double> total_;
  AlignedBuffer exponentials_;
  Index count_ = 0;
  double value_ = 0.0;
};

// Gives back the memory that one loss leaves to the next; returns its bytes.
std::size_t release_losses();

}  // namespace simdrnn
