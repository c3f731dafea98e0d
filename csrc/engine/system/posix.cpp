// What Linux and macOS have in common.
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <new>

#include "engine/system/system.hpp"

namespace simdrnn::system {

void yield_cpu() { sched_yield(); }

void wait_for_ever() {
  for (;;) pause();
}

void* allocate(std::size_t alignment, std::size_t bytes) {
  void* memory = nullptr;
  return posix_memalign(&memory, alignment, bytes) == 0 ? memory : nullptr;
}

void release(void* memory) { std::free(memory); }

bool at_fork(Handler before, Handler in_parent, Handler in_child) {
  return pthread_atfork(before, in_parent, in_child) == 0;
}

static_assert(sizeof(sigset_t) <= 128, "SignalsBlocked has room for a set of signals");

SignalsBlocked::SignalsBlocked() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, new (before_) sigset_t);
}

SignalsBlocked::~SignalsBlocked() {
  pthread_sigmask(SIG_SETMASK, std::launder(reinterpret_cast<sigset_t*>(before_)), nullptr);
}

static_assert(sizeof(pthread_key_t) <= sizeof(unsigned long));

ThreadSlot::ThreadSlot(void (*at_thread_end)(void*)) {
  pthread_key_t key{};
  made_ = pthread_key_create(&key, at_thread_end) == 0;
  key_ = key;
}

void* ThreadSlot::get() const {
  return made_ ? pthread_getspecific(static_cast<pthread_key_t>(key_)) : nullptr;
}

bool ThreadSlot::set(void* value) const {
  return made_ && pthread_setspecific(static_cast<pthread_key_t>(key_), value) == 0;
}

}  // namespace simdrnn::system
