// How a call is cut into work: a pure function of shapes and thread limit, so that it can be tested
// without running anything. Nothing here changes a bit of any result.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <vector>

#include "abi/cell_info.hpp"

namespace simdrnn {

// What threads share.
enum class Schedule {
  kOneThread,
  kRows,        // each runs rows of its own over all steps, meeting nobody
  kUnits,       // a gang: all rows, each its part of the hidden units, meeting at every step
  kDirections,  // both directions of a layer side by side
  kLayers,      // a pipeline: each layer a chunk of steps behind the one below
};

// Why it was chosen.
enum class Why {
  kOneAllowed,
  kLittleWork,
  kLittleStep,
  kManyRows,
  kFewRows,
  kHeavyWeights,
  kUnevenRows,
  kSeveralPasses,
};

// Their names, in the order of the enumerations; python/simdrnn/layers/explanation.py has the
// words.
inline constexpr const char* kScheduleNames[] = {"one_thread", "rows", "units", "directions",
                                                 "layers"};
inline constexpr const char* kWhyNames[] = {"one_allowed", "little_work",   "little_step",
                                            "many_rows",   "few_rows",      "heavy_weights",
                                            "uneven_rows", "several_passes"};
static_assert(std::size(kScheduleNames) == static_cast<int>(Schedule::kLayers) + 1);
static_assert(std::size(kWhyNames) == static_cast<int>(Why::kSeveralPasses) + 1);

struct PlanInput {
  Index steps, batch, input_size, hidden_size;
  int gates, recurrent_gates;  // blocks of H rows of W and of R
  Index element_bytes;
  Index layers, directions;
  bool forward;
  int thread_limit;
  int largest_gang;                      // how many threads are there at the same time
  const std::vector<Index>* real_steps;  // per row, or null: all rows take all steps
  Index projected_size = 0;              // of h after its projection; 0: it is not projected
};

struct Plan {
  Schedule schedule;
  Why why;
  // Rows sorted so that each group's are neighbours and the longest come first; group p has
  // order[first_row[p]] ... order[first_row[p + 1] - 1], and a thread of its own.
  std::vector<std::int32_t> order;
  std::vector<Index> first_row;
  int gang;              // threads that share the hidden units of the one group there is then, or 1
  int busy_threads;      // over all layers and directions that run at the same time
  Index hoist_steps;     // forward: W x for this many steps at once, 0: fused into the step
  Index forward_chunk;   // steps per parallel region: bounds the wait of Ctrl-C
  Index backward_chunk;  // steps whose gate gradients are kept at once

  [[nodiscard]] const char* schedule_name() const {
    return kScheduleNames[static_cast<int>(schedule)];
  }
  [[nodiscard]] const char* why_name() const { return kWhyNames[static_cast<int>(why)]; }
  [[nodiscard]] int groups() const { return static_cast<int>(first_row.size()) - 1; }
  // Of one layer and direction.
  [[nodiscard]] int threads() const { return groups() * gang; }
  // Whether several layers or directions run at the same time, each on one thread.
  [[nodiscard]] bool side_by_side() const {
    return schedule == Schedule::kDirections || schedule == Schedule::kLayers;
  }
};

Plan make_plan(const PlanInput& input);

// For how many of `steps` steps one thread forms the input products of so many rows at once; 0:
// with each step.
Index hoisted_steps(Index rows, Index steps);

// Whether one row's input products, or gradients, are worth forming beside other steps: a thread
// reads so many bytes of R in a step, and all threads so many of R and W.
bool worth_overlapping(double thread_bytes, double layer_bytes, bool forward);

// Whether there is work for a second thread.
bool worth_sharing(const PlanInput& input);

// The same for so many FLOPs of anything; how many threads they keep busy; and how many FLOPs may
// pass, on so many threads, before the next look at Ctrl-C.
bool worth_sharing(double flops);
int useful_threads(double flops);
double region_flops(int threads);

// How many threads may pack weights that are so large packed.
int packing_threads(std::size_t bytes);

}  // namespace simdrnn
