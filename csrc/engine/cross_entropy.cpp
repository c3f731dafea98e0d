#include "engine/cross_entropy.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "abi/sums.hpp"
#include "engine/flush_denormals.hpp"
#include "engine/products.hpp"
#include "engine/spare_buffer.hpp"
#include "engine/threads/team.hpp"

namespace simdrnn {

namespace {

// What a logit costs, in FLOPs that take as long.
constexpr double kFlopsForward = 60, kFlopsBackward = 20;

// The exponentials of a large vocabulary are tens of megabytes: the last loss's are the next one's.
SpareBuffer& spare() {
  static auto* const kept = new SpareBuffer;  // losses may go after statics do
  return *kept;
}
constexpr std::size_t kKeptBytes = std::size_t{256} << 20;

// Runs act(first, rows) for shares of all rows.
template <class Act>
void share(Index rows, Index classes, double flops, int threads, const Act& act) {
  const int most =
      threads_for(flops * static_cast<double>(rows) * static_cast<double>(classes), threads);
  const int parts = static_cast<int>(std::clamp<Index>(rows, 1, most));
  team::run(parts, [&](int part) {
    const Index first = rows * part / parts;
    act(first, rows * (part + 1) / parts - first);
  });
}

}  // namespace

template <class T>
CrossEntropy<T>::CrossEntropy(DenseRows<const T> logits, Index classes, const std::int64_t* targets,
                              const std::uint8_t* real, const KernelTable& isa, const DenseRun& run)
    : classes_(classes),
      table_(isa),
      targets_(targets, targets + logits.count),
      total_(static_cast<std::size_t>(logits.count)) {
  if (real != nullptr) real_.assign(real, real + logits.count);
  for (Index r = 0; r < logits.count; ++r) {
    const auto row = static_cast<std::size_t>(r);
    if (!real_.empty() && real_[row] == 0) {
      targets_[row] = 0;
      continue;
    }
    if (targets_[row] < 0 || targets_[row] >= classes) {
      throw std::out_of_range("targets: expected classes, got " + std::to_string(targets_[row]));
    }
    ++count_;
  }
  exponentials_ = spare().take(static_cast<std::size_t>(logits.count) *
                               static_cast<std::size_t>(classes) * sizeof(T));
  std::vector<double> terms(total_.size());
  share(logits.count, classes, kFlopsForward, run.threads, [&](Index first, Index rows) {
    const FlushDenormals flush(run.flush_denormals);
    training_of(table_, T())
        .cross_entropy({logits.data + first * logits.stride, logits.stride, rows, classes,
                        targets_.data() + first, real_.empty() ? nullptr : real_.data() + first,
                        static_cast<T*>(exponentials_.data()) + first * classes,
                        total_.data() + first, terms.data() + first});
  });
  const double sum =
      sum_over<double>(logits.count, [&](Index r) { return terms[static_cast<std::size_t>(r)]; });
  value_ = count_ == 0 ? 0.0 : sum / static_cast<double>(count_);
}

template <class T>
CrossEntropy<T>::~CrossEntropy() {
  if (exponentials_.bytes() <= kKeptBytes) spare().give(std::move(exponentials_));
}

template <class T>
void CrossEntropy<T>::backward(double scale, T* d_logits, const DenseRun& run) const {
  const double each = scale / static_cast<double>(std::max<Index>(1, count_));
  share(rows(), classes_, kFlopsBackward, run.threads, [&](Index first, Index count) {
    const FlushDenormals flush(run.flush_denormals);
    training_of(table_, T())
        .cross_entropy_gradient({static_cast<const T*>(exponentials_.data()) + first * classes_,
                                 total_.data() + first, count, classes_, targets_.data() + first,
                                 real_.empty() ? nullptr : real_.data() + first, each,
                                 d_logits + first * classes_});
  });
}

std::size_t release_losses() { return spare().release(); }

template class CrossEntropy<float>;
template class CrossEntropy<double>;

}  // namespace simdrnn
