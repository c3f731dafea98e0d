#include "engine/memory.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <vector>

namespace simdrnn {

namespace {

// What a thread keeps between calls. More than this (sequences between the layers of a long stack)
// costs little to map again beside what the call computes, and would be missed elsewhere.
constexpr std::size_t kKeptBytes = std::size_t{64} << 20;

class ThreadBuffer;

// The buffers of all threads that have run a layer. Never destroyed: threads end after it would be.
struct Registry {
  std::mutex mutex;
  std::vector<ThreadBuffer*> buffers;
};

Registry& registry() {
  static Registry* const all = [] {
    // A child forked while another thread is in here gets an unlocked mutex.
    pthread_atfork([] { registry().mutex.lock(); }, [] { registry().mutex.unlock(); },
                   [] { registry().mutex.unlock(); });
    return new Registry();
  }();
  return *all;
}

class ThreadBuffer {
 public:
  ThreadBuffer() {
    const std::lock_guard lock(registry().mutex);
    registry().buffers.push_back(this);
  }
  ~ThreadBuffer() {
    const std::lock_guard lock(registry().mutex);
    std::erase(registry().buffers, this);
  }
  ThreadBuffer(const ThreadBuffer&) = delete;
  ThreadBuffer& operator=(const ThreadBuffer&) = delete;

  bool take() { return !taken_.exchange(true, std::memory_order_acquire); }
  void give_back() { taken_.store(false, std::memory_order_release); }
  AlignedBuffer memory;

 private:
  std::atomic<bool> taken_{false};
};

ThreadBuffer& of_this_thread() {
  thread_local ThreadBuffer buffer;
  return buffer;
}

}  // namespace

Workspace::Workspace(std::size_t bytes) : buffer_(&own_) {
  ThreadBuffer& shared = of_this_thread();
  if (!shared.take()) {
    own_.reserve(bytes);
    return;
  }
  try {
    shared.memory.reserve(bytes);
  } catch (...) {
    shared.give_back();
    throw;
  }
  buffer_ = &shared.memory;
}

Workspace::~Workspace() {
  if (buffer_ == &own_) return;
  if (buffer_->bytes() > kKeptBytes) buffer_->release();
  of_this_thread().give_back();
}

std::size_t release_workspaces() {
  std::size_t released = 0;
  const std::lock_guard lock(registry().mutex);
  for (ThreadBuffer* const buffer : registry().buffers) {
    if (!buffer->take()) continue;
    released += buffer->memory.bytes();
    buffer->memory.release();
    buffer->give_back();
  }
  return released;
}

}  // namespace simdrnn
