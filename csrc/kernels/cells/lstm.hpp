// cells/lstm.hpp: long short-term memory, with peepholes, with coupled input and forget gates, with
// both or with neither.
//
//   i, f, o = sigmoid(pre_i, pre_f, pre_o)     g = tanh(pre_g)
//   c' = f * c + i * g                         h' = o * tanh(c')
//
//   peepholes: i, f = sigmoid(pre_i + p_i * c), sigmoid(pre_f + p_f * c)
//              o = sigmoid(pre_o + p_o * c')          the new c, as it is carried
//   i * g and o * tanh(c') cost one division each: see sigmoid_times_tanh in simd/math.hpp
//
//   coupled:   f = 1 - i (ONNX `input_forget`), or i = 1 - f (TensorFlow Lite's CIFG): three gates
//
// Source: Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000; peepholes: Gers &
// Schmidhuber 2000, "Recurrent nets that time and count"; coupled: Greff et al. 2017,
// arXiv:1503.04069.
#pragma once
#include "abi/cell_info.hpp"
#include "kernels/cells/cell_list.hpp"
#include "kernels/simd/lanes.hpp"

namespace simdrnn::SIMDRNN_ISA {

enum class Coupling { kNone, kForgetFromInput, kInputFromForget };

template <Coupling kCoupling, bool kPeephole>
struct LstmOf {
  static constexpr bool kBoth = kCoupling == Coupling::kNone;                // i and f
  static constexpr bool kForgets = kCoupling == Coupling::kInputFromForget;  // f alone
  // Rows of the weights: the gates that update c (one where they are coupled), g, o; c's tanh; and
  // behind them the peepholes, of the first gates and of o.
  static constexpr int kUpdates = kBoth ? 2 : 1;
  enum Place { kNew = kUpdates, kOutput, kSquash };
  enum State { kHidden, kCell };
  static constexpr Gate kI{"i", kSigmoid, kWrites}, kF{"f", kSigmoid, kKeeps};
  static constexpr Gate kG{"g", kTanh, kCandidate}, kO{"o", kSigmoid};
  static constexpr CellInfo info = described(
      {.name = kBoth       ? kPeephole ? "lstm_peephole" : "lstm"
               : kForgets  ? kPeephole ? "lstm_peephole_coupled_forget" : "lstm_coupled_forget"
               : kPeephole ? "lstm_peephole_coupled_input"
                           : "lstm_coupled_input",
       .layer = kBoth && !kPeephole ? "LSTM" : nullptr,
       .gates = {kForgets ? kF : kI, kBoth ? kF : kG, kBoth ? kG : kO, kBoth ? kO : Gate()},
       .squash = kTanh,
       .states = 2,
       .saved = kUpdates + 3,
       .common = kBoth && !kPeephole,
       .projects = true,
       .parameters = !kPeephole ? ""
                     : kBoth    ? "weight_ci weight_cf weight_co"
                     : kForgets ? "weight_cf weight_co"
                                : "weight_ci weight_co",
       .normalise = kCell});
  static constexpr int kGates = info.gate_count, kSaved = info.saved;
  static constexpr int kParams = info.cell_parameters;

  template <class V, class P>
  [[gnu::always_inline]] static void forward(const Lanes<V, kGates + kParams>& pre,
                                             const Lanes<V, 2>& state, const P& p,
                                             Lanes<V, 2>& next, Lanes<V, kSaved>& saved) noexcept {
    const V c = p.clip_cell(update(pre, state, p, saved));
    next = {hidden(pre, c, p, saved), c};
    saved[kOutput + 1] = c;
  }

  // The halves that a normalised c lies between. The first returns c before it is clipped.
  template <class V, class P>
  [[gnu::always_inline]] static V update(const Lanes<V, kGates + kParams>& pre,
                                         const Lanes<V, 2>& state, const P& p,
                                         Lanes<V, kSaved>& saved) noexcept {
    const V c = state[kCell], one(typename V::Scalar(1));
    V first = pre[0];
    if constexpr (kPeephole) first = fma(pre[kGates], c, first);
    if constexpr (kForgets) {
      const V f = saved[0] = p(first, 0);
      const V g = saved[kNew] = p(pre[kNew], kNew);
      return fma(f, c, (one - f) * p.drop(g));
    } else {
      const auto entering = p.gated(first, 0, pre[kNew], kNew);
      saved[0] = entering.gate;
      saved[kNew] = entering.value;
      V f = one - entering.gate;
      if constexpr (kBoth) {
        V argument = pre[1];
        if constexpr (kPeephole) argument = fma(pre[kGates + 1], c, argument);
        f = saved[1] = p(argument, 1);
      }
      return fma(f, c, p.drop(entering.product));
    }
  }

  // h, of c as it is squashed.
  template <class V, class P>
  [[gnu::always_inline]] static V hidden(const Lanes<V, kGates + kParams>& pre, V c, const P& p,
                                         Lanes<V, kSaved>& saved) noexcept {
    V argument = pre[kOutput];
    if constexpr (kPeephole) argument = fma(pre[kGates + kUpdates], c, argument);
    const auto shown = p.gated_squash(argument, kOutput, c, kSquash);
    saved[kOutput] = shown.gate;
    return shown.product;
  }

