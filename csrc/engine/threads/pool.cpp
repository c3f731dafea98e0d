// The only file that makes threads.
//
// They are our own: libgomp's spin for milliseconds after a region, on a core that the caller's
// next NumPy or PyTorch operation wants, hang after fork, and cannot be told otherwise from here.
// Ours spin for microseconds, then sleep, and whoever is awake takes the next part, so a thread the
// system has put aside holds nobody up. docs/design.md has the measurements.
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <chrono>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "engine/threads/inside.hpp"
#include "engine/threads/team.hpp"

namespace simdrnn::team {

namespace {

// How long a thread that waits keeps its core. Longer than the pause between two regions of one
// call, shorter than anyone's patience: a sleeping thread takes 5 to 50 us to wake.
constexpr std::chrono::microseconds kSpin{50};

// Waits until `value` is no longer `old`: first awake, then asleep.
void wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  while (std::chrono::steady_clock::now() < deadline) {
    for (int i = 0; i < 64; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      relax();
    }
  }
  while (value.load(std::memory_order_seq_cst) == old) value.wait(old, std::memory_order_seq_cst);
}

// One job at a time. Workers sleep on `round_`; a job's parts are handed out by `ticket_`.
class Pool {
 public:
  // Makes workers until there are `wanted`, as far as the system allows; returns how many there
  // are.
  int gather(int wanted) {
    add_workers(wanted);
    return workers_;
  }

  void run(int parts, const std::function<void(int)>& body) {
    body_ = &body;
    const auto count = static_cast<std::uint32_t>(parts);
    unfinished_.store(count, std::memory_order_relaxed);
    const std::uint32_t round = round_.load(std::memory_order_relaxed) + 1;
    ticket_.store(std::uint64_t{round} << 32 | count, std::memory_order_release);
    // Sequentially consistent with the counting in work(): either we see the sleeper or it sees the
    // round.
    round_.store(round, std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_seq_cst) > 0) {
      leave_callers_cpu();
      round_.notify_all();
    }
    take_parts(round);
    for (std::uint32_t left; (left = unfinished_.load(std::memory_order_acquire)) != 0;) {
      wait_while(unfinished_, left);
    }
  }

 private:
  void add_workers(int wanted) {
    if (workers_ >= wanted) return;
    // Signals are for the threads of the program, not for ours.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const std::uint32_t round = round_.load(std::memory_order_relaxed);
    try {
      for (; workers_ < wanted; ++workers_) {
        std::thread worker([this, round] { work(round); });
        handles_.push_back(worker.native_handle());
        worker.detach();
      }
      left_cpu_ = -1;
    } catch (const std::system_error&) {
      // No more threads to be had: those there are, and the caller, do all parts.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  // Lets the workers run where the caller may, but not on the CPU it is on now. A system may wake a
  // thread on the CPU of the one that wakes it, although others are idle (Linux does in a virtual
  // machine whose other CPUs its host has put to rest): it would then wait for its turn, and the
  // caller for it, for milliseconds.
  void leave_callers_cpu() {
    const int cpu = sched_getcpu();
    if (cpu < 0 || cpu == left_cpu_) return;
    left_cpu_ = cpu;
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    if (CPU_COUNT(&allowed) < 2 || !CPU_ISSET(cpu, &allowed)) return;
    CPU_CLR(cpu, &allowed);
    for (const pthread_t worker : handles_) {
      pthread_setaffinity_np(worker, sizeof allowed, &allowed);
    }
  }

  void work(std::uint32_t round) {
    for (;;) {
      asleep_.fetch_add(1, std::memory_order_seq_cst);
      wait_while(round_, round);
      asleep_.fetch_sub(1, std::memory_order_relaxed);
      round = round_.load(std::memory_order_acquire);
      take_parts(round);
    }
  }

  // Round and parts left are one number: a worker that is late from another round fails to take a
  // part, and one that succeeds holds its round open, so body_ is that round's.
  void take_parts(std::uint32_t round) {
    std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
    for (;;) {
      const int part = static_cast<int>(ticket & 0xffffffffu) - 1;
      if (static_cast<std::uint32_t>(ticket >> 32) != round || part < 0) return;
      if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire)) {
        continue;
      }
      (*body_)(part);
      if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_all();
      ticket = ticket_.load(std::memory_order_acquire);
    }
  }

  int workers_ = 0;
  std::vector<pthread_t> handles_;
  int left_cpu_ = -1;  // the CPU that workers keep away from
  const std::function<void(int)>* body_ = nullptr;
  std::atomic<std::uint32_t> round_{0};
  std::atomic<std::uint32_t> unfinished_{0};
  std::atomic<std::uint64_t> ticket_{0};  // round << 32 | parts left to take
  std::atomic<int> asleep_{0};            // or about to be
};

std::atomic<bool> busy{false};
std::atomic<Pool*> pool{nullptr};  // never deleted: its threads may outlive static destructors

// A forked child has no workers, whatever the pool believes: it starts with a new one when it needs
// it.
void in_child() {
  pool.store(nullptr, std::memory_order_relaxed);
  busy.store(false, std::memory_order_relaxed);
}

Pool& the_pool() {
  static std::once_flag once;
  std::call_once(once, [] { pthread_atfork(nullptr, nullptr, in_child); });
  Pool* existing = pool.load(std::memory_order_acquire);
  if (existing == nullptr) {
    existing = new Pool();
    pool.store(existing, std::memory_order_release);
  }
  return *existing;
}

}  // namespace

void run(int parts, const std::function<void(int)>& body) {
  if (parts > 1 && !inside_openmp() && !busy.exchange(true, std::memory_order_acquire)) {
    the_pool().gather(parts - 1);
    the_pool().run(parts, body);
    busy.store(false, std::memory_order_release);
    return;
  }
  for (int part = 0; part < parts; ++part) body(part);
}

bool run_together(int parts, const std::function<void(int)>& body) {
  if (inside_openmp() || busy.exchange(true, std::memory_order_acquire)) return false;
  // With a worker for each part but the caller's, every part finds a thread: one that is in a part,
  // and may be waiting there, takes no other.
  const bool enough = the_pool().gather(parts - 1) >= parts - 1;
  if (enough) the_pool().run(parts, body);
  busy.store(false, std::memory_order_release);
  return enough;
}

const char* runtime() { return "own pool, counted by OpenMP"; }

}  // namespace simdrnn::team
