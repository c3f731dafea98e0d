// Memory aligned to cache lines, owned. Grows by replacing; the content is not kept.
#pragma once
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
    constexpr std::size_t kLine = 64;
    const std::size_t rounded = (bytes + kLine - 1) / kLine * kLine;
    if (rounded < bytes) throw std::bad_alloc();
    data_ = std::aligned_alloc(kLine, rounded);
    if (data_ == nullptr) throw std::bad_alloc();
    bytes_ = rounded;
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
