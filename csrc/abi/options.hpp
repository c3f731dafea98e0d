// What options a layer carries, as plain data: every number a kernel needs to act on them.
#pragma once
#include <cstdint>

#include "abi/activation.hpp"
#include "abi/cell_info.hpp"

namespace simdrnn {

// Clips; infinity switches one off.
template <class T>
struct Limits {
  T gate, cell, hidden;                 // forward
  T step_gradient, step_gradient_norm;  // inside BPTT
  T projected;                          // of h after its projection
};

// Of something that happens at random. A 32-bit word below `threshold` makes it happen.
template <class T>
struct Chance {
  bool on;
  T probability;
  T scale;                  // 1 / (1 - probability): of what dropout keeps
  std::uint64_t threshold;  // probability * 2^32
};

// What makes the h that is carried of the cell's, (P, H) weights, and the options that then act on
// it instead of on the cell's.
template <class T>
struct Projection {
  Index size;  // P; 0 where there is none
  Chance<T> zoneout;
};

// What random words are drawn for. They never share a word: it is part of the counter.
enum class Feature : std::uint32_t {
  kBetweenLayers,
  kInput,
  kRecurrent,
  kCandidate,
  kZoneout,  // of h; those of the other states follow
  kStateNoise = 12
};

// What is drawn for a step's row is a row of numbers each (kernels/options/noise.hpp): for the
// candidate, for the noise, and then for the states.
inline constexpr int kRowsBeforeStates = 2;

// Where the random words of a call come from; see kernels/options/noise.hpp.
struct Draw {
  std::uint64_t key;     // of the call
  std::uint32_t stream;  // layer * directions + direction
  bool training;         // else the options act by their expectation
};

// Layer normalisation of W x and of R h, each over all gates of a row, and of the state that
// CellInfo::normalise names; see kernels/options/layer_norm.hpp.
template <class T>
struct LayerNorm {
  bool on;
  bool carried;  // the normalised state is carried on; else only h is made of it
  T epsilon;
};

template <class T>
struct CellOptions {
  Limits<T> limits;
  Activation<T> activations[kMaxActivations];  // in the order of CellInfo's
  bool own_activations;                        // whether one of them is not the cell's default
  Chance<T> recurrent_dropout;                 // of h_{t-1} before its product, once per sequence
  bool dropout_by_gate;                        // every gate drops its own
  Chance<T> candidate_dropout;                 // of the candidate, at every step
  Chance<T> zoneout[kMaxStates];               // of keeping the old state, at every step
  T state_noise;                               // its standard deviation; 0 is none
  LayerNorm<T> norm;
};

}  // namespace simdrnn
