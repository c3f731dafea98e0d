// Memory aligned to cache lines, owned. Grows by replacing; the content is not kept.
//
// Large buffers start at a huge page and ask for such pages: weights that are streamed through at
// every step would otherwise miss the translation cache at every fourth kilobyte.
#pragma once
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

namespace simdrnn {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  AlignedBuffer(const AlignedBuffer&) = delete;
  AlignedBuffer& operator=(const AlignedBuffer&) = delete;
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~AlignedBuffer() { std::free(data_); }

  // Makes room for at least `bytes`; throws std::bad_alloc and is empty then.
  void reserve(std::size_t bytes) {
    if (bytes <= bytes_) return;
    release();
    constexpr std::size_t kLine = 64, kHugePage = std::size_t{2} << 20;
    const std::size_t alignment = bytes < 2 * kHugePage ? kLine : kHugePage;
    if (posix_memalign(&data_, alignment, bytes) != 0) {
      data_ = nullptr;
      throw std::bad_alloc();
    }
    bytes_ = bytes;
#if defined(__linux__)
    // A wish: where it is not granted everything works as before.
    if (alignment == kHugePage) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
  }
  void release() noexcept {
    std::free(data_);
    data_ = nullptr;
    bytes_ = 0;
  }

  [[nodiscard]] void* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace simdrnn
