// Random multipliers from a counter-based generator: each is a function of where it acts (call,
// feature, layer, direction, t, row, unit) and of nothing else. So nothing is stored, backward
// makes the same ones again, and neither threads nor chunks change them.
//
// Philox4x32-10: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", SC'11. Counter:
// (unit / 4, row, t, feature and stream); word `unit` % 4 of the result decides on the unit.
#pragma once
#include "abi/args.hpp"
#include "kernels/gemm/pack.hpp"
#include "kernels/options/gaussian.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

// Sixteen counters at once, by the compiler's own vectors: loops over arrays it leaves as they are.
using Words32 = std::uint32_t __attribute__((vector_size(64)));
using Words64 = std::uint64_t __attribute__((vector_size(64)));
inline constexpr int kCounters = 16;
inline constexpr Index kWords = 4 * kCounters;

// The low and high halves of a * factor: even and odd lanes are multiplied apart.
[[gnu::always_inline]] inline void multiply_words(const Words32& a, std::uint64_t factor,
                                                  Words32& low, Words32& high) noexcept {
  constexpr std::uint64_t kLow = 0xFFFFFFFFu;
  const Words64 even = ((Words64)a & kLow) * factor, odd = ((Words64)a >> 32) * factor;
  low = (Words32)((even & kLow) | (odd << 32));
  high = (Words32)((even >> 32) | (odd & ~kLow));
}

