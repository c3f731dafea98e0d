// How fast this machine reads memory that is read again and again: loads only, summed in enough
// chains to hide the latency of additions.
#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <new>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

#if defined(__AVX512F__)
constexpr std::size_t kVectorBytes = 64;
#elif defined(__AVX__)
constexpr std::size_t kVectorBytes = 32;
#else
constexpr std::size_t kVectorBytes = 16;
#endif
constexpr std::size_t kChains = 8;

// A few hundred microseconds of a fast cache: long enough to time, short enough to repeat.
constexpr std::size_t kRoundBytes = std::size_t(1) << 26;

using Vector = float __attribute__((vector_size(kVectorBytes)));

// One thread's share, a whole number of vectors.
class Share {
 public:
  explicit Share(std::size_t bytes)
      : data_(std::max<std::size_t>(1, bytes / kVectorBytes), Vector{}) {}

  [[nodiscard]] std::size_t bytes() const { return data_.size() * kVectorBytes; }

  // Reads the share that many times.
  void read(std::size_t rounds) const {
    Vector sum[kChains] = {};
    const Vector* const data = data_.data();
    const std::size_t count = data_.size();
    for (std::size_t round = 0; round < rounds; ++round) {
      std::size_t i = 0;
      for (; i + kChains <= count; i += kChains) {
        for (std::size_t c = 0; c < kChains; ++c) sum[c] += data[i + c];
      }
      for (; i < count; ++i) sum[0] += data[i];
      asm volatile("" ::: "memory");  // the next round reads again
    }
    Vector all{};
    for (const Vector& chain : sum) all += chain;
    asm volatile("" : : "m"(all));  // somebody wants the sum, so the loads stay
  }

 private:
  std::vector<Vector> data_;
};

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

// The best rate, in bytes a second, at which that many bytes, cut among the threads, are read over
// and over within that time; 0 if there is nothing to read or nobody to do it. As the threads of a
// gang read the recurrent weights: what counts is the cache that a share fits.
extern "C" double simdrnn_bench_read(long long bytes, double seconds, int threads) try {
  if (bytes < 1 || threads < 1) return 0.0;
  const auto count = static_cast<std::size_t>(threads);
  const std::vector<Share> shares(count, Share(static_cast<std::size_t>(bytes) / count));
  double best = 0.0;
  bool go_on = true;
  std::barrier meeting(threads);
  const auto work = [&](std::size_t thread) {
    const Share& share = shares[thread];
    const std::size_t rounds = std::max<std::size_t>(1, kRoundBytes / share.bytes());
    const auto begin = Clock::now();
    while (true) {
      meeting.arrive_and_wait();
      if (!go_on) break;
      const auto round = Clock::now();
      share.read(rounds);
      meeting.arrive_and_wait();
      if (thread != 0) continue;
      const double total = static_cast<double>(share.bytes() * rounds * count);
      best = std::max(best, total / seconds_since(round));
      go_on = seconds_since(begin) < seconds;
    }
  };
  std::vector<std::thread> others;
  for (std::size_t thread = 1; thread < count; ++thread) others.emplace_back(work, thread);
  work(0);
  for (std::thread& other : others) other.join();
  return best;
} catch (const std::bad_alloc&) {
  return 0.0;
}
