// From lengths, mask and reset to one byte per (t, b): what each step of each row does in one
// direction; and the numbers of the real ones.
#pragma once
#include <cstdint>
#include <vector>

#include "abi/args.hpp"

namespace simdrnn {

// The user's arguments; null where not given. mask and reset are (T, B).
struct StepSources {
  Index steps, batch;
  const std::int64_t* lengths;
  const std::uint8_t* mask;
  const std::uint8_t* reset;
  [[nodiscard]] bool any() const {
    return lengths != nullptr || mask != nullptr || reset != nullptr;
  }
};

// Flags (T, B) of StepFlag. A reset at t cuts a row between t - 1 and t: the forward direction
// starts afresh at t, the reverse direction at t - 1. Steps at or beyond a row's length are
// padding: their mask and reset are not read.
std::vector<std::uint8_t> make_flags(const StepSources& sources, bool reverse);

// How many real steps each row has.
std::vector<Index> real_steps(const StepSources& sources);

// The rows that a chunk of steps, [begin, end) of one direction of a call, leaves gate gradients
// in: one per real step.
struct StepRows {
  Index begin, end, steps, batch;
  bool reverse;
  std::int32_t* position;  // row number by (end - 1 - step, b), -1: none; null: every step is real

  [[nodiscard]] Index time_of(Index step) const { return reverse ? steps - 1 - step : step; }
  [[nodiscard]] Index row_of(Index step, Index b) const {
    const Index at = (end - 1 - step) * batch + b;
    return position == nullptr ? at : position[at];
  }

  // Numbers the real steps, steps descending and batch ascending. Returns how many.
  [[nodiscard]] Index number(const std::uint8_t* flags) const {
    if (position == nullptr) return (end - begin) * batch;
    Index rows = 0;
    for (Index step = end - 1; step >= begin; --step) {
      for (Index b = 0; b < batch; ++b) {
        const bool real = (flags[time_of(step) * batch + b] & kStepReal) != 0;
        position[(end - 1 - step) * batch + b] = real ? static_cast<std::int32_t>(rows++) : -1;
      }
    }
    return rows;
  }
};

}  // namespace simdrnn
