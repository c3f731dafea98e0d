#include "layer/plan.hpp"

#include <algorithm>
#include <numeric>

namespace simdrnn {

namespace {

// Waking a thread costs about a microsecond and a cold cache: give it at least this much to do.
constexpr double kFlopsPerThread = 4e6;

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

// Weights beyond these do not stay in a core's second-level cache, or in the last level beside the
// rest of the call. They are then read again at every step, by each thread all of them, or by a
// gang each once; with this many rows a thread the reading is hidden behind the products.
constexpr double kPrivateBytes = 1.25 * (1 << 20), kSharedBytes = 16.0 * (1 << 20);
constexpr Index kHidingPrivate = 24, kHidingShared = 96;

Index at_least_one(double x) { return std::max<Index>(1, static_cast<Index>(x)); }

double flops_per_row_step(const PlanInput& in) {
  return 2.0 * in.gates * static_cast<double>(in.hidden_size) *
         static_cast<double>(in.input_size + in.hidden_size);
}

Index total_steps(const PlanInput& in) {
  if (in.real_steps == nullptr) return in.steps * in.batch;
  return std::accumulate(in.real_steps->begin(), in.real_steps->end(), Index{0});
}

}  // namespace

int useful_threads(const PlanInput& in) {
  const double flops = flops_per_row_step(in) * static_cast<double>(total_steps(in));
  return static_cast<int>(std::clamp(flops / kFlopsPerThread, 1.0, 1e6));
}

namespace {

// How many threads can share the hidden units of all rows to advantage, if they must.
int largest_useful_gang(const PlanInput& in, int threads) {
  const double hidden = static_cast<double>(in.hidden_size);
  const double product = 2.0 * in.gates * hidden * hidden * static_cast<double>(in.batch);
  // Tiles of the forward product: 16 units of three or four gates, more of fewer.
  const double tiles = hidden * std::min(in.gates, 4) / 64.0;
  const double useful = std::min(product / kFlopsPerMeeting, tiles);
  const int most = std::max(1, std::min(threads, in.largest_gang));
  return static_cast<int>(std::clamp(useful, 1.0, static_cast<double>(most)));
}

// Whether the rows' lengths differ so much that no cut keeps all threads busy to the end.
bool uneven(const PlanInput& in) {
  if (in.real_steps == nullptr || in.batch == 0) return false;
  const double longest = static_cast<double>(*std::ranges::max_element(*in.real_steps));
  return static_cast<double>(total_steps(in)) < 0.9 * longest * static_cast<double>(in.batch);
}

// How many threads should share the hidden units of all rows; 1 where splitting the rows is better.
int gang_size(const PlanInput& in, int threads) {
  const int gang = largest_useful_gang(in, threads);
  // With fewer rows each than this, threads cannot hide latency and weight traffic without sharing.
  if (in.batch < kFusedRows * threads) return gang;
  if (gang < threads) return 1;
  const double weights = static_cast<double>(in.element_bytes * in.gates * in.hidden_size *
                                             (in.input_size + in.hidden_size));
  const Index rows = in.batch / threads;
  if (weights > kPrivateBytes && rows < kHidingPrivate) return gang;
  if (weights > kSharedBytes && rows < kHidingShared) return gang;
  return uneven(in) && weights > kPrivateBytes / 4 ? gang : 1;
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

Plan make_plan(const PlanInput& in) {
  Plan plan{};
  const int useful = std::max(1, std::min(in.thread_limit, useful_threads(in)));
  plan.gang = gang_size(in, useful);
  const Index threads = plan.gang > 1 ? 1 : std::max<Index>(1, std::min<Index>(useful, in.batch));

  share_rows(in, threads, plan);

  const Index rows = std::max<Index>(1, in.batch / threads);
  plan.hoist_steps = rows < kFusedRows ? std::min(in.steps, kHoistedRows / rows) : 0;
  const double step_flops =
      flops_per_row_step(in) * static_cast<double>(std::max<Index>(1, in.batch));
  plan.forward_chunk =
      std::min(std::max<Index>(1, in.steps), at_least_one(kFlopsPerRegion * useful / step_flops));
  plan.backward_chunk =
      std::min(std::max<Index>(1, in.steps),
               (kBackwardRows + std::max<Index>(1, in.batch) - 1) / std::max<Index>(1, in.batch));
  return plan;
}

}  // namespace simdrnn
