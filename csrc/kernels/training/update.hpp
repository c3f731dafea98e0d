// Steps of optimisers. Each operation of a rule is one correctly rounded operation on each element,
// in the order of the formulas in python/simdrnn/optim: loops for the compiler to vectorise, since
// no width changes a bit. A block goes through them in pieces that stay in the first-level cache.
#pragma once
#include "abi/training.hpp"
#include "kernels/options/step_gradient.hpp"  // square_root

namespace simdrnn::SIMDRNN_ISA {

inline constexpr Index kUpdatePiece = 512;

// The larger of two; NaN where one is, as numpy.maximum has it.
template <class T>
inline T larger(T a, T b) noexcept {
  const T found = a >= b ? a : b;
  return a != a ? a : found;
}

// One piece: the parameter, what it keeps, and the gradient as the rule takes it.
template <class T>
struct Piece {
  T* p;
  T* kept[3];
  T* g;  // memory of the piece's own
  Index n;
};

// Calls act for each piece of a block. The gradient is read before the parameter is written: it may
// be the same array.
template <class T, class Act>
[[gnu::always_inline]] inline void each_piece(const UpdateBlock<T>& block, Act act) noexcept {
  alignas(64) T memory[kUpdatePiece];
  for (Index first = 0; first < block.count; first += kUpdatePiece) {
    Piece<T> piece{block.parameter + first, {}, memory, block.count - first};
    if (piece.n > kUpdatePiece) piece.n = kUpdatePiece;
    for (int k = 0; k < 3; ++k) {
      piece.kept[k] = block.kept[k] == nullptr ? nullptr : block.kept[k] + first;
    }
    const T* const p = piece.p;
    const T* const g = block.gradient + first;
    if (block.decay != T(0)) {
      for (Index i = 0; i < piece.n; ++i) memory[i] = p[i] * block.decay + g[i] * block.scale;
    } else {
      for (Index i = 0; i < piece.n; ++i) memory[i] = g[i] * block.scale;
    }
    act(piece);
  }
}

template <class T>
void sgd(const UpdateBlock<T>& block, const SgdRule<T>& rule) noexcept {
  each_piece(block, [&](const Piece<T>& piece) {
    T* __restrict const p = piece.p;
    T* __restrict const g = piece.g;
    T* __restrict const buffer = piece.kept[0];
    if (rule.buffered) {
      if (rule.first) {
        for (Index i = 0; i < piece.n; ++i) buffer[i] = g[i];
      } else {
        for (Index i = 0; i < piece.n; ++i) {
          buffer[i] = buffer[i] * rule.momentum + g[i] * rule.taken;
        }
      }
      if (rule.nesterov) {
        for (Index i = 0; i < piece.n; ++i) g[i] = g[i] + buffer[i] * rule.momentum;
      } else {
        for (Index i = 0; i < piece.n; ++i) g[i] = buffer[i];
      }
    }
    for (Index i = 0; i < piece.n; ++i) p[i] -= g[i] * rule.rate;
  });
}

template <class T>
void adam(const UpdateBlock<T>& block, const AdamRule<T>& rule) noexcept {
  each_piece(block, [&](const Piece<T>& piece) {
    T* __restrict const p = piece.p;
    T* __restrict const g = piece.g;
    T* __restrict const mean = piece.kept[0];
    T* __restrict const square = piece.kept[1];
    if (rule.shrink != T(1)) {
      for (Index i = 0; i < piece.n; ++i) p[i] *= rule.shrink;
    }
    for (Index i = 0; i < piece.n; ++i) {
      mean[i] += (g[i] - mean[i]) * rule.mean_taken;
      square[i] = square[i] * rule.square_kept + g[i] * g[i] * rule.square_taken;
      g[i] = square[i];
    }
    if (rule.largest) {
      T* __restrict const largest = piece.kept[2];
      for (Index i = 0; i < piece.n; ++i) g[i] = largest[i] = larger(largest[i], g[i]);
    }
    for (Index i = 0; i < piece.n; ++i) {
      p[i] -= mean[i] / (square_root(g[i]) / rule.root + rule.eps) * rule.rate;
    }
  });
}

template <class T>
void rmsprop(const UpdateBlock<T>& block, const RmspropRule<T>& rule) noexcept {
  each_piece(block, [&](const Piece<T>& piece) {
    T* __restrict const p = piece.p;
    T* __restrict const g = piece.g;
    T* __restrict const square = piece.kept[0];
    for (Index i = 0; i < piece.n; ++i) {
      square[i] = square[i] * rule.square_kept + g[i] * g[i] * rule.taken;
    }
    if (rule.centered) {
      T* __restrict const mean = piece.kept[rule.buffered ? 2 : 1];
      for (Index i = 0; i < piece.n; ++i) {
        mean[i] += (g[i] - mean[i]) * rule.taken;
        const T variance = larger(square[i] - mean[i] * mean[i], T(0));
        g[i] = g[i] / (square_root(variance) + rule.eps);
      }
    } else {
      for (Index i = 0; i < piece.n; ++i) g[i] = g[i] / (square_root(square[i]) + rule.eps);
    }
    if (rule.buffered) {
      T* __restrict const buffer = piece.kept[1];
      for (Index i = 0; i < piece.n; ++i) g[i] = buffer[i] = buffer[i] * rule.momentum + g[i];
    }
    for (Index i = 0; i < piece.n; ++i) p[i] -= g[i] * rule.rate;
  });
}

template <class T>
void scale(T* x, Index n, T factor) noexcept {
  for (Index i = 0; i < n; ++i) x[i] *= factor;
}

}  // namespace simdrnn::SIMDRNN_ISA
