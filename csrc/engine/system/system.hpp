// What operating systems do each in their own way. linux.cpp, macos.cpp and windows.cpp have it;
// what the first two have in common is in posix.cpp. No other file of the engine asks a system.
#pragma once
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

namespace simdrnn::system {

// CPUs this process may run on, and those that a container's or job's quota grants it, rounded up;
// a large number where there is no quota. Both are at least 1.
int cpus_of_affinity();
int cpus_of_quota();
inline constexpr int kNoQuota = 1 << 20;

// Lets another thread have this CPU, if one waits for it.
void yield_cpu();

[[noreturn]] void wait_for_ever();

// Memory that begins at a multiple of `alignment`, a power of two; null where there is none.
void* allocate(std::size_t alignment, std::size_t bytes);
void release(void* memory);
// Asks for pages as large as this one, from which such memory begins. A wish: where it is not
// granted everything works as before.
inline constexpr std::size_t kHugePage = std::size_t{2} << 20;
void wish_for_huge_pages(void* memory, std::size_t bytes);

// Has these called around every fork, null for nothing; false where that cannot be had. A system
// that does not fork calls none of them.
using Handler = void (*)();
bool at_fork(Handler before, Handler in_parent, Handler in_child);

// Blocks all signals on this thread as long as it lives: threads that it begins meanwhile are born
// so. Where threads get none there is nothing to do.
class SignalsBlocked {
 public:
  SignalsBlocked();
  ~SignalsBlocked();
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  alignas(std::max_align_t) unsigned char before_[128];  // a set of signals
};

// A pointer of each thread, null at first, and what is done with it when the thread ends. Not a
// thread_local variable: where glibc finds no memory for such a variable, or for what destroys it,
// it ends the process. One that is made is never taken apart.
class ThreadSlot {
 public:
  explicit ThreadSlot(void (*at_thread_end)(void*));
  [[nodiscard]] void* get() const;            // null where there are no slots left
  [[nodiscard]] bool set(void* value) const;  // false where there is no memory for it

 private:
  unsigned long key_ = 0;
  bool made_ = false;
};

// Threads that are to wake elsewhere than where they are woken from.
class Workers {
 public:
  void reserve(std::size_t count) { handles_.reserve(count); }  // once one runs, nothing may fail
  void add(std::thread& worker) { handles_.push_back(worker.native_handle()); }
  // New ones do not keep away from the CPU that was left last.
  void forget_cpu() { left_cpu_ = -1; }
  // Lets them run where the caller may, but not on the CPU it is on now. A system may wake a thread
  // on the CPU of the one that wakes it, although others are idle (Linux does in a virtual machine
  // whose other CPUs its host has put to rest): it would then wait for its turn, and the caller for
  // it, for milliseconds. Elsewhere than on Linux nothing is done.
  void leave_callers_cpu();

 private:
  std::vector<std::thread::native_handle_type> handles_;
  int left_cpu_ = -1;  // the CPU that they keep away from
};

// Files of the libraries in this process, in the order they were loaded.
std::vector<std::string> loaded_libraries();

}  // namespace simdrnn::system
