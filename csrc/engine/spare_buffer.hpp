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

// One thing at most. It is taken and given without a lock, so no fork finds one held.
template <class Kept>
class Spare {
 public:
  Spare() = default;
  Spare(const Spare&) = delete;
  Spare& operator=(const Spare&) = delete;
  ~Spare() { (void)take(); }

  // Empty if there is none.
  [[nodiscard]] Kept take() noexcept {
    const std::unique_ptr<Kept> kept(kept_.exchange(nullptr));
    return kept == nullptr ? Kept() : std::move(*kept);
  }
  // In place of what was here before.
  void give(Kept given) noexcept {
    const std::unique_ptr<Kept> before(kept_.exchange(new (std::nothrow) Kept(std::move(given))));
  }

 private:
  std::atomic<Kept*> kept_{nullptr};
};

// One buffer at most.
class SpareBuffer {
 public:
  // With room for so many bytes.
  [[nodiscard]] AlignedBuffer take(std::size_t bytes) {
    AlignedBuffer memory = kept_.take();
    memory.reserve(bytes);
    return memory;
  }
  void give(AlignedBuffer memory) noexcept {
    if (memory.bytes() > 0) kept_.give(std::move(memory));
  }
  // Gives it back to the system; returns its bytes.
  std::size_t release() noexcept { return kept_.take().bytes(); }

 private:
  Spare<AlignedBuffer> kept_;
};

}  // namespace simdrnn
