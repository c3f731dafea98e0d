#include "layer/workspace.hpp"

namespace simdrnn {

namespace {

// What a thread keeps between calls. More than this (sequences between the layers of a long stack)
// costs little to map again beside what the call computes, and would be missed elsewhere.
constexpr std::size_t kKeptBytes = std::size_t{64} << 20;

struct ThreadBuffer {
  AlignedBuffer buffer;
  bool taken = false;
};

ThreadBuffer& of_this_thread() {
  thread_local ThreadBuffer buffer;
  return buffer;
}

}  // namespace

Workspace::Workspace(std::size_t bytes) : buffer_(&own_) {
  ThreadBuffer& shared = of_this_thread();
  if (!shared.taken) buffer_ = &shared.buffer;
  buffer_->reserve(bytes);  // may throw: before the buffer counts as taken
  if (buffer_ == &shared.buffer) shared.taken = true;
}

Workspace::~Workspace() {
  if (buffer_ == &own_) return;
  of_this_thread().taken = false;
  if (buffer_->bytes() > kKeptBytes) buffer_->release();
}

}  // namespace simdrnn
