// Ctrl-C during a long call.
#pragma once
#include <pybind11/pybind11.h>

#include <chrono>

namespace simdrnn::python {

namespace py = pybind11;

// Lets Ctrl-C through: asks Python for pending signals every tenth of a second, on the calling
// thread, between parallel regions. More often would only fight other threads for the GIL.
class SignalPoll {
 public:
  void operator()() {
    const auto now = Clock::now();
    if (now < next_) return;
    next_ = now + kPeriod;
    const py::gil_scoped_acquire locked;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kPeriod{100};
  Clock::time_point next_ = Clock::now() + kPeriod;
};

}  // namespace simdrnn::python
