// What a stream is made of inside; for stream.cpp, which runs it, and stream_layout.cpp, which puts
// it together.
#pragma once
#include <algorithm>

#include "engine/stream.hpp"

namespace simdrnn {

template <class T>
struct Stream<T>::Level {
  StreamOperation operation;
  int from, beside;  // values that it takes; beside: none is -1
  int to;            // the value that it makes
  const Network<T>* network = nullptr;
  const CellKernels<T>* kernels = nullptr;
  PassArgs<T> pass{};  // but for what differs from call to call
  Index padded = 0;
  std::vector<std::vector<T>> initial{};  // by state; empty: zeros
  // Of a layer with states: where each row's h is and where its next one goes, (B) pointers; and
  // the other states (B, padded).
  T** h = nullptr;
  T** h_next = nullptr;
  T* state[kMaxStates] = {};

  [[nodiscard]] Index states() const { return network == nullptr ? 0 : network->info().states; }
  [[nodiscard]] Index size(Index k) const {
    return network->shape().state_size(static_cast<std::size_t>(k));
  }
  // Steps whose input products are formed at once.
  [[nodiscard]] Index hoisted(Index rows, Index steps) const {
    // Layer normalisation needs W x apart from R h.
    return std::max<Index>(hoisted_steps(rows, steps), pass.options.norm.on ? 1 : 0);
  }
  // Where state k of a row is.
  [[nodiscard]] T* of_row(Index k, Index row) const {
    return k == 0 ? h[row] : state[k] + row * padded;
  }
};

// For as many rows as it was prepared for.
template <class T>
struct Stream<T>::Worker {
  std::vector<ForwardArgs<T>> args;  // by level
  std::vector<Sequence<T>> values;   // (steps of a block, rows, width); x is never written to
  void* scratch = nullptr;
  std::uint8_t* origin = nullptr;  // always kCarried
  // Of rows that are not neighbours: pointers to their h, and copies of their other states.
  T** h = nullptr;
  T** h_next = nullptr;
  T* state[kMaxStates] = {};
  T* operand = nullptr;
  T* gates = nullptr;
  // Of a highway's gate: rows for what it makes, and the zeros that it begins with.
  T* gate = nullptr;
  T* gate_home = nullptr;
  T* zeros = nullptr;
};

template <class T>
struct Stream<T>::Work {
  Sequence<const T> x;
  Sequence<T> out;
  const T* attention;
  Index steps;
  const std::int32_t* rows;  // null: all
  Index first, count;        // which of them are this work's
  Index of;                  // how many there are in the call
  // The first of the stream's rows, if those of the work are neighbours in order; else -1.
  Index neighbours = -1;

  void find_neighbours() noexcept {
    if (rows == nullptr) {
      neighbours = first;
      return;
    }
    const std::int32_t* const own = rows + first;
    neighbours = count > 0 ? own[0] : 0;
    for (Index i = 1; i < count; ++i) {
      if (own[i] != own[0] + i) {
        neighbours = -1;
        return;
      }
    }
  }
};

}  // namespace simdrnn
