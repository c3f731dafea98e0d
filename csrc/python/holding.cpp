// Who has the parameters of a layer to himself: who writes them, or packs them and wants no writer
// meanwhile. One thread at a time, which may come in again: a signal handler may run a layer whose
// parameters its own thread is writing.
//
// Entering and leaving are each one call from Python, so no exception can come in between their
// parts; and what is not left, since one came before that call, is left when the object goes. No
// thread waits with something in hand for something else: several locks are taken at once. Nobody
// holds anything while the process forks, except who forks.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

#include "engine/system/system.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace py = pybind11;

namespace {

using Thread = unsigned long;  // as Python numbers them; 0: nobody

class ParameterLock;

// What all locks share. They are held for long, and looked at for a moment.
struct Desk {
  std::mutex mutex;
  std::condition_variable changed;
  std::set<ParameterLock*> locks;
  std::uint64_t tickets = 0;  // who came first is next
  Thread forking = 0;
};

Desk& desk() {
  static auto* const shared = new Desk;  // threads may still run when the process ends
  return *shared;
}

class ParameterLock {
 public:
  ParameterLock() {
    const std::scoped_lock lock(desk().mutex);
    desk().locks.insert(this);
  }
  ~ParameterLock() {
    const std::scoped_lock lock(desk().mutex);
    desk().locks.erase(this);
  }
  ParameterLock(const ParameterLock&) = delete;
  ParameterLock& operator=(const ParameterLock&) = delete;

  // Which thread is writing, seen from this one.
  enum Writer { kNobody, kElsewhere, kHere };
  [[nodiscard]] int writer() const {
    const std::scoped_lock lock(desk().mutex);
    if (writing_ == 0) return kNobody;
    return owner_ == PyThread_get_thread_ident() ? kHere : kElsewhere;
  }

  // All that follow: with the desk's mutex held.
  [[nodiscard]] Thread owner() const { return owner_; }
  [[nodiscard]] bool is_free_for(Thread me) const { return owner_ == me || owner_ == 0; }
  // Whether others have waited for longer than who has this ticket.
  [[nodiscard]] bool is_wanted_before(Thread me, std::uint64_t ticket) const {
    return owner_ != me && std::any_of(queue_.begin(), queue_.end(), [&](const Waiting& one) {
             return one.thread != me && one.ticket < ticket;
           });
  }
  void wait_for(Thread me, std::uint64_t ticket) {
    wait_no_more(me);
    queue_.push_back({me, ticket});
  }
  void wait_no_more(Thread me) {
    std::erase_if(queue_, [me](const Waiting& one) { return one.thread == me; });
  }
  void take(Thread me, bool writes) {
    wait_no_more(me);
    owner_ = me;
    ++depth_;
    writing_ += writes ? 1 : 0;
  }
  void give_back(bool writes) {
    writing_ -= writes ? 1 : 0;
    if (--depth_ == 0) owner_ = 0;
  }
  [[nodiscard]] int writers() const { return writing_; }
  // In a forked child, where only `me` goes on.
  void forget_others(Thread me) {
    std::erase_if(queue_, [me](const Waiting& one) { return one.thread != me; });
    if (owner_ != me) owner_ = 0, depth_ = writing_ = 0;
  }

 private:
  Thread owner_ = 0;
  int depth_ = 0;
  int writing_ = 0;  // of `depth_` so many write
  struct Waiting {
    Thread thread;
    std::uint64_t ticket;
  };
  std::vector<Waiting> queue_;
};

// The locks of one or several layers, taken together by `with`. What is written has an owner, which
// is told before and whose arrays are writable meanwhile.
class Holding {
 public:
  struct Part {
    std::shared_ptr<ParameterLock> lock;
    py::object owner;  // None: nothing is written
    std::vector<py::array> arrays;
  };

  Holding(std::vector<Part> parts, py::object lent)
      : parts_(std::move(parts)), lent_(std::move(lent)) {}
  Holding(const Holding&) = delete;
  Holding& operator=(const Holding&) = delete;
  ~Holding() { leave(); }

  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }
  [[nodiscard]] const py::object& lent() const { return lent_; }

  py::object enter() {
    if (entered_by_ != 0) throw std::invalid_argument("update: expected to be entered once");
    wait();
    entered_by_ = PyThread_get_thread_ident();
    generation_ = generation().load();
    try {
      for (const Part& part : parts_) {
        if (!part.owner.is_none()) part.owner.attr("_begin")();
      }
    } catch (...) {
      leave();
      throw;
    }
    protect(false);
    return lent_;
  }

