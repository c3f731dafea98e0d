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

// A gang meets once or twice a step, for about a tenth of a microsecond: each thread's share of a
// step's recurrent product is to be several times that, which puts the limit at H = 112 for an LSTM
// and two threads (oneDNN's own threshold for splitting one row is 96 to 112).
constexpr double kFlopsPerMeeting = 5e4;

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

// How many threads should share the hidden units of all rows; 1 where splitting the rows is better.
int gang_size(const PlanInput& in, int threads) {
  // With this many rows each, threads hide latency and weight traffic without sharing.
  if (in.batch >= kFusedRows * threads) return 1;
  const double hidden = static_cast<double>(in.hidden_size);
  const double product = 2.0 * in.gates * hidden * hidden * static_cast<double>(in.batch);
  const double useful = std::min(product / kFlopsPerMeeting, hidden / 64.0);
  const int most = std::max(1, std::min(threads, in.largest_gang));
  return static_cast<int>(std::clamp(useful, 1.0, static_cast<double>(most)));
}

}  // namespace

Plan make_plan(const PlanInput& in) {
  Plan plan{};
  plan.order.resize(static_cast<std::size_t>(in.batch));
  std::iota(plan.order.begin(), plan.order.end(), 0);
  const auto steps_of = [&](std::int32_t row) {
    return in.real_steps == nullptr ? in.steps : (*in.real_steps)[static_cast<std::size_t>(row)];
  };
  if (in.real_steps != nullptr) {
    std::stable_sort(plan.order.begin(), plan.order.end(),
                     [&](std::int32_t a, std::int32_t b) { return steps_of(a) > steps_of(b); });
  }
  const Index total = total_steps(in);
  const int useful = std::max(1, std::min(in.thread_limit, useful_threads(in)));
  plan.gang = gang_size(in, useful);
  const Index threads = plan.gang > 1 ? 1 : std::max<Index>(1, std::min<Index>(useful, in.batch));

  // Cut where the real steps so far reach each thread's share.
  plan.first_row.assign(1, 0);
  Index taken = 0;
  for (Index row = 0; row < in.batch; ++row) {
    const auto cuts = static_cast<Index>(plan.first_row.size());
    if (cuts < threads && row > plan.first_row.back() && taken * threads >= cuts * total) {
      plan.first_row.push_back(row);
    }
    taken += steps_of(plan.order[static_cast<std::size_t>(row)]);
  }
  plan.first_row.push_back(in.batch);

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
