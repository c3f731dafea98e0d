// A row of the step at hand, and where its states before the step are, found by looking back over
// the flags.
#pragma once
#include "abi/args.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

// One row of the step at hand.
template <class T>
struct BackwardRow {
  Index i, b, number;          // slot, batch index, row of d_pre
  const T* state[kMaxStates];  // before the step
  const T* seen_h;             // h as the recurrent product saw it
};

// The last real step of row b before `step`; kNoStep or kReset if its states were the initial ones
// then, or those of a reset.
// Each gap is walked once per real step behind it, so a whole row costs O(T).
template <class T>
inline Index step_before(const PassArgs<T>& pass, Index step, Index b) noexcept {
  if (pass.flags == nullptr) return step - 1;
  if (flags_at(pass, time_of(pass, step), b) & kStepFresh) return kReset;
  for (Index s = step - 1; s >= 0; --s) {
    const unsigned flags = flags_at(pass, time_of(pass, s), b);
    if (flags & kStepReal) return s;
    if (flags & kStepFresh) return kReset;
  }
  return kNoStep;
}

// state[k]: where state k of row b before `step` is. h is in the output, the others end the
// saved values; where those are not kept, nothing but a gap lies between them and the checkpoint.
template <class T>
inline void states_before(const BackwardArgs<T>& a, const CellInfo& info, Index step, Index b,
                          const T** state) noexcept {
  const PassArgs<T>& pass = a.pass;
  const Index hidden = pass.hidden_size, before = step_before(pass, step, b);
  if (before < 0) {
    const T* const* const given = before == kReset ? pass.after_reset : pass.initial;
    state[0] = given[0] + b * pass.h_size;
    for (int k = 1; k < info.states; ++k) state[k] = given[k] + b * hidden;
    return;
  }
  const Index t = time_of(pass, before);
  state[0] = row_at(a.y, t, b);
  for (int k = 1; k < info.states; ++k) {
    const Index value = pass.layout.saved.last_states + k - 1;
    state[k] = before < a.saved_begin
                   ? a.checkpoint + (b * (info.states - 1) + k - 1) * hidden
                   : a.saved + ((t * pass.batch + b) * pass.layout.saved.width + value) * hidden;
  }
}

}  // namespace simdrnn::SIMDRNN_ISA