  void leave() noexcept {
    if (entered_by_ == 0) return;
    // A child has taken back what threads of its parent held.
    const bool ours =
        generation_ == generation().load() || entered_by_ == PyThread_get_thread_ident();
    entered_by_ = 0;
    if (!ours) return;
    protect(true);
    {
      const std::scoped_lock lock(desk().mutex);
      for (const Part& part : parts_) part.lock->give_back(!part.owner.is_none());
    }
    desk().changed.notify_all();
  }

  // How often this process and its parents have forked, seen from the children.
  static std::atomic<int>& generation() {
    static std::atomic<int> count{0};
    return count;
  }

 private:
  // Who waits for the locks, until they are taken or an exception ends the waiting.
  class Waiting {
   public:
    Waiting(const Holding& holding, Thread me) : holding_(holding), me_(me) {}
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    ~Waiting() {
      {
        const std::scoped_lock lock(desk().mutex);
        for (const Part& part : holding_.parts_) part.lock->wait_no_more(me_);
      }
      desk().changed.notify_all();
    }

   private:
    const Holding& holding_;
    const Thread me_;
  };

  // Takes all locks, or none where a signal handler raises.
  void wait() {
    const Thread me = PyThread_get_thread_ident();
    std::uint64_t ticket = 0;
    {
      const std::scoped_lock lock(desk().mutex);
      ticket = ++desk().tickets;
      if (may_enter(me, ticket)) return take(me);
    }
    const Waiting waiting(*this, me);
    while (true) {
      {
        const std::scoped_lock lock(desk().mutex);
        for (const Part& part : parts_) part.lock->wait_for(me, ticket);
      }
      if (wait_a_while(me, ticket)) return;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    }
  }

  // Whether the locks were taken; without the GIL, which whoever has them may want.
  bool wait_a_while(Thread me, std::uint64_t ticket) {
    constexpr std::chrono::milliseconds kBetweenSignals{50};
    bool taken = false;
    PyThreadState* const state = PyEval_SaveThread();
    {
      std::unique_lock lock(desk().mutex);
      taken = desk().changed.wait_for(lock, kBetweenSignals, [&] { return may_enter(me, ticket); });
      if (taken) take(me);
    }
    PyEval_RestoreThread(state);
    return taken;
  }

  // Who holds something lets nobody go first: they may wait for just that.
  [[nodiscard]] bool may_enter(Thread me, std::uint64_t ticket) const {
    const auto any = [this](const auto& is_so) {
      return std::any_of(parts_.begin(), parts_.end(), is_so);
    };
    if (any([&](const Part& part) { return !part.lock->is_free_for(me); })) return false;
    const bool queued =
        any([&](const Part& part) { return part.lock->is_wanted_before(me, ticket); });
    const bool closed = desk().forking != 0 && desk().forking != me;
    if (!queued && !closed) return true;
    const auto& locks = desk().locks;
    return std::any_of(locks.begin(), locks.end(),
                       [me](const ParameterLock* lock) { return lock->owner() == me; });
  }

  void take(Thread me) {
    for (const Part& part : parts_) part.lock->take(me, !part.owner.is_none());
  }

  // Arrays are protected again when the outermost of several writers of a thread leaves.
  void protect(bool on) noexcept {
    constexpr int kWriteable = py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
    for (const Part& part : parts_) {
      if (part.owner.is_none()) continue;
      if (on && !is_last_writer(part)) continue;
      for (const py::array& array : part.arrays) {
        int& flags = py::detail::array_proxy(array.ptr())->flags;
        flags = on ? flags & ~kWriteable : flags | kWriteable;
      }
      if (on && PyObject_SetAttrString(part.owner.ptr(), "_before", Py_None) != 0) PyErr_Clear();
    }
  }

  static bool is_last_writer(const Part& part) {
    const std::scoped_lock lock(desk().mutex);
    return part.lock->writers() == 1;
  }

  std::vector<Part> parts_;
  const py::object lent_;
  Thread entered_by_ = 0;
  int generation_ = 0;
};

Holding::Part part_of(const std::shared_ptr<ParameterLock>& lock, const py::object& owner,
                      const py::iterable& arrays) {
  Holding::Part part{lock, owner, {}};
  for (const auto& item : arrays) {
    auto array = py::cast<py::array>(item);
    if (!array.owndata()) throw std::invalid_argument("arrays: expected those that own memory");
    part.arrays.push_back(std::move(array));
  }
  return part;
}