  template <class V, class P>
  [[gnu::always_inline]] static void backward(const Lanes<V, kSaved + kParams>& saved,
                                              const Lanes<V, 2>& state, const Lanes<V, 2>&,
                                              const Lanes<V, 2>& d_next, const P& p,
                                              Lanes<V, kGates + kParams>& d_pre,
                                              Lanes<V, 2>& d_state) noexcept {
    const V c = saved[kOutput + 1];
    const V d_c = through_hidden(saved, c, d_next[kHidden], d_next[kCell], p, d_pre);
    through_update(saved, state, p.through_cell_clip(c, d_c), p, d_pre, d_state);
  }

  // Back to c as it was squashed; `d_c` is its gradient from elsewhere.
  template <class V, class P>
  [[gnu::always_inline]] static V through_hidden(const Lanes<V, kSaved + kParams>& saved, V c,
                                                 V d_h, V d_c, const P& p,
                                                 Lanes<V, kGates + kParams>& d_pre) noexcept {
    const V o = saved[kOutput];
    const V squashed = p.squash(c, kSquash);  // recomputed: cheaper than one more saved value
    d_pre[kOutput] = d_h * squashed * p.slope(o, kOutput);
    d_c = fma(d_h * o, p.squash_slope(squashed, kSquash), d_c);
    if constexpr (kPeephole) {
      d_pre[kGates + kUpdates] = d_pre[kOutput] * c;
      d_c = fma(saved[kSaved + kUpdates], d_pre[kOutput], d_c);
    }
    return d_c;
  }

  template <class V, class P>
  [[gnu::always_inline]] static void through_update(const Lanes<V, kSaved + kParams>& saved,
                                                    const Lanes<V, 2>& state, V d_c, const P& p,
                                                    Lanes<V, kGates + kParams>& d_pre,
                                                    Lanes<V, 2>& d_state) noexcept {
    const V c = state[kCell], g = saved[kNew];
    V gates[kUpdates], d_gates[kUpdates];
#pragma GCC unroll 2
    for (int u = 0; u < kUpdates; ++u) gates[u] = saved[u];
    through(d_c * p.drop(g), d_c * c, d_gates);
    d_pre[kNew] = p.drop(d_c * input(gates)) * p.slope(g, kNew);
    V d_cell = d_c * forget(gates);
#pragma GCC unroll 2
    for (int u = 0; u < kUpdates; ++u) {
      d_pre[u] = d_gates[u] * p.slope(gates[u], u);
      if constexpr (kPeephole) {
        d_cell = fma(saved[kSaved + u], d_pre[u], d_cell);
        d_pre[kGates + u] = d_pre[u] * c;
      }
    }
    d_state = {V(typename V::Scalar(0)), d_cell};  // h's part goes through R: the driver's
  }

  // h' of what a step saved.
  template <class V, class P>
  static V output(const Lanes<V, kSaved + kParams>& saved, const P& p) noexcept {
    return saved[kOutput] * p.squash(saved[kOutput + 1], kSquash);
  }

 private:
  // i and f, of the gates that update c.
  template <class V>
  static V input(const V (&update)[kUpdates]) noexcept {
    if constexpr (kForgets) {
      return V(typename V::Scalar(1)) - update[0];
    } else {
      return update[0];
    }
  }
  template <class V>
  static V forget(const V (&update)[kUpdates]) noexcept {
    if constexpr (!kBoth && !kForgets) {
      return V(typename V::Scalar(1)) - update[0];
    } else {
      return update[kUpdates - 1];
    }
  }
  // From the gradients of i and f to those of the gates.
  template <class V>
  static void through(V d_input, V d_forget, V (&d_update)[kUpdates]) noexcept {
    if constexpr (kBoth) {
      d_update[0] = d_input;
      d_update[1] = d_forget;
    } else {
      d_update[0] = kForgets ? d_forget - d_input : d_input - d_forget;
    }
  }
};

using Lstm = LstmOf<Coupling::kNone, false>;
using LstmPeephole = LstmOf<Coupling::kNone, true>;
using LstmCoupledInput = LstmOf<Coupling::kForgetFromInput, false>;
using LstmCoupledForget = LstmOf<Coupling::kInputFromForget, false>;
using LstmPeepholeCoupledInput = LstmOf<Coupling::kForgetFromInput, true>;
using LstmPeepholeCoupledForget = LstmOf<Coupling::kInputFromForget, true>;

SIMDRNN_CELL(Lstm);
SIMDRNN_CELL(LstmPeephole);
SIMDRNN_CELL(LstmCoupledInput);
SIMDRNN_CELL(LstmCoupledForget);
SIMDRNN_CELL(LstmPeepholeCoupledInput);
SIMDRNN_CELL(LstmPeepholeCoupledForget);

}  // namespace simdrnn::SIMDRNN_ISA
