// What a cell is, in numbers. Plain data: it crosses between baseline code and ISA code.
#pragma once
#include <cstddef>

#include "abi/activation.hpp"

namespace simdrnn {

using Index = std::ptrdiff_t;

inline constexpr int kMaxStates = 4;
inline constexpr int kMaxPhases = 2;
inline constexpr int kMaxGates = 4;
inline constexpr int kMaxActivations = 6;

// What is said of a gate beside its name and its activation.
enum GateTrait : unsigned {
  kNothingMore = 0,
  kKeeps = 1,         // its bias sets how long a unit remembers
  kWrites = 2,        // it multiplies what is added; where no gate does, that is 1 minus what keeps
  kCandidate = 4,     // it is written to the state; candidate dropout acts on it
  kApart = 8,         // its W x and R h arrive apart
  kInputOnly = 16,    // it has no R h
  kSecondPhase = 32,  // its recurrent product takes an operand that the other gates make
  kSeesH = 64,        // of the second phase: it has no W x, but sees h as other gates do, too
  kFixed = 128,       // its activation cannot be exchanged
};

struct Gate {
  const char* name = nullptr;
  ActivationKind activation = ActivationKind::kIdentity;
  unsigned traits = 0;

  constexpr Gate() = default;
  constexpr Gate(const char* symbol, ActivationKind kind, GateTrait first = kNothingMore,
                 GateTrait second = kNothingMore, GateTrait third = kNothingMore)
      : name(symbol), activation(kind), traits(first | second | third) {}
};

// What a cell says of itself. From it follows all that is generic over cells: CellInfo.
//
// A step is  pre = bias + W x_t + R h_{t-1};  (states, saved) = cell(pre, states).
// `pre` has a row of sums for each gate, in the order of the rows of weight_ih. Gates that are
// apart come last and have only their input part (bias_ih + W x) there; their recurrent part
// (bias_hh + R h) follows behind the gates. `saved` ends with the new states other than h.
//
// Not every gate has both products. Those that are kInputOnly are the last (of the first phase,
// where there are two); weight_hh and bias_hh have no rows for them. With kSeesH the gate of the
// second phase has no W x, and weight_ih and bias_ih have no rows for it: it sees h as other gates
// do, and its operand through one more block of rows, the last of weight_hh.
//
// A cell may have parameters of its own, values per unit: they arrive behind `pre`, and in the
// backward pass behind `saved`; their gradients leave behind those of `pre`. Behind these comes
// what it takes of every step and row beside x, `attention`, the same for all units; the units'
// gradients for it are summed (engine/sums.hpp).
struct CellDeclaration {
  const char* name;
  const char* layer = nullptr;  // the public layer class made of it; null: an option of another's
  Gate gates[kMaxGates];        // in the order of the rows of weight_ih and weight_hh
  // Of a second gate that is made of the same sums; identity: there is none.
  ActivationKind second_activation = ActivationKind::kIdentity;
  // What squashes a state on its way to h; identity: nothing.
  ActivationKind squash = ActivationKind::kIdentity;
  int states = 1;  // h first
  int saved = 0;   // values per unit that backward needs, beside h itself
  // Whether it is compiled a second time without options: a few per cent faster, and twice the
  // code. Other cells always run the twin with options.
  bool common = false;
  bool projects = false;  // whether its h may be projected: it has `output` then
  bool biases = true;     // whether there are bias_ih and bias_hh
  // Names of its own parameters, separated by blanks; python/simdrnn/spec/cell.py says what may
  // follow a name.
  const char* parameters = "";
  bool attention = false;
  // The states' names, separated by blanks; "n>0" is one that must be positive to mean something.
  const char* state_names = "h c";
  // Whether R may be cut into blocks along its diagonal, one per head: units then see the h of
  // their head alone, and weight_hh is (gates*H, H / heads).
  bool heads = false;
  // Whether its equations have a place for noise on the state: they ask p.noisy.
  bool noisy = false;
  // The state that layer normalisation acts on, of a cell whose equations come in two halves for
  // that (see kernels/cells/lstm.hpp); -1: it acts on the pre-activations alone.
  int normalise = -1;
};

// The same with the counts that follow.
struct CellInfo : CellDeclaration {
  int gate_count = 0;    // blocks of H rows of weight_ih and weight_hh, but for those left out
  int separate = 0;      // how many of the last gates see W x and R h apart
  int second_gates = 0;  // how many of the last gates are of the second phase
  int phases = 1;        // 2: there are such gates
  int input_only = 0;    // how many of the last gates have no recurrent product
  bool second_sees_h = false;                 // whether the second phase's gate sees h instead of x
  int keep = -1, write = -1, candidate = -1;  // the gates with these traits; -1: none
  int cell_parameters = 0;                    // how many there are
  // The activations that can be exchanged, by place: the gates', that of a second gate, what
  // squashes a state.
  ActivationKind activations[kMaxActivations] = {};
  int squash_place = 0;  // behind the gates'
};

// Not to be called while running: where it is, in a constant, compilation ends.
void gates_are_out_of_order();

constexpr int count_words(const char* text) noexcept {
  int words = 0;
  for (bool inside = false; *text != '\0'; ++text) {
    words += *text != ' ' && !inside ? 1 : 0;
    inside = *text != ' ';
  }
  return words;
}

constexpr CellInfo described(const CellDeclaration& cell) {
  CellInfo info{cell};
  const auto last_one = [](int& place, int gate, bool is_it) { place = is_it ? gate : place; };
  for (; info.gate_count < kMaxGates && cell.gates[info.gate_count].name != nullptr;
       ++info.gate_count) {
    const int g = info.gate_count;
    const unsigned traits = cell.gates[g].traits;
    const auto has = [&](GateTrait trait) { return (traits & trait) != 0; };
    // What is said of the last gates is said of all from there on.
    if ((info.separate > 0 && !has(kApart)) || (info.second_gates > 0 && !has(kSecondPhase)) ||
        (info.input_only > 0 && !has(kInputOnly) && !has(kSecondPhase))) {
      gates_are_out_of_order();
    }
    info.separate += has(kApart) ? 1 : 0;
    info.input_only += has(kInputOnly) ? 1 : 0;
    info.second_gates += has(kSecondPhase) ? 1 : 0;
    info.phases = info.second_gates > 0 ? 2 : 1;
    info.second_sees_h = has(kSeesH);
    last_one(info.keep, g, has(kKeeps));
    last_one(info.write, g, has(kWrites));
    last_one(info.candidate, g, has(kCandidate));
    info.activations[g] = cell.gates[g].activation;
  }
  info.squash_place = info.gate_count;
  if (cell.second_activation != ActivationKind::kIdentity) {
    info.activations[info.squash_place++] = cell.second_activation;
  }
  info.activations[info.squash_place] = cell.squash;
  info.cell_parameters = count_words(cell.parameters);
  return info;
}

// Blocks of H rows of weight_ih and bias_ih, of bias_hh, and of weight_hh. (Inlined always, so that
// none of these functions becomes a symbol of ISA code.)
[[gnu::always_inline]] constexpr int input_blocks(const CellInfo& info) noexcept {
  return info.gate_count - (info.second_sees_h ? 1 : 0);
}
[[gnu::always_inline]] constexpr int recurrent_gates(const CellInfo& info) noexcept {
  return info.gate_count - info.input_only;
}
[[gnu::always_inline]] constexpr int recurrent_blocks(const CellInfo& info) noexcept {
  return recurrent_gates(info) + (info.second_sees_h ? 1 : 0);
}
// How many of the first gates are sums of W x and R h, formed in the first phase.
[[gnu::always_inline]] constexpr int joint_gates(const CellInfo& info) noexcept {
  return recurrent_gates(info) - info.separate - info.second_gates;
}

// Whether layer normalisation is there for it: all gates are sums of W x, R h and biases, and no
// more, formed at once.
[[gnu::always_inline]] constexpr bool normalisable(const CellInfo& info) noexcept {
  return info.phases == 1 && info.input_only == 0 && info.biases && !info.attention && !info.heads;
}

}  // namespace simdrnn
