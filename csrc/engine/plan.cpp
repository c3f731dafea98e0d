#include "engine/plan.hpp"

#include <algorithm>
#include <numeric>

#include "engine/threads/team.hpp"

namespace simdrnn {

namespace {

// Waking a thread costs about a microsecond and a cold cache, and up to 40 us where it sleeps: give
// it at least this much to do. Threads that a library keeps awake beside us begin at once: a GRU
// (20,8,64,64) in a PyTorch program takes 139 us on one thread and 97 on two.
constexpr double kFlopsPerThread = 4e6, kFlopsPerAwakeThread = 1e6;

double flops_per_thread() { return team::on_openmp() ? kFlopsPerAwakeThread : kFlopsPerThread; }

// With fewer rows than this a step cannot hide the latency and weight traffic of its input product,
// so that product is formed for several steps at once.
constexpr Index kFusedRows = 4;
// Enough rows to make the hoisted product as good as a large one, few enough that its result stays
// in the second-level cache.
constexpr Index kHoistedRows = 24;

// A parallel region of this many FLOPs takes a third of a second on one core without vectors:
// people who press Ctrl-C do not notice it.
constexpr double kFlopsPerRegion = 5e8;

// Rows of gate gradients per weight-gradient product. Longer chunks load and store dW less often;
// shorter ones stay in the second-level cache. The gradients' bits do not depend on it: each is one
// chain over all rows.
constexpr Index kBackwardRows = 384;

// A gang meets once or twice a step, for about a tenth of a microsecond. Measured on two threads:
// at this share of a step's recurrent product (an LSTM of 64 units, one row) a gang of two is 1.3
// times as fast as one thread, at three quarters of it no faster.
constexpr double kFlopsPerMeeting = 1.6e4;

// A chunk of a pipeline takes about ten times as long as handing it over, a microsecond.
constexpr double kFlopsPerChunk = 1e6;

// Above this share of each a gang is as fast as rows on separate threads would be.
constexpr double kFlopsWorthMeeting = 5e4;
// Two directions need not wait for each other at all, so they go side by side up to here. One row,
// two threads, ms in a gang and side by side: LSTM 4 x 128, 589 steps, 16.2 and 12.0; GRU 2 x 160,
// 300 steps, 4.0 and 2.9; LSTM 200 2.5 and 2.3; 256 4.1 and 4.0; 320, whose weights no longer stay
// in the second-level cache, 3.6 and 3.8.
constexpr double kFlopsWorthMeetingOfDirections = 3e5;

// Weights beyond these do not stay in a core's second-level cache, or in the last level beside the
// rest of the call. They are then read again at every step, by each thread all of them, or by a
// gang each once; with this many rows a thread the reading is hidden behind the products.
constexpr double kPrivateBytes = 1.25 * (1 << 20), kSharedBytes = 16.0 * (1 << 20);
constexpr Index kHidingPrivate = 24, kHidingShared = 96;

// Input products overlap with the steps before where a thread reads this much of R in a step: less
// stays in the first-level cache, and FMAs have nothing to wait for. (Without / with, T = 100, one
// thread: LSTM 24, 32, 48, 64, 128 0.96, 1.06, 1.06, 1.11, 1.21; RNN 32, 64, 96, 128 0.91, 1.00,
// 1.04, 1.20.) Weights that outgrow the last cache lose, as W then pushes R out (LSTM 640, 768,
// 1024 1.06, 0.96, 0.78), and so does a W whose steps have little to hide it behind (64 units of
// 512 and 4,096 inputs 1.01, 0.97). Backward reads the tape besides, and W would be read once for
// hundreds of steps: LSTM 256, 384, 512, 640 1.10, 0.96, 1.00, 0.86.
constexpr double kLeastOverlapped = 16.0 * (1 << 10), kMostOverlapped = 16;
constexpr double kOverlappedBackward = 2.5 * (1 << 20);

Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

Index at_least_one(double x) { return std::max<Index>(1, static_cast<Index>(x)); }

// Weights that a step's recurrence goes through: R, and with a projection W_hr.
double recurrent_weights(const PlanInput& in) {
  const Index projected = in.projected_size;
  const Index of_unit =
      projected > 0 ? (in.recurrent_gates + 1) * projected : in.recurrent_gates * in.hidden_size;
  return static_cast<double>(in.hidden_size) * static_cast<double>(of_unit);
}

double all_weights(const PlanInput& in) {
  return recurrent_weights(in) +
         static_cast<double>(in.gates * in.hidden_size) * static_cast<double>(in.input_size);
}

double flops_per_row_step(const PlanInput& in) { return 2.0 * all_weights(in); }

// Steps of a pipeline's chunks: enough work to hand over, and no more, since a chunk is what layers
// lag behind each other.
Index pipeline_chunk(const PlanInput& in) {
  const double step = flops_per_row_step(in) * static_cast<double>(std::max<Index>(1, in.batch));
  return at_least_one(kFlopsPerChunk / step);
}

Index total_steps(const PlanInput& in) {
  if (in.real_steps == nullptr) return in.steps * in.batch;
  return std::accumulate(in.real_steps->begin(), in.real_steps->end(), Index{0});
}

// Of one layer and direction.
double total_flops(const PlanInput& in) {
  return flops_per_row_step(in) * static_cast<double>(total_steps(in));
}

// Of all rows' recurrent products in one step, which is what a gang shares.
double recurrent_flops(const PlanInput& in) {
  return 2.0 * recurrent_weights(in) * static_cast<double>(in.batch);
}

// How many threads have enough to do in one layer and direction to be worth waking.
int threads_worth_waking(const PlanInput& in) { return useful_threads(total_flops(in)); }

// Layers or directions that may run at the same time.
Index passes(const PlanInput& in) {
  if (!in.forward) return 1;  // gradients of two directions meet in one sum, those of layers follow
  return in.directions == 2 ? 2 : in.layers;
}

// How many threads can share the hidden units of all rows to advantage, if they must.
int largest_useful_gang(const PlanInput& in, int threads) {
  // Tiles of the forward product: 16 units of three or four gates, more of fewer.
  const double tiles = static_cast<double>(in.hidden_size) * std::min(in.gates, 4) / 64.0;
  const double useful = std::min(recurrent_flops(in) / kFlopsPerMeeting, tiles);
  const int most = std::max(1, std::min(threads, in.largest_gang));
  return static_cast<int>(std::clamp(useful, 1.0, static_cast<double>(most)));
}

// Whether the rows' lengths differ so much that no cut keeps all threads busy to the end.
bool uneven(const PlanInput& in) {
  if (in.real_steps == nullptr || in.batch == 0) return false;
  const double longest = static_cast<double>(*std::ranges::max_element(*in.real_steps));
  return static_cast<double>(total_steps(in)) < 0.9 * longest * static_cast<double>(in.batch);
}

struct Choice {
  int gang;
  Why why;
};

// How many threads should share the hidden units of all rows; 1 where splitting the rows is better.
Choice choose_gang(const PlanInput& in, int threads) {
  const int gang = largest_useful_gang(in, threads);
  // With fewer rows each than this, threads cannot hide latency and weight traffic without sharing.
  if (in.batch < kFusedRows * threads) return {gang, Why::kFewRows};
  if (gang < threads) return {1, Why::kManyRows};
  const double weights = static_cast<double>(in.element_bytes) * all_weights(in);
  const Index rows = in.batch / threads;
  if ((weights > kPrivateBytes && rows < kHidingPrivate) ||
      (weights > kSharedBytes && rows < kHidingShared)) {
    return {gang, Why::kHeavyWeights};
  }
  if (uneven(in) && weights > kPrivateBytes / 4) return {gang, Why::kUnevenRows};
  return {1, Why::kManyRows};
}

// Whether layers or directions side by side, each on one thread, beat what `threads` can do in one
// of them: where they find no work in it, or would meet for little.
bool better_side_by_side(const PlanInput& in, int gang, Index groups) {
  if (passes(in) < 2 || in.largest_gang < 2 || in.thread_limit < 2) return false;
  if (total_flops(in) < flops_per_thread()) return false;
  if (gang > passes(in) || groups > 1) return false;
  const double least = in.directions == 2 ? kFlopsWorthMeetingOfDirections : kFlopsWorthMeeting;
  const bool worth_meeting = recurrent_flops(in) / gang > least;
  if (gang > 1 && (worth_meeting || passes(in) % gang != 0)) return false;
  // A pipeline is as long as its chunks and layers together: few chunks leave threads without work.
  return in.directions == 2 || in.steps >= 4 * in.layers * pipeline_chunk(in);
}

// What a row adds to the steps it takes: the first of a group, with which the weights are read,
// about twice what the others do (an LSTM of 64 units: 1, 2, 4 rows take 0.50, 0.80, 1.3 us a
// step).
double cost_of(bool first, Index steps) { return static_cast<double>(first ? 2 * steps : steps); }

// Cuts rows sorted from long to short into groups of neighbours that each cost at most `most`.
template <class StepsOf>
std::vector<Index> cut(Index batch, double most, StepsOf steps_of) {
  std::vector<Index> first_row{0};
  double cost = 0;
  for (Index row = 0; row < batch; ++row) {
    cost += cost_of(row == first_row.back(), steps_of(row));
    if (cost > most && row > first_row.back()) {
      first_row.push_back(row);
      cost = cost_of(true, steps_of(row));
    }
  }
  first_row.push_back(batch);
  return first_row;
}

// Sorts the rows and gives each group its neighbours: as even as can be by count where all rows
// take all steps, else so that the dearest group costs least.
void share_rows(const PlanInput& in, Index groups, Plan& plan) {
  plan.order.resize(static_cast<std::size_t>(in.batch));
  std::iota(plan.order.begin(), plan.order.end(), 0);
  if (in.real_steps == nullptr || groups == 1) {
    for (Index g = 0; g <= groups; ++g) plan.first_row.push_back(in.batch * g / groups);
  }
  if (in.real_steps == nullptr) return;
  const std::vector<Index>& real = *in.real_steps;
  std::stable_sort(plan.order.begin(), plan.order.end(), [&](std::int32_t a, std::int32_t b) {
    return real[static_cast<std::size_t>(a)] > real[static_cast<std::size_t>(b)];
  });
  if (groups == 1) return;
  const auto steps_of = [&](Index row) {
    return real[static_cast<std::size_t>(plan.order[static_cast<std::size_t>(row)])];
  };
  double low = 0, high = 0;  // the cost of the dearest group: too little, enough
  for (Index row = 0; row < in.batch; ++row) high += cost_of(row == 0, steps_of(row));
  constexpr int kHalvings = 12;  // to a thousandth
  for (int i = 0; i < kHalvings; ++i) {
    const double middle = (low + high) / 2;
    const bool enough = static_cast<Index>(cut(in.batch, middle, steps_of).size()) - 1 <= groups;
    (enough ? high : low) = middle;
  }
  plan.first_row = cut(in.batch, high, steps_of);
}

}  // namespace

bool worth_sharing(const PlanInput& in) {
  const auto at_once = static_cast<double>(std::min<Index>(2, passes(in)));
  return worth_sharing(total_flops(in) * at_once);
}

Index hoisted_steps(Index rows, Index steps) {
  if (rows >= kFusedRows || steps < 2) return 0;  // one step has nothing to share W with
  return std::min(steps, kHoistedRows / std::max<Index>(1, rows));
}

bool worth_overlapping(double thread_bytes, double layer_bytes, bool forward) {
  const double held = forward ? kSharedBytes : kOverlappedBackward;
  return thread_bytes >= kLeastOverlapped &&
         layer_bytes <= std::min(held, kMostOverlapped * thread_bytes);
}

bool worth_sharing(double flops) { return flops >= 2 * flops_per_thread(); }

int useful_threads(double flops) {
  return static_cast<int>(std::clamp(flops / flops_per_thread(), 1.0, 1e6));
}

double region_flops(int threads) { return kFlopsPerRegion * threads; }

int packing_threads(std::size_t bytes) {
  // One thread packs 20 GB of them a second: a tenth of a millisecond, three wakings.
  constexpr std::size_t kBytesPerThread = std::size_t{1} << 21, kMost = 1 << 20;
  return static_cast<int>(std::clamp<std::size_t>(bytes / kBytesPerThread, 1, kMost));
}

Plan make_plan(const PlanInput& in) {
  Plan plan{};
  const int useful = std::max(1, std::min(in.thread_limit, threads_worth_waking(in)));
  const Choice choice = choose_gang(in, useful);
  plan.gang = choice.gang;
  const Index most = std::min<Index>(useful, in.batch);
  Index groups = plan.gang > 1 ? 1 : std::max<Index>(1, most);
  if (better_side_by_side(in, plan.gang, groups)) {
    plan.schedule = in.directions == 2 ? Schedule::kDirections : Schedule::kLayers;
    plan.why = Why::kSeveralPasses;
    plan.gang = 1;
    groups = 1;
  } else {
    plan.schedule = plan.gang > 1 ? Schedule::kUnits
                    : groups > 1  ? Schedule::kRows
                                  : Schedule::kOneThread;
    plan.why = !worth_sharing(in)                      ? Why::kLittleWork
               : in.thread_limit < 2                   ? Why::kOneAllowed
               : useful < 2                            ? Why::kLittleWork
               : plan.schedule == Schedule::kOneThread ? Why::kLittleStep
                                                       : choice.why;
  }
  share_rows(in, groups, plan);
  plan.busy_threads = plan.side_by_side()
                          ? static_cast<int>(std::min<Index>(in.thread_limit, passes(in)))
                          : plan.threads();

  const Index rows = std::max<Index>(1, in.batch / groups);
  plan.hoist_steps = hoisted_steps(rows, in.steps);
  const double step_flops =
      flops_per_row_step(in) * static_cast<double>(std::max<Index>(1, in.batch));
  const Index steps = std::max<Index>(1, in.steps);
  plan.forward_chunk = std::min(steps, at_least_one(region_flops(useful) / step_flops));
  if (plan.schedule == Schedule::kLayers) plan.forward_chunk = pipeline_chunk(in);
  // Of uneven rows one group's may be the only ones left in the last chunks: longer ones even out.
  const Index kept = groups > 1 && uneven(in) ? 4 * kBackwardRows : kBackwardRows;
  plan.backward_chunk = std::min(steps, ceil_div(kept, std::max<Index>(1, in.batch)));
  return plan;
}

}  // namespace simdrnn
