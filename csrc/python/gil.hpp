// Giving Python's lock (the GIL) back and taking it again, also while the program ends.
//
// A daemon thread may come back from a call when the interpreter is being finalised. Until CPython
// 3.13 whoever then asks for the lock is ended with pthread_exit, which unwinds the thread's stack
// like an exception that nobody may keep: through the destructor that asks for the lock, and which
// must not throw, so that std::terminate ended the whole program. From 3.14 on the thread waits for
// ever instead. So it does here with every version: it cannot go back, it must not go on, and the
// process is about to end.
#pragma once
#include <pybind11/pybind11.h>

#include "engine/system/system.hpp"

namespace simdrnn::python {

// Calls `ask`, which takes the lock; never returns where Python ends the thread instead.
template <class Ask>
auto or_wait_for_ever(const Ask& ask) noexcept {
  try {
    return ask();
  } catch (...) {  // nothing but the unwinding: C functions throw nothing else
    system::wait_for_ever();
  }
}

// Without the lock as long as this lives.
class WithoutGil {
 public:
  WithoutGil() : thread_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    or_wait_for_ever([this] { PyEval_RestoreThread(thread_); });
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* const thread_;
};

// With the lock as long as this lives, on a thread that gave it back.
class WithGil {
 public:
  WithGil() : state_(or_wait_for_ever([] { return PyGILState_Ensure(); })) {}
  ~WithGil() { PyGILState_Release(state_); }
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;

 private:
  const PyGILState_STATE state_;
};

}  // namespace simdrnn::python
