// Memory: buffers, the working memory of a call, and how that is laid out.
#pragma once
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

namespace simdrnn {

// Memory aligned to cache lines, owned. Grows by replacing; the content is not kept.
//
// Large buffers start at a huge page and ask for such pages: weights that are streamed through at
// every step would otherwise miss the translation cache at every fourth kilobyte.
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

// Working memory of a call: one growing buffer per calling thread, kept between calls because fresh
// pages cost more than small networks do.
//
// The calling thread's buffer, or one of its own when that is taken (a signal handler that runs a
// layer).
class Workspace {
 public:
  explicit Workspace(std::size_t bytes);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  [[nodiscard]] char* data() const { return static_cast<char*>(buffer_->data()); }

 private:
  AlignedBuffer own_;
  AlignedBuffer* buffer_;
};

// Gives the buffers of all threads that are not in a call back to the system; returns their bytes.
std::size_t release_workspaces();

// Two passes over one layout: the first counts (base null), the second hands out addresses.
class Carver {
 public:
  explicit Carver(char* base) : base_(base) {}
  template <class E>
  E* take(std::ptrdiff_t count) {
    constexpr std::size_t kLines =
        128;  // neighbours of different threads never share a pair of cache lines
    const std::size_t at = used_;
    std::size_t bytes = 0;
    if (count < 0 || __builtin_mul_overflow(static_cast<std::size_t>(count), sizeof(E), &bytes) ||
        __builtin_add_overflow(bytes, at + kLines - 1, &used_)) {
      throw std::bad_alloc();
    }
    used_ = used_ / kLines * kLines;
    return base_ == nullptr || count == 0 ? nullptr : reinterpret_cast<E*>(base_ + at);
  }
  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  char* base_;
  std::size_t used_ = 0;
};

}  // namespace simdrnn
