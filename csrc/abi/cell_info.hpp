// What a cell is, in numbers. Plain data: it crosses between baseline code and ISA code.
#pragma once
#include <cstddef>

namespace simdrnn {

using Index = std::ptrdiff_t;

// A step is  pre = bias + W x_t + R h_{t-1};  (states, saved) = cell(pre, states).
// `pre` has gates + separate rows: the gates' sums in the order of the rows of weight_ih, where the
// last `separate` gates hold only their input part (bias_ih + W x); their recurrent part (bias_hh +
// R h) follows behind the gates. `saved` ends with the new states other than h.
//
// Not every gate has both products. The last `input_only` gates (of the first phase, where there
// are two) have no R h, and weight_hh and bias_hh no rows for them; with second_sees_h the gate of
// the second phase has no W x, and weight_ih and bias_ih have no rows for it: it sees h as other
// gates do, and its operand through one more block of rows, the last of weight_hh.
//
// A cell may have parameters of its own, `cell_parameters` values per unit: they arrive behind
// `pre`, and in the backward pass behind `saved`; their gradients leave behind those of `pre`.
// Behind these come the numbers it takes of every step and row beside x, `attention`, the same for
// all units; the units' gradients for them are summed (engine/step_rows.hpp).
struct CellInfo {
  const char* name;
  const char* layer;       // the public layer class made of it; null: an option of another's
  const char* gate_names;  // symbols in the order of the rows of weight_ih, between spaces
  int gates;               // blocks of H rows of weight_ih and weight_hh, but for those left out
  int separate;            // how many of the last gates see W x and R h apart
  int states;              // h first
  int saved;               // values per unit that backward needs, beside h itself
  int phases;      // 2: the last gate's recurrent product takes an operand made by the other gates
  int keep = -1;   // the gate whose bias sets how long a unit remembers; -1: none
  int write = -1;  // the gate that multiplies what is added; -1: none, or 1 minus `keep`
  int candidate = -1;  // the gate that is written to the state, on which candidate dropout acts
  // Whether it is compiled a second time without options: a few per cent faster, and twice the
  // code. Other cells always run the twin with options.
  bool common = false;
  // The activations that can be exchanged, by default: one per gate, "-" where there is none, and
  // behind a "/" what squashes a state on its way to h.
  const char* activations = "";
  bool projects = false;       // whether its h may be projected: it has `output` then
  int input_only = 0;          // how many of the last gates have no recurrent product
  bool second_sees_h = false;  // whether the second phase's gate sees h instead of x
  bool biases = true;          // whether there are bias_ih and bias_hh
  int cell_parameters = 0;     // values per unit beside weights and biases
  // Their names, separated by blanks; python/simdrnn/spec/cell.py says what may follow a name.
  const char* parameters = "";
  int attention = 0;  // 0 or 1: numbers per step and row beside x
  // The states' names, separated by blanks; "n>0" is one that must be positive to mean something.
  const char* state_names = "h c";
  // Whether R may be cut into blocks along its diagonal, one per head: units then see the h of
  // their head alone, and weight_hh is (gates*H, H / heads).
  bool heads = false;
  // The state that layer normalisation acts on, of a cell whose equations come in two halves for
  // that (see kernels/cells/lstm.hpp); -1: it acts on the pre-activations alone.
  int normalise = -1;
};

// Blocks of H rows of weight_ih and bias_ih, of bias_hh, and of weight_hh. ISA code may use these
// functions only where a constant is made, so that none of them becomes a symbol there.
constexpr int input_blocks(const CellInfo& info) noexcept {
  return info.gates - (info.second_sees_h ? 1 : 0);
}
constexpr int recurrent_gates(const CellInfo& info) noexcept {
  return info.gates - info.input_only;
}
constexpr int recurrent_blocks(const CellInfo& info) noexcept {
  return recurrent_gates(info) + (info.second_sees_h ? 1 : 0);
}
// How many of the first gates are sums of W x and R h, formed in the first phase.
constexpr int joint_gates(const CellInfo& info) noexcept {
  return recurrent_gates(info) - info.separate - (info.phases - 1);
}

// Whether layer normalisation is there for it: all gates are sums of W x, R h and biases, and no
// more, formed at once.
constexpr bool normalisable(const CellInfo& info) noexcept {
  return info.phases == 1 && info.input_only == 0 && info.biases && info.attention == 0 &&
         !info.heads;
}

inline constexpr int kMaxStates = 4;
inline constexpr int kMaxPhases = 2;
inline constexpr int kMaxActivations = 6;

}  // namespace simdrnn
