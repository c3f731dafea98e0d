// What back-propagation carries from step to step, kept for those who want to see it (sr.diagnose).
//
// A trace is (T, B, (S + 1) * H), S states, written at real steps only:
//   dL/dh_t                 after the clips of step_gradient.hpp, with dL/dy_t added
//   dL/dc_t                 of each other state, as carried: without its way through h_t
//   arriving part of dL/dh_t  before those clips and without dL/dy_t
#pragma once
#include "abi/args.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

// The trace's `block` of H elements for row b of the batch at time t.
template <class T>
inline T* trace_at(const BackwardArgs<T>& a, const CellInfo& info, Index t, Index b,
                   Index block) noexcept {
  const Index blocks = info.states + 1;
  return a.trace + ((t * a.run.batch + b) * blocks + block) * a.run.hidden_size;
}

// To be called before the step's gradient is clipped. `i` is the row's slot among the thread's.
template <class T>
inline void trace_arriving(const BackwardArgs<T>& a, const CellInfo& info, Index t, Index b,
                           Index i, Share units) noexcept {
  const Index begin = units.begin, n = units.end - units.begin;
  const T* const d_h = a.d_state[0] + i * a.padded;
  copy(d_h + begin, trace_at(a, info, t, b, info.states) + begin, n);
}

// To be called after it is clipped, before the cell takes it.
template <class T>
inline void trace_states(const BackwardArgs<T>& a, const CellInfo& info, Index t, Index b, Index i,
                         Share units) noexcept {
  const Index begin = units.begin, n = units.end - units.begin;
  for (Index k = 0; k < info.states; ++k) {
    copy(a.d_state[k] + i * a.padded + begin, trace_at(a, info, t, b, k) + begin, n);
  }
  if (a.d_y.data == nullptr) return;
  const T* const d_y = row_at(a.d_y, t, b);
  T* const d_h = trace_at(a, info, t, b, 0);
  for (Index u = units.begin; u < units.end; ++u) d_h[u] += d_y[u];
}

}  // namespace simdrnn::SIMDRNN_ISA
