// Where the parts of a gang meet, and what a wait says about the machine.
#include <algorithm>
#include <chrono>

#include "engine/system/system.hpp"
#include "engine/threads/inside.hpp"
#include "engine/threads/team.hpp"

namespace simdrnn::team {

namespace {

using Clock = std::chrono::steady_clock;

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

}  // namespace

bool gangs_stall() {
  return Clock::now().time_since_epoch().count() < stalled_until.load(std::memory_order_relaxed);
}

void forget_stalls() {
  stall_pause.store(0, std::memory_order_relaxed);
  stalled_until.store(0, std::memory_order_relaxed);
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
      system::yield_cpu();
    }
    if (spin == stalled) note_stall();
  }
}

}  // namespace simdrnn::team
