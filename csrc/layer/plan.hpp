// How a call is cut into work: a pure function of shapes and thread limit, so that it can be tested
// without running anything. Nothing here changes a bit of any result.
#pragma once
#include <cstdint>
#include <vector>

#include "abi/cell_info.hpp"

namespace simdrnn {

struct PlanInput {
  Index steps, batch, input_size, hidden_size;
  int gates;
  Index element_bytes;
  int thread_limit;
  int largest_gang;                      // how many threads may share the hidden units of a row
  const std::vector<Index>* real_steps;  // per row, or null: all rows take all steps
};

struct Plan {
  // Rows sorted so that each group's are neighbours and the longest come first; group p has
  // order[first_row[p]] ... order[first_row[p + 1] - 1], and a thread of its own.
  std::vector<std::int32_t> order;
  std::vector<Index> first_row;
  // More than 1: there is one group of rows, all of them, and this many threads share its hidden
  // units, meeting at every step.
  int gang;
  Index hoist_steps;     // forward: W x for this many steps at once, 0: fused into the step
  Index forward_chunk;   // steps per parallel region: bounds the wait of Ctrl-C
  Index backward_chunk;  // steps whose gate gradients are kept at once

  [[nodiscard]] int groups() const { return static_cast<int>(first_row.size()) - 1; }
  [[nodiscard]] int threads() const { return groups() * gang; }
};

Plan make_plan(const PlanInput& input);

// How many threads have enough to do to be worth waking.
int useful_threads(const PlanInput& input);

}  // namespace simdrnn