// The words of the units [first, first + kWords), where `first` is a multiple of 4.
[[gnu::noinline]] inline void random_words(const Draw& draw, Feature feature, Index t, Index b,
                                           Index first, std::uint32_t (&words)[kWords]) noexcept {
  Words32 c0, c1{}, c2{}, c3{};
  for (int i = 0; i < kCounters; ++i) c0[i] = static_cast<std::uint32_t>(first / 4 + i);
  c1 += static_cast<std::uint32_t>(b);
  c2 += static_cast<std::uint32_t>(t);
  c3 += static_cast<std::uint32_t>(feature) << 24 | draw.stream;
  auto key0 = static_cast<std::uint32_t>(draw.key);
  auto key1 = static_cast<std::uint32_t>(draw.key >> 32);
  for (int round = 0; round < 10; ++round) {
    Words32 low0, high0, low2, high2;
    multiply_words(c0, 0xD2511F53u, low0, high0);
    multiply_words(c2, 0xCD9E8D57u, low2, high2);
    c0 = high2 ^ c1 ^ key0;
    c1 = low2;
    c2 = high0 ^ c3 ^ key1;
    c3 = low0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  for (int i = 0; i < kCounters; ++i) {
    words[4 * i] = c0[i];
    words[4 * i + 1] = c1[i];
    words[4 * i + 2] = c2[i];
    words[4 * i + 3] = c3[i];
  }
}

// out[unit - begin] = `yes` where the event happens to the unit, else `no`, for the units
// [begin, end).
template <class T>
[[gnu::noinline]] void draw_row(const Draw& draw, Feature feature, Index t, Index b,
                                const Chance<T>& chance, T yes, T no, Index begin, Index end,
                                T* out) noexcept {
  std::uint32_t words[kWords];
  for (Index first = begin / 4 * 4; first < end; first += kWords) {
    random_words(draw, feature, t, b, first, words);
    const Index from = begin > first ? begin - first : 0;
    const Index to = end - first < kWords ? end - first : kWords;
    for (Index i = from; i < to; ++i)
      out[first + i - begin] = words[i] < chance.threshold ? yes : no;
  }
}

// Normal numbers of the units [begin, end), each times `deviation`, to out[unit - begin].
template <class V>
[[gnu::noinline]] void draw_normals(const Draw& draw, Index t, Index b,
                                    typename V::Scalar deviation, Index begin, Index end,
                                    typename V::Scalar* out) noexcept {
  std::uint32_t words[kWords];
  typename V::Scalar numbers[kWords];
  for (Index first = begin / 4 * 4; first < end; first += kWords) {
    random_words(draw, Feature::kStateNoise, t, b, first, words);
    normals<V>(words, deviation, numbers);
    const Index from = begin > first ? begin - first : 0;
    const Index to = end - first < kWords ? end - first : kWords;
    for (Index i = from; i < to; ++i) out[first + i - begin] = numbers[i];
  }
}

// Dropout of one row, in whole: see DropArgs.
template <class V>
void drop(const DropArgs<typename V::Scalar>& a) noexcept {
  std::uint32_t words[kWords];
  for (Index first = 0; first < a.width; first += kWords) {
    random_words(a.draw, a.feature, a.t, a.b, first, words);
    const Index n = a.width - first < kWords ? a.width - first : kWords;
    for (Index i = 0; i < n; ++i) {
      const bool dropped = words[i] < a.chance.threshold;
      a.out[first + i] = dropped ? typename V::Scalar(0) : a.in[first + i] * a.chance.scale;
    }
  }
}

inline constexpr Feature zoneout_of(int state) noexcept {
  return static_cast<Feature>(static_cast<std::uint32_t>(Feature::kZoneout) +
                              static_cast<std::uint32_t>(state));
}

// What is random about a step's rows: kRowsBeforeStates + states padded rows each, for
// Optioned::enter.
template <class V>
class StepNoise {
  using T = typename V::Scalar;

 public:
  // `acts`: whether options may act at all.
  StepNoise(const PassArgs<T>& pass, int states, Index padded, bool acts, Scratch& scratch) noexcept
      : pass_(pass), states_(states), padded_(padded) {
    if (acts) lay_out(scratch);
  }

  // Draws for the n-th row of the step, its units [begin, end).
  void prepare(Index n, Index t, Index b, Index begin, Index end) noexcept {
    if (rows_ != nullptr) draw(n, t, b, begin, end);
  }

  const T* row(Index n, Index unit) const noexcept {
    return rows_ == nullptr ? nullptr : rows_ + n * kept_rows() * padded_ + unit;
  }
  Index stride() const noexcept { return padded_; }

 private:
  Index kept_rows() const noexcept { return kRowsBeforeStates + states_; }

  [[gnu::noinline]] void lay_out(Scratch& scratch) noexcept {
    const CellOptions<T>& o = pass_.options;
    bool any = o.candidate_dropout.on || o.state_noise > T(0);
    for (int k = 0; k < states_; ++k) any = any || o.zoneout[k].on;
    if (any && pass_.draw.training) {
      rows_ = scratch.take<T>(pass_.count * kept_rows() * padded_);
    }
  }

  [[gnu::noinline]] void draw(Index n, Index t, Index b, Index begin, Index end) noexcept {
    const CellOptions<T>& o = pass_.options;
    T* to = rows_ + n * kept_rows() * padded_;
    if (o.candidate_dropout.on) {
      draw_row(pass_.draw, Feature::kCandidate, t, b, o.candidate_dropout, T(0),
               o.candidate_dropout.scale, begin, end, to + begin);
    } else {
      for (Index unit = begin; unit < end; ++unit) to[unit] = T(1);
    }
    to += padded_;
    if (o.state_noise > T(0)) {
      draw_normals<V>(pass_.draw, t, b, o.state_noise, begin, end, to + begin);
    }
    for (int k = 0; k < states_; ++k) {
      to += padded_;
      if (!o.zoneout[k].on) continue;
      draw_row(pass_.draw, zoneout_of(k), t, b, o.zoneout[k], T(0), T(1), begin, end, to + begin);
    }
  }

  const PassArgs<T>& pass_;
  int states_;
  Index padded_;
  T* rows_ = nullptr;
};

// Recurrent dropout: h as the recurrent product sees it. One mask per row and sequence (Gal and
// Ghahramani 2016, arXiv:1512.05287), or one for each gate: unit u of gate g is unit g * H + u (H:
// of h).
template <class V>
class RecurrentDropout {
  using T = typename V::Scalar;

 public:
  // `gates` see h; `acts`: whether options may act at all.
  RecurrentDropout(const PassArgs<T>& pass, int gates, Index padded, bool acts,
                   Scratch& scratch) noexcept
      : padded_(padded) {
    if (!acts || !pass.options.recurrent_dropout.on || !pass.draw.training) return;
    masks_per_row_ = gates > 1 && pass.options.dropout_by_gate ? gates : 1;
    masks_ = scratch.take<T>(pass.count * masks_per_row_ * padded);
    counting_ = masks_ == nullptr;
  }

  void start(const PassArgs<T>& pass) noexcept {
    if (masks_ != nullptr) draw(pass);
  }
  bool on() const noexcept { return masks_ != nullptr; }
  // Whether it will be, when there is memory.
  bool counted() const noexcept { return on() || counting_; }
  bool by_gate() const noexcept { return masks_per_row_ > 1; }
  Index masks_per_row() const noexcept { return masks_per_row_; }
  // Of row i and, where each has its own, gate g.
  const T* mask(Index i, Index g) const noexcept {
    return masks_ + (i * masks_per_row_ + (by_gate() ? g : 0)) * padded_;
  }

 private:
  // Draws the masks of all rows.
  [[gnu::noinline]] void draw(const PassArgs<T>& pass) noexcept {
    const Index hidden = pass.h_size;
    for (Index i = 0; i < pass.count; ++i) {
      for (Index g = 0; g < masks_per_row_; ++g) {
        draw_row(pass.draw, Feature::kRecurrent, 0, pass.rows[i], pass.options.recurrent_dropout,
                 T(0), pass.options.recurrent_dropout.scale, g * hidden, (g + 1) * hidden,
                 masks_ + (i * masks_per_row_ + g) * padded_);
      }
    }
  }

  Index padded_;
  Index masks_per_row_ = 1;
  T* masks_ = nullptr;
  bool counting_ = false;
};

}  // namespace simdrnn::SIMDRNN_ISA
