#include "engine/update.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "engine/plan.hpp"
#include "engine/products.hpp"
#include "engine/threads/team.hpp"

namespace simdrnn {

namespace {

constexpr Index kSlice = 1 << 13;

// What an element costs, in FLOPs that take as long.
constexpr double kFlopsOfUpdate = 60, kFlopsOfSquare = 10;

struct Slice {
  std::size_t array;
  Index first, size;
};

// Slices of arrays of these sizes, in their order.
template <class Arrays, class SizeOf>
std::vector<Slice> slices_of(const Arrays& arrays, const SizeOf& size_of) {
  std::vector<Slice> slices;
  for (std::size_t a = 0; a < arrays.size(); ++a) {
    const Index size = size_of(arrays[a]);
    for (Index first = 0; first < size; first += kSlice) {
      slices.push_back({a, first, std::min(kSlice, size - first)});
    }
  }
  return slices;
}

// Runs act(number, slice) for all slices, on as many threads as have enough to do.
template <class Act>
void each_slice(const std::vector<Slice>& slices, double flops, const Act& act) {
  const double elements = std::accumulate(
      slices.begin(), slices.end(), 0.0,
      [](double sum, const Slice& slice) { return sum + static_cast<double>(slice.size); });
  const int useful = team::at_most(useful_threads(flops * elements));
  const auto count = static_cast<Index>(slices.size());
  const int parts = static_cast<int>(std::clamp<Index>(count, 1, useful));
  team::run(parts, [&](int part) {
    const auto end = static_cast<std::size_t>(count * (part + 1) / parts);
    for (auto s = static_cast<std::size_t>(count * part / parts); s < end; ++s) act(s, slices[s]);
  });
}

template <class T>
void run_rule(const TrainingKernels<T>& kernels, const UpdateBlock<T>& block,
              const SgdRule<T>& rule) {
  kernels.sgd(block, rule);
}
template <class T>
void run_rule(const TrainingKernels<T>& kernels, const UpdateBlock<T>& block,
              const AdamRule<T>& rule) {
  kernels.adam(block, rule);
}
template <class T>
void run_rule(const TrainingKernels<T>& kernels, const UpdateBlock<T>& block,
              const RmspropRule<T>& rule) {
  kernels.rmsprop(block, rule);
}

}  // namespace

template <class T>
void update(std::span<const Updated<T>> arrays, const UpdateRule<T>& rule, const KernelTable& isa) {
  const auto slices = slices_of(arrays, [](const Updated<T>& one) { return one.size; });
  const TrainingKernels<T>& kernels = training_of(isa, T());
  each_slice(slices, kFlopsOfUpdate, [&](std::size_t, const Slice& slice) {
    const Updated<T>& one = arrays[slice.array];
    UpdateBlock<T> block{one.parameter + slice.first,
                         one.gradient + slice.first,
                         {},
                         slice.size,
                         rule.scale,
                         rule.decay};
    for (int k = 0; k < 3; ++k) {
      block.kept[k] = one.kept[k] == nullptr ? nullptr : one.kept[k] + slice.first;
    }
    std::visit([&](const auto& chosen) { run_rule(kernels, block, chosen); }, rule.rule);
  });
}

template <class T>
double sum_of_squares(std::span<const Elements<const T>> arrays, const KernelTable& isa) {
  const auto slices = slices_of(
      arrays, [](const Elements<const T>& one) { return static_cast<Index>(one.size()); });
  std::vector<double> sums(slices.size());
  each_slice(slices, kFlopsOfSquare, [&](std::size_t number, const Slice& slice) {
    sums[number] =
        training_of(isa, T()).sum_of_squares(arrays[slice.array].data() + slice.first, slice.size);
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

template <class T>
void scale(std::span<const Elements<T>> arrays, T factor, const KernelTable& isa) {
  const auto slices =
      slices_of(arrays, [](const Elements<T>& one) { return static_cast<Index>(one.size()); });
  each_slice(slices, kFlopsOfSquare, [&](std::size_t, const Slice& slice) {
    training_of(isa, T()).scale(arrays[slice.array].data() + slice.first, slice.size, factor);
  });
}

template void update(std::span<const Updated<float>>, const UpdateRule<float>&, const KernelTable&);
template void update(std::span<const Updated<double>>, const UpdateRule<double>&,
                     const KernelTable&);
template double sum_of_squares(std::span<const Elements<const float>>, const KernelTable&);
template double sum_of_squares(std::span<const Elements<const double>>, const KernelTable&);
template void scale(std::span<const Elements<float>>, float, const KernelTable&);
template void scale(std::span<const Elements<double>>, double, const KernelTable&);

}  // namespace simdrnn
