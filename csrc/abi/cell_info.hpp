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
// A cell may have parameters of its own, `params` values per unit: they arrive behind `pre`, and in
// the backward pass behind `saved`; their gradients leave behind those of `pre`.
struct CellInfo {
  const char* name;
  const char* layer;       // the public layer class made of it; null: an option of another's
  const char* gate_names;  // symbols in the order of the rows of weight_ih, between spaces
  int gates;               // rows of weight_ih and weight_hh are gates * H
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
  bool projects = false;  // whether its h may be projected: it has `output` then
  int params = 0;         // values per unit beside weights and biases
  // Their names, separated by blanks; python/simdrnn/cells.py says what may follow a name.
  const char* parameters = "";
  // The state that layer normalisation acts on, of a cell whose equations come in two halves for
  // that (see cells/lstm.hpp); -1: it acts on the pre-activations alone.
  int normalise = -1;
};

inline constexpr int kMaxStates = 4;
inline constexpr int kMaxPhases = 2;
inline constexpr int kMaxActivations = 6;

}  // namespace simdrnn
