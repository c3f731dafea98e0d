// What back-propagation carries from step to step, kept for those who want to see it (sr.diagnose).
//
// A trace is (T, B, (S + 1) * H), S states, written at real steps only:
//   dL/dh_t                 after the clips of step_gradient.hpp, with dL/dy_t added
//   dL/dc_t                 of each other state, as carried: without its way through h_t
//   arriving part of dL/dh_t  before those clips and without dL/dy_t
// With a projection the first and the last are P wide.
#pragma once
#include "abi/args.hpp"
#include "kernels/steps.hpp"

namespace simdrnn::SIMDRNN_ISA {

// Where the trace's part for state k of row b of the batch at time t begins; k = states is what
// arrives.
template <class T>
inline T* trace_at(const BackwardArgs<T>& a, const CellInfo& info, Index t, Index b,
                   Index k) noexcept {
  const Index h_size = a.pass.h_size, others = (info.states - 1) * a.pass.hidden_size;
  T* const row = a.trace + (t * a.pass.batch + b) * (2 * h_size + others);
  return k == 0 ? row : row + h_size + (k - 1) * a.pass.hidden_size;
}

// To be called before the step's gradient is clipped. `i` is the row's slot among the thread's.
template <class T>
inline void trace_arriving(const BackwardArgs<T>& a, const CellInfo& info, Index t, Index b,
                           Index i, Share of_h) noexcept {
  const Index begin = of_h.begin, n = of_h.end - of_h.begin;
  const T* const d_h = a.d_state[0] + i * a.padded;
  copy(d_h + begin, trace_at(a, info, t, b, info.states) + begin, n);
}

// To be called after it is clipped, before the cell takes it. `of_h`, `units`: the part of h and of
// the other states.
template <class T>
inline void trace_states(const BackwardArgs<T>& a, const CellInfo& info, Index t, Index b, Index i,
                         Share of_h, Share units) noexcept {
  for (Index k = 0; k < info.states; ++k) {
    const Share part = k == 0 ? of_h : units;
    copy(a.d_state[k] + i * a.padded + part.begin, trace_at(a, info, t, b, k) + part.begin,
         part.end - part.begin);
  }
  if (a.d_y.data == nullptr) return;
  const T* const d_y = row_at(a.d_y, t, b);
  T* const d_h = trace_at(a, info, t, b, 0);
  for (Index u = of_h.begin; u < of_h.end; ++u) d_h[u] += d_y[u];
}

}  // namespace simdrnn::SIMDRNN_ISA
