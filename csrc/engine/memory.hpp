// Working memory of a call: one growing buffer per calling thread, kept between calls because fresh
// pages cost more than small networks do.
#pragma once
#include "engine/aligned_buffer.hpp"

namespace simdrnn {

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
