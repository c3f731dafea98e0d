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
  // Late at every meeting, the part that we wait for has no CPU because another process's gang
  // waits awake on it, as we do on the one that its part needs; or it has ours. Then a wait hands
  // the CPU over at once: 0.5 s at worst instead of 12 s (bench/README.md). A program that only
  // computes makes one meeting in thousands late, a time slice each.
  constexpr int kLateInARow = 4, kHurry = 1 << 6, kHurriedMeetings = 256;
  const bool hurried = hurried_.load(std::memory_order_relaxed) > 0;
  const int patience = hurried ? kHurry : kPatience;
  const int stalled = round == first_round_ ? kWaking : kLate;
  int spin = 0;
  for (; round_.load(std::memory_order_acquire) == round; ++spin) {
    if (spin < patience) {
      relax();
    } else {
      system::yield_cpu();
    }
    if (spin == stalled) note_stall();
  }
  if (hurried) {
    hurried_.fetch_sub(1, std::memory_order_relaxed);
  } else if (spin <= kLate) {  // nearly always: nothing is written then
    if (late_.load(std::memory_order_relaxed) != 0) late_.store(0, std::memory_order_relaxed);
  } else if (late_.fetch_add(1, std::memory_order_relaxed) + 1 >= kLateInARow) {
    hurried_.store(kHurriedMeetings, std::memory_order_relaxed);  // and then look again
  }
}

}  // namespace simdrnn::team
