// A call of a shared network as an array of numbers and lists of buffers: plain data, so that code
// which sees no other header of ours (xla.cpp) can pass it on.
//
// Arguments, in this order:
//   x, the S states, the parameters in the order of state_dict; where given the S reset states,
//   lengths (B,) int32, mask and reset (T, B) bool, attention (T, B), the key (2,) uint32, low word
//   first;
//   backward also: output, the lower layers' outputs (L-1, T, B, D*H), what is kept, where given
//   d_output, and those of d_states that are given.
// Results:
//   forward: output, the S final states; record also: the lower layers' outputs and what is kept,
//   saved values (L*D, T, B, saved*H) or checkpoints (L*D, borders, B, (S-1)*H);
//   backward: d_x where wanted, the S d_states, the parameters' gradients, where given the S
//   d_reset_states, the gradient for attention.
// Sequences are x, output, d_output and d_x: (T, B, width), or (B, T, width) with kBatchFirst.
#pragma once
#include <cstddef>
#include <cstdint>

namespace simdrnn::python {

enum CallField {
  kNetwork,  // what share_network was told
  kPass,
  kSteps,
  kBatch,
  kBatchFirst,
  kHoldOutput,
  kThreads,
  kCheckpointEvery,  // 0: everything is kept
  kGiven,            // bits of GivenBuffer
  kGivenStates,      // bit k: the gradient of final state k is given
  kCallFields
};

enum Pass : std::int64_t { kForwardPass, kRecordPass, kBackwardPass };

enum GivenBuffer : std::int64_t {
  kGivenResetStates = 1,
  kGivenLengths = 2,
  kGivenMask = 4,
  kGivenReset = 8,
  kGivenKey = 16,  // random things are drawn
  kGivenOutput = 32,
  kWantedInput = 64,  // d_x
  kGivenAttention = 128
};

struct Buffer {
  void* data;
  std::size_t bytes;
};

struct BufferCall {
  const std::int64_t* fields;  // kCallFields
  std::size_t field_count;
  const Buffer* arguments;
  std::size_t argument_count;
  const Buffer* results;
  std::size_t result_count;
};

// Returns whether all went well; if not, writes a sentence to `message`. Throws nothing.
using RunBuffers = bool (*)(const BufferCall& call, char* message, std::size_t message_size);

// The name of the capsule that holds a RunBuffers; another version, another layout of the above.
inline constexpr char kRunBuffersName[] = "simdrnn.run_buffers.1";

}  // namespace simdrnn::python
