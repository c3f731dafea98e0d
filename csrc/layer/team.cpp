// The only file that makes threads, and the only one that sees OpenMP.
//
// OpenMP decides how many threads we use, so that OMP_NUM_THREADS and threadpoolctl work as
// everywhere. The threads are our own: libgomp's spin for milliseconds after a region, on a core
// that the caller's next NumPy or PyTorch operation wants, hang after fork, and cannot be told
// otherwise from here. Ours spin for microseconds, then sleep, and whoever is awake takes the next
// part, so a thread the system has put aside holds nobody up. docs/design.md has the measurements.
#include "layer/team.hpp"

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace simdrnn::team {

namespace {

using Clock = std::chrono::steady_clock;

// How long a thread that waits keeps its core. Longer than the pause between two regions of one
// call, shorter than anyone's patience: a sleeping thread takes 5 to 50 us to wake.
constexpr std::chrono::microseconds kSpin{50};

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Waits until `value` is no longer `old`: first awake, then asleep.
void wait_while(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  const auto deadline = Clock::now() + kSpin;
  while (Clock::now() < deadline) {
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

std::atomic<int> own_limit{0};
std::atomic<bool> busy{false};
// No gangs before stalled_until. A stall may be an accident of a moment; where stalls follow each
// other, the pauses between the attempts double.
std::atomic<Clock::rep> stalled_until{0}, stall_pause{0};

void note_stall() {
  constexpr Clock::rep kShortest = Clock::duration(std::chrono::milliseconds(2)).count();
  constexpr Clock::rep kLongest = 64 * kShortest;
  const Clock::rep now = Clock::now().time_since_epoch().count();
  const Clock::rep pause = stall_pause.load(std::memory_order_relaxed);
  const bool again = now - stalled_until.load(std::memory_order_relaxed) < 8 * pause;
  const Clock::rep next = again ? std::min(2 * pause, kLongest) : kShortest;
  stall_pause.store(next, std::memory_order_relaxed);
  stalled_until.store(now + next, std::memory_order_relaxed);
}

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

int cpus_of_affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));  // more than 1024 CPUs
}

// CPUs granted by the container's quota, rounded up; a large number if there is none.
int cpus_of_quota() {
  constexpr int kNone = 1 << 20;
  double quota = -1, period = -1;
  if (std::ifstream unified("/sys/fs/cgroup/cpu.max"); unified) {
    std::string first;
    unified >> first >> period;
    if (first.empty() || first == "max") return kNone;
    quota = std::strtod(first.c_str(), nullptr);
  } else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  if (quota <= 0 || period <= 0) return kNone;
  return std::max(1, static_cast<int>((quota + period - 1) / period));
}

}  // namespace

int limit() {
  static const int quota = cpus_of_quota();
  const int mine = own_limit.load(std::memory_order_relaxed);
  const int wanted = mine > 0 ? mine : omp_get_max_threads();
  if (wanted == 1) return 1;
  return std::max(1, std::min({wanted, cpus_of_affinity(), quota}));
}

int cpus() { return cpus_of_affinity(); }

void set_limit(int threads) { own_limit.store(threads, std::memory_order_relaxed); }

void run(int parts, const std::function<void(int)>& body) {
  if (parts > 1 && omp_in_parallel() == 0 && !busy.exchange(true, std::memory_order_acquire)) {
    the_pool().gather(parts - 1);
    the_pool().run(parts, body);
    busy.store(false, std::memory_order_release);
    return;
  }
  for (int part = 0; part < parts; ++part) body(part);
}

bool run_together(int parts, const std::function<void(int)>& body) {
  if (omp_in_parallel() != 0 || busy.exchange(true, std::memory_order_acquire)) return false;
  // With a worker for each part but the caller's, every part finds a thread: one that is in a part,
  // and may be waiting there, takes no other.
  const bool enough = the_pool().gather(parts - 1) >= parts - 1;
  if (enough) the_pool().run(parts, body);
  busy.store(false, std::memory_order_release);
  return enough;
}

bool gangs_stall() {
  return Clock::now().time_since_epoch().count() < stalled_until.load(std::memory_order_relaxed);
}

void Barrier::meet() {
  const std::uint32_t round = round_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == parties_) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_release);
    return;
  }
  // Normally the others are less than a microsecond behind. After about 0.1 ms one of them has lost
  // its CPU to another program; or it was asleep before the first meeting, and the system takes
  // that long to wake it. Giving up our CPU too would only hand it to that program for a whole time
  // slice, so that comes much later.
  constexpr int kLate = 1 << 13, kWaking = 1 << 16, kPatience = 1 << 17;
  const int stalled = round == first_round_ ? kWaking : kLate;
  for (int spin = 0; round_.load(std::memory_order_acquire) == round; ++spin) {
    if (spin < kPatience) {
      relax();
    } else {
      sched_yield();
    }
    if (spin == stalled) note_stall();
  }
}

const char* runtime() { return "own pool, counted by OpenMP"; }

}  // namespace simdrnn::team
