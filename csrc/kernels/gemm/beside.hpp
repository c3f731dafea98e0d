// A product of several rows formed beside one row's: forward the input products of the steps to
// come, beside the recurrent product of the step at hand, and backward the gradients of the inputs
// of the steps behind.
//
// A row alone waits for its weights. A k of its wide tile is eight vectors out of the second-level
// cache, 16 cycles at 32 bytes each, and 8 FMAs. Into what is left over go a few rows times one
// vector of the other matrix: a vector more to read, and as many FMAs as rows. Measured for 128
// units (LSTM, ns a k): alone 4.45, with 8 rows 5.34, with 12 rows 5.55, of which fewer are then
// needed; 2 vectors times 4 rows 5.82; prefetches do not help. bench/README.md has the rest.
//
// Chains are as everywhere: an output's sum goes on in ascending k, over as many tiles as it takes.
#pragma once
#include "kernels/gemm/rows.hpp"
#include "kernels/gemm/transpose.hpp"

namespace simdrnn::SIMDRNN_ISA {

// Rows of such a product.
inline constexpr int kBesideRows = kOverlappedSteps / 2;

// One product at a time, vector by vector of its columns.
template <class V>
class ProductBeside {
  using T = typename V::Scalar;
  static constexpr Index kLanes = V::kLanes;

 public:
  using Sums = V[kBesideRows];
  static constexpr Index kStride = round_up(kBesideRows, kLanes);  // of x, from k to k + 1

  // Elements of the buffer for rows of so many elements.
  static constexpr Index buffer_size(Index depth) noexcept { return depth * kStride; }

  void begin_nothing() noexcept {
    a_.rows = a_.end = 0;
    column_ = 0;
  }

  // A product of at most kBesideRows rows, as multiply_rows would form it; its rows, and what it
  // begins with, have to stay. There is room for kBesideRows rows at `out`, however many they are.
  [[gnu::noinline]] void begin(const ProductArgs<T>& product, T* buffer) noexcept {
    a_ = product;
    x_ = buffer;
    for (Index first = 0; first < kStride; first += kLanes) transpose_rows(first);
    column_ = a_.begin;
    begin_vector();
  }

  // Whether anything is left to do.
  [[nodiscard]] bool going() const noexcept { return column_ < a_.end && a_.rows > 0; }

  // The vector at hand from the next k on: how many are left, ...
  [[nodiscard]] Index left() const noexcept { return a_.h_depth - k_; }
  [[nodiscard]] const T* x() const noexcept { return x_ + k_ * kStride; }  // [k][row]
  [[nodiscard]] const T* panel() const noexcept { return panel_; }         // [k][lane],
  [[nodiscard]] Index stride() const noexcept { return stride_; }          // so far apart
  [[gnu::always_inline]] void load(Sums& sums) const noexcept {
    if (k_ == 0 && a_.bias != nullptr) {
      const V bias = V::load(a_.bias + column_);
#pragma GCC unroll 16
      for (int r = 0; r < kBesideRows; ++r) sums[r] = bias;
    } else {
#pragma GCC unroll 16
      for (int r = 0; r < kBesideRows; ++r) sums[r] = V::load(sums_ + r * kLanes);
    }
  }

  // Takes its sums after n more of them.
  [[gnu::always_inline]] void advance(Index n, const Sums& sums) noexcept {
    k_ += n;
    panel_ += n * stride_;
    const bool done = k_ == a_.h_depth;
    if (done && a_.end - column_ >= kLanes) {
#pragma GCC unroll 16
      for (int r = 0; r < kBesideRows; ++r) sums[r].store(a_.out[r] + column_);
      next_vector();
      return;
    }
#pragma GCC unroll 16
    for (int r = 0; r < kBesideRows; ++r) sums[r].store(sums_ + r * kLanes);
    if (done) end_part();
  }

  // What is left of it, alone.
  [[gnu::noinline]] void finish() noexcept {
    if (!going()) return;
    if (k_ > 0) {
      Sums sums;
      load(sums);
      const Index n = left();
      const T* x = this->x();
      const T* w = panel_;
      for (Index k = 0; k < n; ++k, x += kStride, w += stride_) add_product(sums, x, w);
      advance(n, sums);
    }
    a_.begin = column_;
    if (going()) multiply_rows<V>(a_);
    column_ = a_.end;
  }

  // sums[r] += x[r] * w
  [[gnu::always_inline]] static void add_product(Sums& sums, const T* x, const T* w) noexcept {
    const V weights = V::load(w);
#pragma GCC unroll 16
    for (int r = 0; r < kBesideRows; ++r) sums[r] = fma(V(x[r]), weights, sums[r]);
  }

 private:
  // The rows from `first` on as lanes; zeros where there is none.
  void transpose_rows(Index first) noexcept {
    for (Index k = 0; k < a_.h_depth; k += kLanes) {
      const Index left = a_.h_depth - k;
      V block[kLanes];
      for (Index r = 0; r < kLanes; ++r) {
        block[r] = first + r < a_.rows ? load_up_to<V>(a_.h_rows[first + r] + k, left) : V(T(0));
      }
      transpose(block);
      for (Index i = 0; i < kLanes && i < left; ++i) {
        block[i].store(x_ + (k + i) * kStride + first);
      }
    }
  }

