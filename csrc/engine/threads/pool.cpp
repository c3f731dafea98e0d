// The only file that makes threads.
//
// They are our own: libgomp's spin for milliseconds after a region, on a core that the caller's
// next NumPy or PyTorch operation wants, hang after fork, and cannot be told otherwise from here.
// Ours spin for microseconds, then sleep, and whoever is awake takes the next part, so a thread the
// system has put aside holds nobody up. docs/design.md has the measurements.
#include <chrono>
#include <exception>
#include <new>
#include <thread>

#include "engine/system/system.hpp"
#include "engine/threads/inside.hpp"

namespace simdrnn::team::pool {

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

  void run(int parts, const Body& body) {
    body_ = &body;
    const auto count = static_cast<std::uint32_t>(parts);
    unfinished_.store(count, std::memory_order_relaxed);
    const std::uint32_t round = round_.load(std::memory_order_relaxed) + 1;
    ticket_.store(std::uint64_t{round} << 32 | count, std::memory_order_release);
    // Sequentially consistent with the counting in work(): either we see the sleeper or it sees the
    // round.
    round_.store(round, std::memory_order_seq_cst);
    if (asleep_.load(std::memory_order_seq_cst) > 0) {
      others_.leave_callers_cpu();
      round_.notify_all();
    }
    take_parts(round);
    for (std::uint32_t left; (left = unfinished_.load(std::memory_order_acquire)) != 0;) {
      wait_while(unfinished_, left);
    }
  }

 private:
  void add_workers(int wanted) noexcept {
    if (workers_ >= wanted) return;
    const system::SignalsBlocked blocked;  // they are for the threads of the program, not for ours
    const std::uint32_t round = round_.load(std::memory_order_relaxed);
    others_.forget_cpu();
    try {
      others_.reserve(static_cast<std::size_t>(wanted));  // once one runs, nothing may fail
      for (; workers_ < wanted; ++workers_) {
        std::thread worker([this, round] { work(round); });
        others_.add(worker);
        worker.detach();
      }
    } catch (const std::exception&) {
      // No more threads to be had, or no memory for them: those there are, and the caller, do all
      // parts.
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
  system::Workers others_;  // the same, to be moved
  const Body* body_ = nullptr;
  std::atomic<std::uint32_t> round_{0};
  std::atomic<std::uint32_t> unfinished_{0};
  std::atomic<std::uint64_t> ticket_{0};  // round << 32 | parts left to take
  std::atomic<int> asleep_{0};            // or about to be
};

std::atomic<Pool*> pool{nullptr};  // never deleted: its threads may outlive static destructors

// None where there is no memory for one.
Pool* the_pool() noexcept {
  Pool* existing = pool.load(std::memory_order_acquire);
  if (existing == nullptr) {
    existing = new (std::nothrow) Pool();
    pool.store(existing, std::memory_order_release);
  }
  return existing;
}

}  // namespace

bool run(int parts, const Body& body) {
  Pool* const mine = the_pool();
  if (mine == nullptr) return false;
  mine->gather(parts - 1);
  mine->run(parts, body);
  return true;
}

bool run_together(int parts, const Body& body) {
  Pool* const mine = the_pool();
  // With a worker for each part but the caller's, every part finds a thread: one that is in a part,
  // and may be waiting there, takes no other.
  if (mine == nullptr || mine->gather(parts - 1) < parts - 1) return false;
  mine->run(parts, body);
  return true;
}

void forget() { pool.store(nullptr, std::memory_order_relaxed); }

}  // namespace simdrnn::team::pool
