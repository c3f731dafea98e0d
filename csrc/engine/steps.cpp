#include "engine/steps.hpp"

#include <algorithm>

namespace simdrnn {

namespace {

Index length_of(const StepSources& s, Index b) {
  return s.lengths == nullptr ? s.steps : static_cast<Index>(s.lengths[b]);
}

bool is_real(const StepSources& s, Index t, Index b) {
  return t < length_of(s, b) && (s.mask == nullptr || s.mask[t * s.batch + b] != 0);
}

// Whether the row is cut between t - 1 and t.
bool is_cut(const StepSources& s, Index t, Index b) {
  return s.reset != nullptr && t < length_of(s, b) && s.reset[t * s.batch + b] != 0;
}

}  // namespace

std::vector<std::uint8_t> make_flags(const StepSources& s, bool reverse) {
  std::vector<std::uint8_t> flags(static_cast<std::size_t>(s.steps * s.batch));
  for (Index t = 0; t < s.steps; ++t) {
    for (Index b = 0; b < s.batch; ++b) {
      unsigned flag = is_real(s, t, b) ? unsigned{kStepReal} : 0u;
      const Index cut = reverse ? t + 1 : t;
      if (cut < s.steps && is_cut(s, cut, b)) flag |= kStepFresh;
      flags[static_cast<std::size_t>(t * s.batch + b)] = static_cast<std::uint8_t>(flag);
    }
  }
  return flags;
}

std::vector<Index> real_steps(const StepSources& s) {
  std::vector<Index> counts(static_cast<std::size_t>(s.batch), s.steps);
  if (s.mask == nullptr) {
    if (s.lengths != nullptr) std::copy_n(s.lengths, s.batch, counts.begin());
    return counts;
  }
  std::fill(counts.begin(), counts.end(), 0);
  for (Index t = 0; t < s.steps; ++t) {
    for (Index b = 0; b < s.batch; ++b) {
      counts[static_cast<std::size_t>(b)] += is_real(s, t, b) ? 1 : 0;
    }
  }
  return counts;
}

}  // namespace simdrnn