  // The vector at `column_`, if there is one.
  void begin_vector() noexcept {
    if (!going()) return;
    const Index tile = a_.tile_vectors * kLanes, first = column_ / tile * tile;
    stride_ = tile < a_.width - first ? tile : round_up(a_.width - first, kLanes);
    panel_ = a_.h_panels + first * a_.h_depth + (column_ - first);
    k_ = 0;
    if (a_.bias == nullptr) begin_sums_in_memory();
  }

  [[gnu::noinline]] void begin_sums_in_memory() noexcept {
    for (Index r = 0; r < kBesideRows; ++r) {
      const bool there = a_.accumulate && r < a_.rows;
      const V from = there ? load_up_to<V>(a_.out[r] + column_, a_.end - column_) : V(T(0));
      from.store(sums_ + r * kLanes);
    }
  }

  void next_vector() noexcept {
    column_ += kLanes;
    begin_vector();
  }

  // Of the last vector what is columns.
  [[gnu::noinline]] void end_part() noexcept {
    for (Index r = 0; r < a_.rows; ++r) {
      store_up_to<V>(V::load(sums_ + r * kLanes), a_.out[r] + column_, a_.end - column_);
    }
    next_vector();
  }

  // Nothing has a value before begin(): a small step would feel it.
  alignas(64) T sums_[kBesideRows * kLanes];
  ProductArgs<T> a_;
  T* x_;
  Index column_, k_, stride_;
  const T* panel_;
};

// accumulate() for one row, and as much of the other product as has room beside it.
template <int kVectors, int kSeparate, class V, int J, int kSlots>
[[gnu::always_inline]] inline void accumulate_beside(V (&acc)[J][1][kSlots],
                                                     const typename V::Scalar* const* rows,
                                                     Index depth, const typename V::Scalar* panel,
                                                     Index stride,
                                                     ProductBeside<V>& beside) noexcept {
  using T = typename V::Scalar;
  const T* const row[1] = {rows[0]};
  const Index next = depth * stride;
  Index k = 0;
  while (k < depth && beside.going()) {
    typename ProductBeside<V>::Sums sums;
    beside.load(sums);
    const Index begin = k, left = beside.left(), end = left < depth - k ? k + left : depth;
    const T* x = beside.x();
    const T* w = beside.panel();
    const Index w_stride = beside.stride();
    for (; k < end; ++k, panel += stride, x += ProductBeside<V>::kStride, w += w_stride) {
      add_product<kVectors, kSeparate>(acc, row, k, panel, next);
      beside.add_product(sums, x, w);
    }
    beside.advance(end - begin, sums);
  }
  for (; k < depth; ++k, panel += stride) {
    add_product<kVectors, kSeparate>(acc, row, k, panel, next);
  }
}

// sum_up() of one row.
template <int kVectors, int kSeparate, int kInputOnly, class V, int J, int kSlots>
[[gnu::always_inline]] inline void sum_up_beside(const TileArgs<typename V::Scalar>& a,
                                                 V (&acc)[J][1][kSlots],
                                                 ProductBeside<V>& beside) noexcept {
  begin_sums<kVectors, kSeparate>(a, acc);
  if (a.x_depth > 0) {
    accumulate_beside<kVectors, 0>(acc, a.x_rows, a.x_depth, a.x_panel, a.panel_stride, beside);
  }
  if constexpr (kInputOnly == 0) {
    accumulate_beside<kVectors, kSeparate>(acc, a.h_rows, a.h_depth, a.h_panel, a.panel_stride,
                                           beside);
  } else {
    constexpr int kRecurrent = kVectors - kInputOnly;
    accumulate_beside<kRecurrent, 0>(acc, a.h_rows, a.h_depth, a.h_panel, kRecurrent * V::kLanes,
                                     beside);
  }
}

// Tiles of one row for multiply_rows, with another product beside them where they are whole.
template <class V>
struct TilesBeside {
  using T = typename V::Scalar;
  ProductBeside<V>& beside;

  void operator()(int vectors, Index rows, bool wide, const TileArgs<T>& t, T* out) const noexcept {
    if (!beside.going() || rows > 1 || vectors < kTileVectors) {
      Tiles<V>()(vectors, rows, wide, t, out);
    } else if (wide) {
      form<kWideTiles>(t, out);
    } else {
      form<1>(t, out);
    }
  }

 private:
  template <int J>
  [[gnu::noinline]] void form(const TileArgs<T>& t, T* out) const noexcept {
    V sums[J][1][kTileVectors];
    sum_up_beside<kTileVectors, 0, 0>(t, sums, beside);
#pragma GCC unroll 8
    for (int v = 0; v < J * kTileVectors; ++v) {
      sums[v / kTileVectors][0][v % kTileVectors].store(out + v * V::kLanes);
    }
  }
};

// multiply_rows() of one row, with another product beside it.
template <class V>
[[gnu::noinline]] void multiply_row_beside(const ProductArgs<typename V::Scalar>& a,
                                           ProductBeside<V>& beside) noexcept {
  multiply_rows<V>(a, TilesBeside<V>{beside});
}

}  // namespace simdrnn::SIMDRNN_ISA
