#include "layer/workspace.hpp"

namespace simdrnn {

namespace {

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
  if (buffer_ != &own_) of_this_thread().taken = false;
}

}  // namespace simdrnn
