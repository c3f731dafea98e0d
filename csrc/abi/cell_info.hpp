// What a cell is, in numbers. Plain data: it crosses between baseline code and ISA code.
#pragma once
#include <cstddef>

namespace simdrnn {

using Index = std::ptrdiff_t;

// A step is  pre = bias + W x_t + R h_{t-1};  (states, saved) = cell(pre, states).
// `pre` has gates + separate rows: the gates' sums in the order of the rows of weight_ih, where the
// last `separate` gates hold only their input part (bias_ih + W x); their recurrent part (bias_hh +
// R h) follows behind the gates. `saved` ends with the new states other than h.
struct CellInfo {
  const char* name;
  const char* layer;       // the public layer class made of it; null: an option of another's
  const char* gate_names;  // symbols in the order of the rows of weight_ih, between spaces
  int gates;               // rows of weight_ih and weight_hh are gates * H
  int separate;            // how many of the last gates see W x and R h apart
  int states;              // h first
  int saved;               // values per unit that backward needs, beside h itself
  int phases;  // 2: the last gate's recurrent product takes an operand made by the other gates
  int keep;    // the gate whose bias sets how long a unit remembers; -1: none
  int write;   // the gate that multiplies what is added; -1: none, or 1 minus `keep`
};

inline constexpr int kMaxStates = 3;
inline constexpr int kMaxPhases = 2;

}  // namespace simdrnn
