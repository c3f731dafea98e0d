// The driver's chances: the same for the same seed, on every machine.
#pragma once
#include <cstdint>
#include <vector>

namespace fuzz {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  // SplitMix64, Steele, Lea and Flood 2014.
  std::uint64_t word() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
  }
  // In [0, count), count > 0.
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(word() % count); }
  bool happens(unsigned percent) { return below(100) < percent; }
  template <class E>
  const E& one_of(const std::vector<E>& all) {
    return all[below(all.size())];
  }
  template <class E>
  E& one_of(std::vector<E>& all) {
    return all[below(all.size())];
  }

 private:
  std::uint64_t state_;
};

}  // namespace fuzz
