// Who runs the parts of a call: the threads of our own pool, or those of an OpenMP runtime. The
// choice never changes a result.
#include "engine/threads/team.hpp"

#include <atomic>

#include "engine/system/system.hpp"
#include "engine/threads/inside.hpp"

namespace simdrnn::team {

namespace {

std::atomic<Threading> chosen{Threading::kAuto};
std::atomic<bool> accompanied{false};  // by a library whose OpenMP threads are awake between calls
std::atomic<bool> forked{false};
std::atomic<bool> busy{false};

// A forked child has none of its parent's threads, whatever an OpenMP runtime believes: it would
// wait for them. Our pool starts anew.
void in_child() {
  forked.store(true, std::memory_order_relaxed);
  busy.store(false, std::memory_order_relaxed);
  pool::forget();
}

// The right to use the threads, of one caller at a time; of none where forks cannot be told of.
class Claim {
 public:
  Claim() : taken_(!busy.exchange(true, std::memory_order_acquire)) {
    static const bool told = system::at_fork(nullptr, nullptr, in_child);
    granted_ = taken_ && told;
  }
  ~Claim() {
    if (taken_) busy.store(false, std::memory_order_release);
  }
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;
  explicit operator bool() const { return granted_; }

 private:
  const bool taken_;
  bool granted_ = false;
};

}  // namespace

void use(Threading threading) {
  if (chosen.exchange(threading, std::memory_order_relaxed) != threading) forget_stalls();
}

Threading used() { return chosen.load(std::memory_order_relaxed); }

bool on_openmp() {
  if (!openmp::is_there()) return false;
  if (forked.load(std::memory_order_relaxed)) return false;
  const Threading threading = used();
  return threading == Threading::kOpenMP ||
         (threading == Threading::kAuto && accompanied.load(std::memory_order_relaxed));
}

bool adopt_openmp(const std::string& library) {
  // Who is beside us has a runtime already, whichever else was loaded before it.
  if (library.empty() && accompanied.load(std::memory_order_relaxed)) return true;
  return openmp::adopt(library);
}

bool keep_company(const std::string& library, bool instead) {
  if (!instead && accompanied.load(std::memory_order_relaxed)) return false;
  if (!openmp::adopt(library)) return false;
  accompanied.store(true, std::memory_order_relaxed);
  return true;
}

void run(int parts, const Body& body) {
  if (parts > 1 && !inside_openmp()) {
    const Claim claim;
    if (claim && (on_openmp() ? openmp::run(parts, body) : pool::run(parts, body))) return;
  }
  for (int part = 0; part < parts; ++part) body(part);
}

bool run_together(int parts, const Body& body) {
  if (inside_openmp()) return false;
  const Claim claim;
  if (!claim) return false;
  return on_openmp() ? openmp::run_together(parts, body) : pool::run_together(parts, body);
}

bool has_openmp() { return openmp::is_there(); }

std::string runtime() {
  if (!has_openmp()) return "own pool";
  return on_openmp() ? openmp::name() : "own pool, counted by OpenMP";
}

}  // namespace simdrnn::team
