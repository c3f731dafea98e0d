// From lengths, mask and reset to one byte per (t, b): what each step of each row does in one
// direction.
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

}  // namespace simdrnn
