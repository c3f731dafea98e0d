// Memory: buffers, the working memory of a call, and how that is laid out.
#pragma once
#include <atomic>
#include <cstddef>
#include <memory>
#include <new>
#include <utility>

#include "engine/system/system.hpp"

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
  ~AlignedBuffer() { system::release(data_); }

  // Makes room for at least `bytes`; throws std::bad_alloc and is empty then.
  void reserve(std::size_t bytes) {
    if (bytes <= bytes_) return;
    release();
    constexpr std::size_t kLine = 64;
    const bool large = bytes >= 2 * system::kHugePage;
    data_ = system::allocate(large ? system::kHugePage : kLine, bytes);
    if (data_ == nullptr) throw std::bad_alloc();
    bytes_ = bytes;
    if (large) system::wish_for_huge_pages(data_, bytes);
  }
  void release() noexcept {
    system::release(data_);
    data_ = nullptr;
    bytes_ = 0;
  }

  [[nodiscard]] void* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Whether so many bytes are better written past the caches. No line is then read before it is
// written, but whoever reads them next waits for memory. Packed weights of an LSTM, up to the first
// call behind it, with 32 MiB of last cache: 12.8 MB written take 0.61 ms and past the caches 0.82,
// 16.8 MB 1.20 and 1.07, 26 MB 2.57 and 1.60. (What the system says of caches is no help: a virtual
// machine says 320 MiB.)
[[nodiscard]] constexpr bool streams(std::size_t bytes) { return bytes > std::size_t{13} << 20; }

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

// How many steps calls on this thread have taken, kept with its buffer; null where it has none.
std::ptrdiff_t* steps_of_this_thread();

// Gives the buffers of all threads that are not in a call back to the system; returns their bytes.
std::size_t release_workspaces();

// Memory of large arrays that come and go with every step of a training loop, as those of a tape
// do: fresh pages cost about as much as what is written to them. Whoever has a block has it alone;
// what is given back is kept for the next who asks for about as much, the last few and not more
// than kMostKept bytes of them. Taken and given without a lock, so no fork finds one held.
class KeptBlocks {
 public:
  static constexpr std::size_t kMostKept = std::size_t{256} << 20;
  // What is smaller is not worth it: half of the 128 KiB beyond which glibc gives the end of its
  // heap back to begin with, and clearing 16 pages takes ten times as long as finding a block.
  static constexpr std::size_t kLeast = std::size_t{1} << 16;

  // At least so many bytes, with anything in them; throws std::bad_alloc.
  [[nodiscard]] std::unique_ptr<AlignedBuffer> take(std::size_t bytes);
  void give(std::unique_ptr<AlignedBuffer> block) noexcept;
  // Gives all back to the system; returns how many bytes that were.
  std::size_t release() noexcept;

  // The process's, which no array outlives.
  static KeptBlocks& all();

 private:
  static constexpr std::size_t kPlaces = 128;  // more than a step of a stack has such arrays

  std::unique_ptr<AlignedBuffer> take_from(std::size_t place) noexcept;
  static bool fits(std::size_t wanted, std::size_t found);

  std::atomic<AlignedBuffer*> places_[kPlaces] = {};  // a ring: the oldest is at the next to fill
  std::atomic<std::size_t> sizes_[kPlaces] = {};  // of what was last put there, to look at first
  std::atomic<std::size_t> next_{0};
  std::atomic<std::size_t> bytes_{0};  // of those in their places
};

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
