#include "engine/memory.hpp"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <new>
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
    // All that may fail comes before what cannot be taken back.
    auto made = std::make_unique<Registry>();
    // A child forked while another thread is in here gets an unlocked mutex.
    if (!system::at_fork([] { registry().mutex.lock(); }, [] { registry().mutex.unlock(); },
                         [] { registry().mutex.unlock(); })) {
      throw std::bad_alloc();
    }
    return made.release();
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
  std::ptrdiff_t steps_taken = 0;

 private:
  std::atomic<bool> taken_{false};
};

// The calling thread's; null where there is no memory for one.
ThreadBuffer* of_this_thread() {
  static const system::ThreadSlot slot(
      [](void* buffer) { delete static_cast<ThreadBuffer*>(buffer); });
  auto* buffer = static_cast<ThreadBuffer*>(slot.get());
  if (buffer == nullptr) {
    auto made = std::make_unique<ThreadBuffer>();
    if (!slot.set(made.get())) return nullptr;
    buffer = made.release();
  }
  return buffer;
}

}  // namespace

Workspace::Workspace(std::size_t bytes) : buffer_(&own_) {
  ThreadBuffer* const shared = of_this_thread();
  if (shared == nullptr || !shared->take()) {
    own_.reserve(bytes);
    return;
  }
  try {
    shared->memory.reserve(bytes);
  } catch (...) {
    shared->give_back();
    throw;
  }
  buffer_ = &shared->memory;
}

Workspace::~Workspace() {
  if (buffer_ == &own_) return;
  if (buffer_->bytes() > kKeptBytes) buffer_->release();
  of_this_thread()->give_back();
}

std::ptrdiff_t* steps_of_this_thread() {
  ThreadBuffer* const buffer = of_this_thread();
  return buffer == nullptr ? nullptr : &buffer->steps_taken;
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

std::unique_ptr<AlignedBuffer> KeptBlocks::take_from(std::size_t place) noexcept {
  std::unique_ptr<AlignedBuffer> block(places_[place % kPlaces].exchange(nullptr));
  if (block != nullptr) bytes_ -= block->bytes();
  return block;
}

bool KeptBlocks::fits(std::size_t wanted, std::size_t found) {
  return wanted <= found && found <= wanted + wanted / 4;
}

std::unique_ptr<AlignedBuffer> KeptBlocks::take(std::size_t bytes) {
  for (std::size_t place = 0; place < kPlaces; ++place) {
    if (!fits(bytes, sizes_[place].load(std::memory_order_relaxed))) continue;
    std::unique_ptr<AlignedBuffer> found = take_from(place);
    if (found == nullptr) continue;
    if (fits(bytes, found->bytes())) return found;  // as it is, unless another was put there
    AlignedBuffer* nobodys = nullptr;  // else back to its place, unless somebody filled that
    bytes_ += found->bytes();
    if (places_[place].compare_exchange_strong(nobodys, found.get())) {
      (void)found.release();
    } else {
      bytes_ -= found->bytes();
    }
  }
  auto made = std::make_unique<AlignedBuffer>();
  made->reserve(bytes);
  return made;
}

void KeptBlocks::give(std::unique_ptr<AlignedBuffer> block) noexcept {
  if (block == nullptr || block->bytes() > kMostKept) return;
  const std::size_t place = next_.fetch_add(1) % kPlaces;
  bytes_ += block->bytes();
  sizes_[place].store(block->bytes(), std::memory_order_relaxed);
  const std::unique_ptr<AlignedBuffer> oldest(places_[place].exchange(block.release()));
  if (oldest != nullptr) bytes_ -= oldest->bytes();
  for (std::size_t next = place + 1; bytes_ > kMostKept && next < place + kPlaces; ++next) {
    take_from(next);  // and free it
  }
}

std::size_t KeptBlocks::release() noexcept {
  std::size_t released = 0;
  for (std::size_t place = 0; place < kPlaces; ++place) {
    const std::unique_ptr<AlignedBuffer> block = take_from(place);
    if (block != nullptr) released += block->bytes();
  }
  return released;
}

KeptBlocks& KeptBlocks::all() {
  static auto* const blocks = new KeptBlocks;
  return *blocks;
}

}  // namespace simdrnn
