// Run calls of the engine whose results are known, and say where a bit is another.
//
//   bits_driver FILE [instruction set ...]
//
// FILE is what `python tools/bits.py --problems FILE` wrote, on any machine. No Python here: this
// is how the promise of equal bits is kept on machines that are only emulated, see
// docs/platforms.md. Without names all instruction sets of this CPU are run in turn.
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include "engine/dispatch/dispatch.hpp"
#include "problem.hpp"

namespace {

constexpr const char* kTitle = "simdrnn problems 1";
constexpr int kShown = 20;  // lines about differences

struct Tally {
  int run = 0, left_out = 0, differ = 0;
  double seconds = 0;
};

class Driver {
 public:
  explicit Driver(const std::vector<std::string>& isas) {
    for (const std::string& name : isas) tallies_[name] = {};
  }

  // `quick`: whether kernels of one lane, whose FMA may be a function, are soon done with it.
  template <class AnyProblem>
  void run(const AnyProblem& problem, const std::string& name, bool quick) {
    for (auto& [isa, tally] : tallies_) {
      if (isa == "scalar" && !quick) {
        ++tally.left_out;
        continue;
      }
      const auto begin = std::chrono::steady_clock::now();
      const Finding found = problem.run(simdrnn::dispatch::named(isa));
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
      tally.seconds += passed.count();
      ++tally.run;
      if (found.empty()) continue;
      if (++tally.differ <= kShown) {
        std::printf("%s: %s: %s\n", isa.c_str(), name.c_str(), found.c_str());
      }
    }
  }

  // Whether nothing differs.
  [[nodiscard]] bool report() const {
    bool equal = true;
    for (const auto& [isa, tally] : tallies_) {
      std::printf("%s: %d problems, %d differ, %d left out, %.1f s\n", isa.c_str(), tally.run,
                  tally.differ, tally.left_out, tally.seconds);
      equal = equal && tally.differ == 0 && tally.run > 0;
    }
    return equal;
  }

 private:
  std::map<std::string, Tally> tallies_;
};

template <class T>
void run_next(ProblemFile& file, Driver& driver) {
  const std::string kind = file.text(), name = file.text();
  const bool quick = file.number() != 0;
  if (kind == "math") {
    driver.run(MathProblem<T>::read(file), name, quick);
  } else if (kind == "network") {
    driver.run(Problem<T>::read(file), name, quick);
  } else {
    throw std::runtime_error("problem: expected math or network, got " + kind);
  }
}

int run_all(const std::string& path, std::vector<std::string> isas) {
  if (isas.empty()) isas = simdrnn::dispatch::available();
  for (const std::string& isa : isas) simdrnn::dispatch::use(isa);  // which refuses others
  ProblemFile file(path);
  if (const std::string title = file.text(); title != kTitle) {
    throw std::runtime_error(path + ": expected to begin with '" + kTitle + "'");
  }
  Driver driver(isas);
  for (std::size_t left = file.count(); left > 0; --left) {
    file.number() == 4 ? run_next<float>(file, driver) : run_next<double>(file, driver);
  }
  return driver.report() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) {
    std::fprintf(stderr, "bits_driver: expected FILE [instruction set ...]\n");
    return 2;
  }
  try {
    return run_all(arguments[1], {arguments + 2, arguments + count});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bits_driver: %s\n", error.what());
    return 2;
  }
}
