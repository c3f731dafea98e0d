// Arguments of the kernels: plain data, no functions, so that no symbol is shared between ISAs.
//
// Letters: T steps, B batch, I inputs, H hidden units. With a projection h is P wide, not H; so is
// then everything that is called (B, H) of state 0 and (T, B, H) of outputs. Strides and offsets
// count elements. "Step s" counts in processing order; its time is t = s, or T - 1 - s in the
// reverse direction.
#pragma once
#include <cstdint>

#include "abi/cell_info.hpp"
#include "abi/options.hpp"
#include "abi/row_layout.hpp"

namespace simdrnn {

// One bit field per (t, b), made for one direction by engine/steps.cpp.
enum StepFlag : std::uint8_t {
  kStepReal = 1,   // the step is consumed
  kStepFresh = 2,  // before this step the states are replaced by the initial ones
};

// Instead of the step whose states another continues from: it has the initial ones, or a reset's.
inline constexpr Index kNoStep = -1, kReset = -2;

// Packed weights of one layer and direction, one entry per phase; see kernels/gemm/pack.hpp for the
// layout.
template <class T>
struct PackedWeights {
  // What forward reads, and backward too where it is not packed otherwise.
  const T* x[kMaxPhases];     // W, for the forward product; or what second_sees_h has
  const T* h[kMaxPhases];     // R
  const T* bias[kMaxPhases];  // bias of the gates
  const T* bias_separate;     // bias_hh of the separate gates
  const T* projection;        // W_hr
  const T* parameters;        // of the cell itself, then of layer norm: (count, parameter_stride)
  Index parameter_stride;
  // What backward reads besides; null until it is packed.
  const T* h_transposed[kMaxPhases];  // R^T, for dL/dh
  const T* h_transposed_separate;     // its rows of the separate gates, or for second_sees_h
  const T* x_transposed;              // W^T, for dL/dx
  const T* projection_transposed;     // W_hr^T
};

// A (T, B, width) array whose innermost stride is one element.
template <class T>
struct Sequence {
  T* data;
  Index stride_t, stride_b;
};

// What one thread's rows share over all kernels of a layer and direction.
template <class T>
struct PassArgs {
  Index steps, batch, input_size, hidden_size;
  Index h_size;  // of h: hidden_size, or that of the projection
  Index turn;    // steps of the calls before: tiles are gone through forth and back in turn
  bool reverse;
  bool hold;                  // a step that is not real outputs the carried h, else 0
  const std::uint8_t* flags;  // (T, B) StepFlag, or null: every step is real
  const std::int32_t* rows;   // the thread's rows of the batch
  Index count;                // how many
  Sequence<const T> x;
  const T* attention;                // (T, B): what the cell takes of every step beside x, or null
  Index heads;                       // blocks of R; 1: it is whole
  const T* initial[kMaxStates];      // (B, H) each
  const T* after_reset[kMaxStates];  // what a reset puts in their place; often the same
  PackedWeights<T> weights;
  CellOptions<T> options;
  Projection<T> projection;
  bool optioned;  // whether one of them acts on the step itself
  Draw draw;
  RowLayout layout;  // of a row on the tape, and of one of gate gradients
};

// A gang shares the same rows: each part computes its own tiles of hidden units and meets the
// others where it needs what they made. One part alone has no one to meet.
struct Gang {
  Index part, parts;
  void (*meet)(void* place);
  void* place;
};

// Where a row's states are before a step.
enum StateOrigin : std::uint8_t {
  kCarried,     // in the row's own memory
  kInitial,     // still the initial ones
  kAfterReset,  // those that a reset put there
};

// Where a row's W x is formed beside its steps: of one half of so many, while it takes those of the
// other half.
inline constexpr Index kOverlappedSteps = 24;

template <class T>
struct ForwardArgs {
  PassArgs<T> pass;
  Gang gang;
  Index begin, end;   // steps of this call
  Sequence<T> y;      // (T, B, H)
  T* saved;           // (T, B, saved * H), or null
  Index hoist_steps;  // W x is formed for this many steps at once; 0: fused into the step
  bool overlap;       // whether W x may be formed beside the steps before: kOverlappedSteps or more
                      // of one row are hoisted then
  // The rows' states; they live on from call to call. h has two homes per row, swapped by each real
  // step.
  T** h;  // count pointers to (padded H)
  T** h_next;
  std::uint8_t* origin;  // count: StateOrigin
  T* state[kMaxStates];  // states other than h, from index 1: (count, padded H)
  Index padded;          // H rounded up for full vectors
  T* operand;            // cells of two phases: (count, padded) and
  T* gates;              // (count, gates - 1, padded) of the step at hand; or with a projection
                         // operand alone: what it takes, the cell's h
  void* scratch;         // forward_scratch bytes
};

template <class T>
struct BackwardArgs {
  PassArgs<T> pass;
  Gang gang;
  Index begin, end;       // steps of this call, run from end - 1 down to begin
  Sequence<const T> y;    // (T, B, H), as forward wrote it
  Sequence<const T> d_y;  // or null data
  const T* saved;
  T* trace;                // see kernels/backward/trace.hpp, or null
  Index saved_begin;       // the first step of which `saved` holds values
  const T* checkpoint;     // (B, (states - 1) * H): the states other than h before that step
  T* d_state[kMaxStates];  // (count, padded H): gradient carried to the step before
  Index padded;
  T* d_initial[kMaxStates];      // (B, H), accumulated
  T* d_after_reset[kMaxStates];  // the same; often the same memory
  // One row per real step of all threads, in the order the weight gradients sum them:
  const std::int32_t*
      position;  // (end - begin, B) row number by (end - 1 - s, b), or null: (end-1-s)*B + b
  T* d_pre;      // (rows, d_pre_stride), as GradientLayout says
  Index d_pre_stride;
  const T** x_rows;  // filled here: where that row's x and h_{t-1} are
  const T** h_rows;
  T* operand;           // (rows, H): of the second phase or the projection; or null
  T* d_operand;         // (count, padded H): its gradient in the step at hand
  T* dropped_h;         // (rows, H): h_{t-1} as recurrent dropout left it, or null
  Sequence<T> d_x;      // or null data
  bool accumulate_d_x;  // add to d_x: the other direction was there before
  bool overlap;         // whether d_x may be formed beside the steps: of one row
  void* scratch;        // backward_scratch bytes
};

// C (columns, width) += sum over rows r of  d_pre[r][first + c] * operand[r][w], in ascending r.
template <class T>
struct OuterArgs {
  const T* d_pre;
  Index d_pre_stride, rows;
  Index first, columns;                // columns of d_pre
  const T* const* operand;             // rows pointers
  Index operand_begin, operand_width;  // the part of the operand's row that this call takes
  T* out;                              // points at C[0][operand_begin]
  Index out_stride;
  bool overwrite;  // start from 0 instead of C
  T* scratch;      // rows * outer_width elements
};

// out[c] += sum over rows r of d_pre[r][first + c], in ascending r.
template <class T>
struct SumArgs {
  const T* d_pre;
  Index d_pre_stride, rows, first, columns;
  T* out;
  bool overwrite;
};

// out[i] = in[i], or 0, times the scale of what is kept: dropout of one row.
template <class T>
struct DropArgs {
  Draw draw;
  Feature feature;
  Index t, b;
  Chance<T> chance;
  const T* in;
  T* out;  // may be `in`
  Index width;
};

// out[r][begin, end) = bias + x[r] times a packed matrix of `width` columns, each one chain of FMAs
// in ascending k.
template <class T>
struct DenseArgs {
  const T* x;
  Index x_stride, rows, depth;
  const T* panels;          // (depth, width), packed
  const T* bias;            // width elements padded to full vectors, or null: 0
  Index width, begin, end;  // `begin` is the start of a tile
  T* out;
  Index out_stride;
};

// A matrix (width, depth) and where it goes for DenseArgs, packed as it is and transposed.
template <class T>
struct DensePackArgs {
  const T* matrix;
  Index width, depth;
  T* panels;      // for rows of `depth`: dense_elements(depth, width)
  T* transposed;  // for rows of `width`: dense_elements(width, depth); or null
  Index part, parts;
};

// Weights of one layer and direction as the user gave them, and where their packed form goes.
template <class T>
struct PackArgs {
  Index input_size, hidden_size;
  const T* weight_ih;          // (input_blocks*H, I)
  const T* weight_hh;          // (recurrent_blocks*H, P), or null where that is 0
  const T* bias_ih;            // (input_blocks*H), or null
  const T* bias_hh;            // (recurrent_gates*H), or null
  const T* const* parameters;  // pointers to (H): the cell's own, null is 0; layer normalisation's
  Index parameter_count;
  const T* weight_hr;         // (P, H), or null: P is H
  Index projected_size;       // P, or 0
  T* out;                     // what forward reads, 64-byte aligned, or null: see below
  T* out_backward;            // what backward reads besides, likewise; null: not wanted
  PackedWeights<T>* packed;   // filled with pointers into these
  Index heads;                // weight_hh is (gates*H, H / heads)
  bool stream;                // whether what is written goes past the caches
  Index part = 0, parts = 1;  // matrices are packed by this many threads, of which this is one
};

// Elements of both forms. With neither given they are only counted. With `out_backward` alone it is
// made of what `packed` says was packed for forward, and weights are not read.
struct PackedElements {
  Index forward, backward;
};

}  // namespace simdrnn
