// Layer normalisation of one row: Ba et al. 2016, arXiv:1607.06450.
//
//   n = (a - mean(a)) * scale      scale = 1 / sqrt(mean((a - mean(a))^2) + epsilon)
//   a's gradient = scale * (g - mean(g) - n * mean(g * n))      g = weight * n's gradient
//
// The means are over all gates of a row. The mean of a is taken first and the squares of what
// differs from it second, so that no digits are lost where a mean is large. Sums go into sixteen
// partial sums for each gate, by unit, whatever the ISA's lanes and the order in memory: their bits
// depend on neither.
#pragma once
#include "abi/sums.hpp"
#include "kernels/options/step_gradient.hpp"
#include "kernels/simd/partial.hpp"

namespace simdrnn::SIMDRNN_ISA {

// Where the vector of `gate` that begins at `unit` is: in an array by gate, or as tiles have it.
template <class T>
struct GateRow {
  const T* data;
  Index gate_stride;  // from gate to gate
  Index unit_stride;  // from vector to vector, divided by their length
  const T* at(Index gate, Index unit) const noexcept {
    return data + gate * gate_stride + unit * unit_stride;
  }
};

template <class T>
struct Moments {
  T mean, scale;
};

// total[s] = the sum of values(gate, unit, n, full, x)'s x[s] over all gates and units: x are
// vectors of which n lanes count, the others are 0; `full` says that all do. Gates are gone through
// one by one, as many as there are, so that this is compiled once for all cells.
template <class V, int kSums, class Values>
inline void sum_row(int gates, Index hidden, Values values,
                    typename V::Scalar (&total)[kSums]) noexcept {
  using T = typename V::Scalar;
  constexpr int kVectors = kPartialSums / V::kLanes;
  V all[kSums][kVectors];
  const auto clear = [](V(&sums)[kSums][kVectors]) noexcept {
    for (auto& of_sum : sums) {
      for (V& sum : of_sum) sum = V(T(0));
    }
  };
  clear(all);
  for (int gate = 0; gate < gates; ++gate) {
    V sums[kSums][kVectors];
    clear(sums);
    const auto add = [&](int vector, Index unit, Index n, auto full) noexcept {
      V x[kSums];
      values(gate, unit, n, full, x);
      for (int s = 0; s < kSums; ++s) sums[s][vector] = sums[s][vector] + x[s];
    };
    Index unit = 0;
    for (; unit + kPartialSums <= hidden; unit += kPartialSums) {
      for (int v = 0; v < kVectors; ++v) add(v, unit + v * V::kLanes, V::kLanes, Truth<true>{});
    }
    for (int v = 0; v < kVectors; ++v, unit += V::kLanes) {
      if (unit + V::kLanes <= hidden) {
        add(v, unit, V::kLanes, Truth<true>{});
      } else if (V::kLanes > 1 && unit < hidden) {
        add(v, unit, hidden - unit, Truth<false>{});
      }
    }
    for (int s = 0; s < kSums; ++s) {
      for (int v = 0; v < kVectors; ++v) all[s][v] = all[s][v] + sums[s][v];
    }
  }
  for (int s = 0; s < kSums; ++s) {
    T parts[kPartialSums];
    for (int v = 0; v < kVectors; ++v) all[s][v].store(parts + v * V::kLanes);
    total[s] = sum_of_parts(parts);
  }
}

// The mean of a row of gates * hidden values, and what its differences are multiplied by.
template <class V>
[[gnu::noinline]] Moments<typename V::Scalar> moments(const GateRow<typename V::Scalar>& row,
                                                      int gates, Index hidden,
                                                      typename V::Scalar epsilon) noexcept {
  using T = typename V::Scalar;
  const T count = static_cast<T>(gates * hidden);
  T total[1];
  sum_row<V>(
      gates, hidden,
      [&](int gate, Index unit, Index n, auto full, V(&x)[1]) noexcept {
        x[0] = load_n<full, V>(row.at(gate, unit), n);
      },
      total);
  const T mean = total[0] / count;
  T everywhere[V::kLanes];
  V(mean).store(everywhere);
  sum_row<V>(
      gates, hidden,
      [&](int gate, Index unit, Index n, auto full, V(&x)[1]) noexcept {
        const V away = load_n<full, V>(row.at(gate, unit), n) - load_n<full, V>(everywhere, n);
        x[0] = away * away;
      },
      total);
  return {mean, T(1) / square_root(total[0] / count + epsilon)};
}

template <class V>
inline V normalise(V a, const Moments<typename V::Scalar>& row) noexcept {
  return (a - V(row.mean)) * V(row.scale);
}

// What goes back through the norm of one row: of a product, or of a state with one gate.
template <class T>
struct RowGradient {
  GateRow<T> row;  // what was normalised
  int gates;
  Index hidden;
  // The gradient of what was made of it, by gate, H values each: the gates from `joint` on are
  // `skip` gates further back.
  const T* d;
  int joint, skip;
  const T* weight;  // by gate, weight_stride elements apart
  Index weight_stride;
  T* d_row;     // by gate; may be d where nothing is skipped
  T* d_weight;  // by gate

  const T* d_of(int gate) const noexcept {
    return d + (gate < joint ? gate : gate + skip) * hidden;
  }
};

// From the gradients of weight * normalise(row) to those of the row and of the weight.
template <class V>
[[gnu::noinline]] void through_norm(const RowGradient<typename V::Scalar>& a,
                                    const Moments<typename V::Scalar>& moments) noexcept {
  using T = typename V::Scalar;
  T means[2];
  sum_row<V>(
      a.gates, a.hidden,
      [&](int gate, Index unit, Index n, auto full, V(&x)[2]) noexcept {
        const V d = load_n<full, V>(a.d_of(gate) + unit, n);
        x[0] = d * V::load(a.weight + gate * a.weight_stride + unit);
        x[1] = x[0] * normalise(load_n<full, V>(a.row.at(gate, unit), n), moments);
      },
      means);
  for (T& mean : means) mean = mean / static_cast<T>(a.gates * a.hidden);
  for (int gate = 0; gate < a.gates; ++gate) {
    const T* const d = a.d_of(gate);
    each_vector<V>(0, a.hidden, [&](Index unit, Index n, auto full) noexcept {
      const V d_normal = load_n<full, V>(d + unit, n);
      const V normal = normalise(load_n<full, V>(a.row.at(gate, unit), n), moments);
      const V g = d_normal * V::load(a.weight + gate * a.weight_stride + unit);
      store_n<full>(d_normal * normal, a.d_weight + gate * a.hidden + unit, n);
      store_n<full>((g - V(means[0]) - normal * V(means[1])) * V(moments.scale),
                    a.d_row + gate * a.hidden + unit, n);
    });
  }
}

}  // namespace simdrnn::SIMDRNN_ISA
