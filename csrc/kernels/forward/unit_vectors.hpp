// Where the hidden units of a packed vector are. Vectors follow each other, but where R has heads
// each head begins with a vector of its own: kernels/gemm/pack.hpp.
#pragma once
#include "abi/args.hpp"
#include "kernels/gemm/pack.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

template <class Cell, class V>
class UnitVectors {
  static constexpr Index kLanes = V::kLanes;

 public:
  explicit UnitVectors(const PassArgs<typename V::Scalar>& pass) noexcept
      : hidden_(pass.hidden_size), head_(pass.hidden_size) {
    if constexpr (Cell::info.heads) head_ = pass.hidden_size / pass.heads;
    head_vectors_ = vectors_of<V>(head_);
    vectors_ = Cell::info.heads ? pass.heads * head_vectors_ : head_vectors_;
  }

  Index count() const noexcept { return vectors_; }
  Index head_of(Index q) const noexcept {
    if constexpr (Cell::info.heads) return q / head_vectors_;
    return 0;
  }
  // The first unit of vector q; of the one behind the last, the end of the units or beyond.
  Index first(Index q) const noexcept {
    if constexpr (!Cell::info.heads) return q * kLanes;
    return q / head_vectors_ * head_ + q % head_vectors_ * kLanes;
  }
  // How many units are left from vector q on in its head; more than kLanes where it is full.
  Index left(Index q) const noexcept {
    if constexpr (!Cell::info.heads) return hidden_ - q * kLanes;
    return head_ - q % head_vectors_ * kLanes;
  }

 private:
  Index hidden_, head_, head_vectors_, vectors_;
};

// Where each head's part of h is, of the rows of a step.
template <class Cell, class V>
class HeadRows {
  using T = typename V::Scalar;

 public:
  HeadRows(const PassArgs<T>& pass, Scratch& scratch) noexcept
      : count_(pass.count), heads_(pass.heads), depth_(pass.h_size) {
    if constexpr (Cell::info.heads) {
      depth_ = pass.h_size / heads_;
      rows_ = scratch.take<const T*>(heads_ * count_);
    }
  }

  // How many h a unit sees.
  Index depth() const noexcept { return depth_; }

  // Takes in the step's n rows.
  void find(Index n, const T* const* rows) noexcept {
    if constexpr (Cell::info.heads) {
      for (Index j = 0; j < heads_; ++j) {
        for (Index r = 0; r < n; ++r) rows_[j * count_ + r] = rows[r] + j * depth_;
      }
    }
  }

  // Those of a head, where `rows` are those of h.
  const T* const* rows(Index head, const T* const* rows) const noexcept {
    if constexpr (Cell::info.heads) return rows_ + head * count_;
    return rows;
  }

 private:
  Index count_, heads_, depth_;
  const T** rows_ = nullptr;
};

}  // namespace simdrnn::SIMDRNN_ISA
