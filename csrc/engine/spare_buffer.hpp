// Memory that somebody needs no longer, kept for who comes next: fresh pages cost more than what is
// mostly written to them.
#pragma once
#include <atomic>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

#include "engine/memory.hpp"

namespace simdrnn {

// One buffer at most. It is taken and given without a lock, so no fork finds one held.
class SpareBuffer {
 public:
  SpareBuffer() = default;
  SpareBuffer(const SpareBuffer&) = delete;
  SpareBuffer& operator=(const SpareBuffer&) = delete;
  ~SpareBuffer() { (void)release(); }

  // With room for so many bytes.
  [[nodiscard]] AlignedBuffer take(std::size_t bytes) {
    AlignedBuffer memory;
    if (const std::unique_ptr<AlignedBuffer> kept(kept_.exchange(nullptr)); kept != nullptr) {
      memory = std::move(*kept);
    }
    memory.reserve(bytes);
    return memory;
  }
  void give(AlignedBuffer memory) noexcept {
    if (memory.bytes() == 0) return;
    const std::unique_ptr<AlignedBuffer> before(
        kept_.exchange(new (std::nothrow) AlignedBuffer(std::move(memory))));
  }
  // Gives it back to the system; returns its bytes.
  std::size_t release() noexcept {
    const std::unique_ptr<AlignedBuffer> kept(kept_.exchange(nullptr));
    return kept == nullptr ? 0 : kept->bytes();
  }

 private:
  std::atomic<AlignedBuffer*> kept_{nullptr};
};

}  // namespace simdrnn
