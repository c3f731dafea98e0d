// Threads. The only header through which the rest of the library sees them.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

namespace simdrnn::team {

// What runs the parts of a call.
enum class Threading {
  kAuto,   // OpenMP where a library keeps its threads awake beside us (keep_company), else the pool
  kPool,   // threads of our own, which sleep soon
  kOpenMP  // those of the OpenMP runtime in the process
};
inline constexpr std::array kThreadingNames{"auto", "pool", "openmp"};  // in that order
void use(Threading threading);
Threading used();
bool on_openmp();  // whether a call would run on OpenMP now
// Takes the OpenMP runtime that a loaded library has its functions from; an empty name: that of the
// library that keeps us company, else the first in the process beside the one we are linked to, if
// there is any. Returns false, and changes nothing, where the library has none.
bool adopt_openmp(const std::string& library);
// Says besides that this library's threads are awake beside us between its own regions. Where
// another library keeps us company already it takes its place or, unless `instead`, nothing changes
// and false is returned.
bool keep_company(const std::string& library, bool instead);

using Body = std::function<void(int)>;

// How many threads a call may use now: what set_limit said, else OpenMP's own setting
// (OMP_NUM_THREADS, threadpoolctl), never more than the CPUs this process may run on (affinity,
// container quota).
int limit();
int at_most(int useful);      // the same, of so many that have something to do
int cpus();                   // those this process may run on
void set_limit(int threads);  // 0: no limit of our own

// How many of the useful ones a call may use that was given a number; 0: it was given none.
inline int at_most(int useful, int given) {
  return given > 0 ? std::min(useful, given) : at_most(useful);
}

// Calls body(0) ... body(parts - 1), each once, on up to `parts` threads, and returns when all are
// done. The calling thread takes part. Inside someone's OpenMP region, or while another thread is
// here, the calls run one after another. body must not throw.
void run(int parts, const Body& body);

// Where the parts of run_together meet: each waits until all have come. Awake for a while, since
// the wait is normally shorter than a microsecond; then the core is given to others.
class Barrier {
 public:
  Barrier() = default;
  Barrier(const Barrier& other) : parties_(other.parties_) {}  // copied only while nobody waits
  Barrier& operator=(const Barrier&) = delete;
  void expect(int parties) {
    parties_ = static_cast<std::uint32_t>(parties);
    first_round_ = round_.load(std::memory_order_relaxed);
    late_.store(0, std::memory_order_relaxed);
    hurried_.store(0, std::memory_order_relaxed);
  }
  void meet();
  static void meet(void* barrier) { static_cast<Barrier*>(barrier)->meet(); }

 private:
  static constexpr std::size_t kLines = 128;  // neighbouring cache lines are fetched together
  std::uint32_t parties_ = 1;
  std::uint32_t first_round_ = 0;  // some are still waking up then
  std::atomic<int> late_{0};       // waits in a row that were long
  std::atomic<int> hurried_{0};    // waits left that are to have little patience
  alignas(kLines) std::atomic<std::uint32_t> arrived_{0};
  alignas(kLines) std::atomic<std::uint32_t> round_{0};
};

// As run, but all parts at the same time, so that they can meet. Returns false, and has called
// nothing, where that cannot be had.
bool run_together(int parts, const Body& body);

// Whether a part of a gang waited long for another a moment ago: other programs want the CPUs, and
// threads that need each other at every step are slower than one.
bool gangs_stall();

std::string runtime();  // what the threads are
bool has_openmp();      // whether this build knows OpenMP at all

}  // namespace simdrnn::team
