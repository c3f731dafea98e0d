#include "engine/embedding.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "engine/threads/team.hpp"

namespace simdrnn {

namespace {

constexpr double kFlopsPerElement = 10;  // that take as long as moving one

// Where each number of a table is used: the places of v are [start[v], start[v + 1]) of `places`,
// in ascending order.
struct Uses {
  std::vector<Index> start, places;
};

bool list_uses(const std::int64_t* indices, Index count, Index rows, Uses& uses) {
  uses.start.assign(static_cast<std::size_t>(rows) + 1, 0);
  uses.places.resize(static_cast<std::size_t>(count));
  std::vector<std::size_t> used(static_cast<std::size_t>(count));  // read once, whoever writes
  for (Index i = 0; i < count; ++i) {
    if (indices[i] < 0 || indices[i] >= rows) return false;
    used[static_cast<std::size_t>(i)] = static_cast<std::size_t>(indices[i]);
    ++uses.start[used[static_cast<std::size_t>(i)] + 1];
  }
  for (std::size_t v = 0; v < static_cast<std::size_t>(rows); ++v) {
    uses.start[v + 1] += uses.start[v];
  }
  std::vector<Index> next(uses.start.begin(), uses.start.end() - 1);
  for (Index i = 0; i < count; ++i) {
    uses.places[static_cast<std::size_t>(next[used[static_cast<std::size_t>(i)]]++)] = i;
  }
  return true;
}

// Writes the sum of `count` rows at `places`.
template <class T>
void add_rows(const DenseRows<const T>& rows, const Index* places, Index count, Index width,
              T* out) {
  constexpr Index kColumns = 64;
  for (Index first = 0; first < width; first += kColumns) {
    const Index columns = std::min(kColumns, width - first);
    double sum[kColumns] = {};
    for (Index i = 0; i < count; ++i) {
      const T* const row = rows.data + places[i] * rows.stride + first;
      for (Index c = 0; c < columns; ++c) sum[c] += static_cast<double>(row[c]);
    }
    for (Index c = 0; c < columns; ++c) out[first + c] = static_cast<T>(sum[c]);
  }
}

}  // namespace

template <class T>
bool gather(const T* table, Index rows, Index width, const std::int64_t* indices, Index count,
            T* out, int threads) {
  const int parts = threads_for(
      kFlopsPerElement * static_cast<double>(count) * static_cast<double>(width), threads);
  std::atomic<bool> right{true};
  team::run(parts, [&](int part) {
    for (Index i = count * part / parts; i < count * (part + 1) / parts; ++i) {
      const std::int64_t index = indices[i];
      if (index < 0 || index >= rows) {
        right.store(false, std::memory_order_relaxed);
        return;
      }
      std::memcpy(out + i * width, table + index * width,
                  static_cast<std::size_t>(width) * sizeof(T));
    }
  });
  return right.load();
}

template <class T>
bool scatter_add(DenseRows<const T> d_out, Index width, const std::int64_t* indices, T* d_table,
                 Index rows, int threads) {
  Uses uses;
  if (!list_uses(indices, d_out.count, rows, uses)) return false;
  const int parts = threads_for(
      kFlopsPerElement * static_cast<double>(d_out.count + rows) * static_cast<double>(width),
      threads);
  // A share ends where its rows and the places that they sum up are as many as everybody's.
  const auto begin_of = [&](int part) {
    const Index work = (rows + d_out.count) * part / parts;
    Index low = 0, high = rows;
    while (low < high) {
      const Index middle = (low + high) / 2;
      if (middle + uses.start[static_cast<std::size_t>(middle)] < work) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  };
  team::run(parts, [&](int part) {
    const Index end = part + 1 == parts ? rows : begin_of(part + 1);
    for (Index v = begin_of(part); v < end; ++v) {
      const Index first = uses.start[static_cast<std::size_t>(v)];
      const Index count = uses.start[static_cast<std::size_t>(v) + 1] - first;
      add_rows(d_out, uses.places.data() + first, count, width, d_table + v * width);
    }
  });
  return true;
}

template bool gather(const float*, Index, Index, const std::int64_t*, Index, float*, int);
template bool gather(const double*, Index, Index, const std::int64_t*, Index, double*, int);
template bool scatter_add(DenseRows<const float>, Index, const std::int64_t*, float*, Index, int);
template bool scatter_add(DenseRows<const double>, Index, const std::int64_t*, double*, Index, int);

}  // namespace simdrnn
