// How a stream runs: alone, with rows or hidden units shared among threads, level by level.
#include "engine/stream.hpp"

#include <algorithm>

#include "engine/flush_denormals.hpp"
#include "engine/stream_parts.hpp"

namespace simdrnn {

template <class T>
void Stream<T>::step(const T* x, T* out, const T* attention) noexcept {
  if (!steady_) return step(x, out, nullptr, batch_, attention);
  std::vector<ForwardArgs<T>>& args = workers_.front().args;
  args.front().pass.x.data = x;
  args.back().y.data = out;
  const FlushDenormals scope(flush_denormals_);
  for (std::size_t at = 0; at < args.size(); ++at) {
    args[at].pass.turn = turn_;
    args[at].pass.attention = attention;
    levels_[at].kernels->forward(args[at]);
  }
  turn_ ^= 1;
}

template <class T>
void Stream<T>::step(const T* x, T* out, const std::int32_t* rows, Index count,
                     const T* attention) noexcept {
  feed({x, count * input_size(), input_size()}, 1, {out, count * output_size(), output_size()},
       rows, count, attention);
}

template <class T>
void Stream<T>::feed(const Sequence<const T>& x, Index steps, const Sequence<T>& out,
                     const std::int32_t* rows, Index count, const T* attention) noexcept {
  if (steps <= 0 || count <= 0) return;
  const bool alone = run({x, out, attention, steps, rows, 0, count, count});
  turn_ = (turn_ + steps) % 2;
  // The arguments are then those of the next such step, but for where x and the output are.
  steady_ = alone && !joins_ && rows == nullptr && steps == 1 && x.stride_b == input_size() &&
            out.stride_b == output_size();
}

// Returns whether the calling thread did all of it.
template <class T>
bool Stream<T>::run(const Work& work) noexcept {
  if (threads_ > 1) {
    const double flops =
        2 * multiplications_ * static_cast<double>(work.steps) * static_cast<double>(work.count);
    const int threads = std::min(threads_, useful_threads(flops));
    if (threads > 1) {
      run_shared(work, threads);
      return false;
    }
  }
  run_alone(workers_.front(), work);
  return true;
}

template <class T>
void Stream<T>::run_shared(const Work& work, int threads) noexcept {
  const auto few = static_cast<std::size_t>(work.count);
  int gang = few <= gangs_.size() ? gangs_[few - 1] : work.count == batch_ ? gang_of_all_ : 1;
  gang = std::min(gang, threads);
  if (gang > 1 && !team::gangs_stall()) {
    barrier_.expect(gang);
    const auto member = [this, &work, gang](int p) { run_member(p, gang, work); };
    if (team::run_together(gang, [&member](int p) { member(p); })) return;
  }
  const auto groups = static_cast<int>(std::min<Index>(threads, work.count));
  const auto group = [this, &work, groups](int p) {
    Work own = work;
    own.first = work.count * p / groups;
    own.count = work.count * (p + 1) / groups - own.first;
    run_alone(workers_[static_cast<std::size_t>(p)], own);
  };
  team::run(groups, [&group](int p) { group(p); });
}

template <class T>
Index Stream<T>::block_steps(Index rows, Index steps) const noexcept {
  if (levels_.size() == 1) return steps;
  return std::min(steps, std::max<Index>(1, block_rows_ / rows));
}

// Goes over the blocks of the work's steps and, in each, over the levels: layer(at, begin, steps).
template <class T>
template <class Layer>
void Stream<T>::run_blocks(Worker& worker, const Work& work, Layer layer) noexcept {
  const Index block = block_steps(work.count, work.steps);
  for (Index begin = 0; begin < work.steps; begin += block) {
    const Index steps = std::min(block, work.steps - begin);
    // x is read alone; so all values have one type.
    worker.values.front() = {
        const_cast<T*>(work.x.data) + begin * work.x.stride_t + work.first * work.x.stride_b,
        work.x.stride_t, work.x.stride_b};
    worker.values.back() = {
        work.out.data + begin * work.out.stride_t + work.first * work.out.stride_b,
        work.out.stride_t, work.out.stride_b};
    for (std::size_t i = 1; i + 1 < worker.values.size(); ++i) {
      worker.values[i].stride_t = work.count * widths_[i];
    }
    for (std::size_t at = 0; at < levels_.size(); ++at) layer(at, begin, steps);
  }
}

template <class T>
void Stream<T>::run_alone(Worker& worker, const Work& given) noexcept {
  Work work = given;
  work.find_neighbours();
  const auto all = [&] {
    run_blocks(worker, work, [&](std::size_t at, Index begin, Index steps) {
      run_level(worker, at, work, begin, steps);
    });
  };
  if (joins_) return all();  // which are done as NumPy does them, in the caller's environment
  const FlushDenormals scope(flush_denormals_);
  all();
}

template <class T>
void Stream<T>::call_kernel(const Level& level, const ForwardArgs<T>& args) const noexcept {
  if (!joins_) return level.kernels->forward(args);
  const FlushDenormals scope(flush_denormals_);
  level.kernels->forward(args);
}

template <class T>
void Stream<T>::run_level(Worker& worker, std::size_t at, const Work& work, Index begin,
                          Index steps) noexcept {
  const Level& level = levels_[at];
  if (level.operation != StreamOperation::kNetwork) return join(worker, at, work, steps);
  set_up(worker, at, work, begin, steps);
  if (work.neighbours >= 0) return call_kernel(level, worker.args[at]);
  gather(worker, at, work);
  call_kernel(level, worker.args[at]);
  scatter(worker, at, work);
}

// One of a gang, which shares the hidden units of all rows. What stands between levels, and copies
// of states, are the first member's.
template <class T>
void Stream<T>::run_member(int member, int members, const Work& given) noexcept {
  Work work = given;
  work.find_neighbours();
  Worker& first = workers_.front();
  Worker& own = workers_[static_cast<std::size_t>(member)];
  const auto layer = [&](std::size_t at, Index begin, Index steps) {
    const Level& level = levels_[at];
    if (member == 0) {
      if (level.operation != StreamOperation::kNetwork) {
        join(first, at, work, steps);
      } else {
        set_up(first, at, work, begin, steps);
        if (work.neighbours < 0) gather(first, at, work);
      }
    }
    barrier_.meet();
    if (level.operation != StreamOperation::kNetwork) return;
    // The first one's, and a copy: a member's own are for when it runs rows by itself.
    ForwardArgs<T> args = first.args[at];
    if (member > 0) {
      args.scratch = own.scratch;
      args.origin = own.origin;
      args.h = std::copy_n(args.h, work.count, own.h) - work.count;
      args.h_next = std::copy_n(args.h_next, work.count, own.h_next) - work.count;
    }
    barrier_.meet();  // before the first member's pointers change
    args.gang = {member, members, &team::Barrier::meet, &barrier_};
    args.overlap = level.network->overlaps(args.pass, args.hoist_steps, members, true);
    call_kernel(level, args);
    if (member == 0 && work.neighbours < 0) scatter(first, at, work);
  };
  const auto all = [&] {
    if (member == 0) {
      run_blocks(first, work, layer);
      return;
    }
    const Index block = block_steps(work.count, work.steps);
    for (Index begin = 0; begin < work.steps; begin += block) {
      const Index steps = std::min(block, work.steps - begin);
      for (std::size_t at = 0; at < levels_.size(); ++at) layer(at, begin, steps);
    }
  };
  if (joins_) return all();
  const FlushDenormals scope(flush_denormals_);
  all();
}

// The arguments of a level's kernel for the steps of a block, from `begin` of the call on.
template <class T>
void Stream<T>::set_up(Worker& worker, std::size_t at, const Work& work, Index begin,
                       Index steps) noexcept {
  const Level& level = levels_[at];
  ForwardArgs<T>& a = worker.args[at];
  const Sequence<T>& x = worker.values[static_cast<std::size_t>(level.from)];
  a.pass.x = {x.data, x.stride_t, x.stride_b};
  a.y = worker.values[static_cast<std::size_t>(level.to)];
  a.pass.steps = steps;
  a.pass.batch = work.of;
  a.pass.count = work.count;
  a.pass.turn = turn_ + begin;
  if (takes_attention_) a.pass.attention = work.attention + begin * work.of + work.first;
  a.end = steps;
  a.hoist_steps = level.hoisted(work.count, steps);
  a.overlap = level.network->overlaps(a.pass, a.hoist_steps, 1, true);
  if (work.neighbours < 0) return;
  a.h = level.h + work.neighbours;
  a.h_next = level.h_next + work.neighbours;
  for (Index k = 1; k < level.states(); ++k) a.state[k] = level.of_row(k, work.neighbours);
}

// Puts the states of rows that are not neighbours where the kernel finds them one behind the other.
template <class T>
void Stream<T>::gather(Worker& worker, std::size_t at, const Work& work) noexcept {
  const Level& level = levels_[at];
  ForwardArgs<T>& a = worker.args[at];
  a.h = worker.h;
  a.h_next = worker.h_next;
  for (Index i = 0; i < work.count; ++i) {
    const Index row = work.rows[work.first + i];
    a.h[i] = level.h[row];
    a.h_next[i] = level.h_next[row];
    for (Index k = 1; k < level.states(); ++k) {
      std::copy_n(level.of_row(k, row), level.size(k), worker.state[k] + i * level.padded);
    }
  }
  for (Index k = 1; k < level.states(); ++k) a.state[k] = worker.state[k];
}

template <class T>
void Stream<T>::scatter(Worker& worker, std::size_t at, const Work& work) noexcept {
  const Level& level = levels_[at];
  const ForwardArgs<T>& a = worker.args[at];
  for (Index i = 0; i < work.count; ++i) {
    const Index row = work.rows[work.first + i];
    level.h[row] = a.h[i];
    level.h_next[row] = a.h_next[i];
    for (Index k = 1; k < level.states(); ++k) {
      std::copy_n(a.state[k] + i * level.padded, level.size(k), level.of_row(k, row));
    }
  }
}

// What is no layer: in the same operations, one by one, as calls do it in NumPy.
template <class T>
void Stream<T>::join(Worker& worker, std::size_t at, const Work& work, Index steps) noexcept {
  const Level& level = levels_[at];
  const auto value = [&](int i) { return worker.values[static_cast<std::size_t>(i)]; };
  const Sequence<T> one = value(level.from), other = value(level.beside), to = value(level.to);
  const Index width = widths_[static_cast<std::size_t>(level.from)];
  for (Index t = 0; t < steps; ++t) {
    if (level.operation == StreamOperation::kHighway) {
      mix(worker, at, work, t);
      continue;
    }
    for (Index b = 0; b < work.count; ++b) {
      const T* const x = one.data + t * one.stride_t + b * one.stride_b;
      const T* const y = other.data + t * other.stride_t + b * other.stride_b;
      T* const z = to.data + t * to.stride_t + b * to.stride_b;
      if (level.operation == StreamOperation::kAdd) {
        for (Index i = 0; i < width; ++i) z[i] = x[i] + y[i];
      } else {
        std::copy_n(x, width, z);
        std::copy_n(y, widths_[static_cast<std::size_t>(level.beside)], z + width);
      }
    }
  }
}

// A step of a highway: `from` is what it was given, `beside` what was made of that.
template <class T>
void Stream<T>::mix(Worker& worker, std::size_t at, const Work& work, Index t) noexcept {
  const Level& level = levels_[at];
  ForwardArgs<T>& a = worker.args[at];
  const auto value = [&](int i) { return worker.values[static_cast<std::size_t>(i)]; };
  const Sequence<T> given = value(level.from), made = value(level.beside), to = value(level.to);
  const Index width = widths_[static_cast<std::size_t>(level.from)];
  a.pass.x = {given.data + t * given.stride_t, 0, given.stride_b};
  a.y = {worker.gate, 0, level.padded};
  a.pass.steps = a.end = 1;
  a.pass.batch = a.pass.count = work.count;
  a.pass.turn = turn_;
  a.h = worker.h;
  a.h_next = worker.h_next;
  for (Index i = 0; i < work.count; ++i) {
    a.h[i] = worker.zeros;
    a.h_next[i] = worker.gate_home + i * level.padded;
  }
  call_kernel(level, a);
  for (Index b = 0; b < work.count; ++b) {
    const T* const gate = worker.gate + b * level.padded;
    const T* const x = given.data + t * given.stride_t + b * given.stride_b;
    const T* const y = made.data + t * made.stride_t + b * made.stride_b;
    T* const z = to.data + t * to.stride_t + b * to.stride_b;
    for (Index i = 0; i < width; ++i) z[i] = gate[i] * y[i] + (T(1) - gate[i]) * x[i];
  }
}

template <class T>
void Stream<T>::reset() noexcept {
  for (Index row = 0; row < batch_; ++row) reset_row(row);
}

template <class T>
void Stream<T>::reset(const std::int32_t* rows, Index count) noexcept {
  for (Index i = 0; i < count; ++i) reset_row(rows[i]);
}

template <class T>
void Stream<T>::reset_row(Index row) noexcept {
  for (const Level& level : levels_) {
    if (level.h == nullptr) continue;
    for (Index k = 0; k < level.states(); ++k) {
      if (level.initial.empty()) {
        std::fill_n(level.of_row(k, row), level.size(k), T(0));
      } else {
        const auto& initial = level.initial[static_cast<std::size_t>(k)];
        std::copy(initial.begin(), initial.end(), level.of_row(k, row));
      }
    }
  }
}

template <class T>
const T* Stream<T>::state(std::size_t i, Index layer, std::size_t k, Index row) const noexcept {
  const Level& level = levels_[static_cast<std::size_t>(first_level_[i] + layer)];
  return level.of_row(static_cast<Index>(k), row);
}

template <class T>
T* Stream<T>::state(std::size_t i, Index layer, std::size_t k, Index row) noexcept {
  const Stream& self = *this;
  return const_cast<T*>(self.state(i, layer, k, row));
}

template <class T>
void Stream<T>::read_state(std::size_t i, std::size_t k, T* to) const noexcept {
  const NetworkShape& shape = network(i).shape();
  for (Index layer = 0; layer < shape.layers; ++layer) {
    for (Index row = 0; row < batch_; ++row) {
      to = std::copy_n(state(i, layer, k, row), shape.state_size(k), to);
    }
  }
}

template <class T>
void Stream<T>::write_state(std::size_t i, std::size_t k, const T* from) noexcept {
  const NetworkShape& shape = network(i).shape();
  for (Index layer = 0; layer < shape.layers; ++layer) {
    for (Index row = 0; row < batch_; ++row, from += shape.state_size(k)) {
      std::copy_n(from, shape.state_size(k), state(i, layer, k, row));
    }
  }
}

// Those members that are defined here; stream_layout.cpp has the others.
template class Stream<float>;
template class Stream<double>;

}  // namespace simdrnn