// What several would hold, each lock once.
std::unique_ptr<Holding> together(const std::vector<const Holding*>& all, const py::object& lent) {
  std::vector<Holding::Part> parts;
  for (const Holding* const one : all) {
    for (const Holding::Part& part : one->parts()) {
      const auto same = [&](const Holding::Part& other) { return other.lock == part.lock; };
      const auto found = std::find_if(parts.begin(), parts.end(), same);
      if (found == parts.end()) {
        parts.push_back(part);
      } else if (found->owner.is_none()) {
        *found = part;
      }
    }
  }
  return std::make_unique<Holding>(std::move(parts), lent);
}

// Until nobody but this thread holds anything, and nobody else begins; but not for ever.
void before_fork() {
  constexpr std::chrono::seconds kPatience{2};
  const Thread me = PyThread_get_thread_ident();
  PyThreadState* const state = PyEval_SaveThread();
  {
    std::unique_lock lock(desk().mutex);
    desk().forking = me;
    const auto nobodys = [me](const ParameterLock* one) {
      return one->owner() == 0 || one->owner() == me;
    };
    desk().changed.wait_for(lock, kPatience, [&] {
      return std::all_of(desk().locks.begin(), desk().locks.end(), nobodys);
    });
  }
  PyEval_RestoreThread(state);
}

void after_fork() {
  {
    const std::scoped_lock lock(desk().mutex);
    desk().forking = 0;
  }
  desk().changed.notify_all();
}

// With the mutex locked by this very thread, before the fork.
void begin_as_child() {
  Desk& shared = desk();
  new (&shared.changed) std::condition_variable;  // others may have waited for the parent's
  const Thread me = PyThread_get_thread_ident();
  for (ParameterLock* const lock : shared.locks) lock->forget_others(me);
  shared.forking = 0;
  ++Holding::generation();
  shared.mutex.unlock();
}

// A number that goes up by one, whoever takes it.
class Counter {
 public:
  explicit Counter(std::int64_t value) : value_(value) {}
  std::int64_t take() { return value_.fetch_add(1); }
  [[nodiscard]] std::int64_t value() const { return value_.load(); }

 private:
  std::atomic<std::int64_t> value_;
};

}  // namespace

void register_holding(py::module_& m) {
  (void)system::at_fork([] { desk().mutex.lock(); }, [] { desk().mutex.unlock(); },
                        &begin_as_child);
  py::class_<ParameterLock, std::shared_ptr<ParameterLock>> locks(
      m, "ParameterLock", "Who has the parameters of one layer to himself; copies are new ones.");
  locks.attr("ELSEWHERE") = static_cast<int>(ParameterLock::kElsewhere);
  locks.attr("HERE") = static_cast<int>(ParameterLock::kHere);
  locks.def(py::init<>())
      .def("writer", &ParameterLock::writer,
           "Which thread is writing: none (0), another (ELSEWHERE), this one (HERE).")
      .def("__reduce__",
           [](const py::object& self) { return py::make_tuple(py::type::of(self), py::tuple()); });
  py::class_<Holding>(m, "Holding", "Parameters that one thread has to itself; for `with`.")
      .def(py::init([](const std::shared_ptr<ParameterLock>& lock, const py::object& owner,
                       const py::iterable& arrays, const py::object& lent) {
             return std::make_unique<Holding>(
                 std::vector<Holding::Part>{part_of(lock, owner, arrays)}, lent);
           }),
           py::arg("lock"), py::arg("owner") = py::none(), py::arg("arrays") = py::tuple(),
           py::arg("lent") = py::none())
      .def_static("together", &together, py::arg("all"), py::arg("lent") = py::none(),
                  "What several would hold, taken at once.")
      .def_property_readonly("lent", &Holding::lent, "What entering returns.")
      .def("__enter__", &Holding::enter, "Wait for it; returns what is lent.")
      .def("__exit__", [](Holding& self, const py::args&) { self.leave(); });
  py::class_<Counter>(m, "Counter", "A number that no two threads take.")
      .def(py::init<std::int64_t>(), py::arg("value") = 0)
      .def("take", &Counter::take, "Return the number and go on to the next.")
      .def_property_readonly("value", &Counter::value, "The number that will be taken next.");
  m.def("before_fork", &before_fork, "Wait until no other thread holds parameters.");
  m.def("after_fork", &after_fork, "Let others hold them again.");
}

}  // namespace simdrnn::python
