// A seeded loop over the functions in C and the readers of files, to be run under sanitizers.
//
//     fuzz SEED SECONDS MODEL...      damaged files and calls by turns, for so long
//
// BUILD being a folder that CMake built with SIMDRNN_SANITIZE=address:
//
//     python tools/fuzz/corpus.py corpus
//     g++ -std=c++20 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -Icsrc
//         -Ipython/simdrnn/include tools/fuzz/*.cpp BUILD/libsimdrnn.a -fopenmp -ldl -o fuzz
//     ./fuzz 1 60 corpus/*.simdrnn
//
// It ends with the counts, or aborts where a law is broken. One seed is one sequence. Compiled with
// -DSIMDRNN_LIBFUZZER -fsanitize=fuzzer it is an entry for libFuzzer, whose corpus is the models.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "calls.hpp"
#include "files.hpp"

namespace {

// Opens the bytes, and steps what they may be. Returns whether they were a model.
bool try_bytes(const std::byte* bytes, std::size_t size, fuzz::Random& random) {
  simdrnn_model* model = nullptr;
  if (simdrnn_model_open_memory(bytes, size, &model) != SIMDRNN_OK) return false;
  fuzz::exercise(model, random);
  simdrnn_model_close(model);
  return true;
}

}  // namespace

#if defined(SIMDRNN_LIBFUZZER)

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Random random(size);
  try_bytes(reinterpret_cast<const std::byte*>(data), size, random);
  return 0;
}

#else

int main(int count, char** arguments) {
  if (count < 4) {
    std::fprintf(stderr, "usage: %s SEED SECONDS MODEL...\n", arguments[0]);
    return 2;
  }
  const std::vector<std::string> paths(arguments + 3, arguments + count);
  std::vector<fuzz::Model> models;
  for (const std::string& path : paths) models.push_back(fuzz::read_good(path));
  fuzz::Random random(std::strtoull(arguments[1], nullptr, 10));
  const std::chrono::duration<double> wanted(std::strtod(arguments[2], nullptr));
  const auto begin = std::chrono::steady_clock::now();
  long long files = 0, taken = 0, calls = 0;
  while (std::chrono::steady_clock::now() - begin < wanted) {
    for (int turn = 0; turn < 200; ++turn, ++files) {
      const fuzz::Bytes bytes = fuzz::damaged(models, random);
      taken += try_bytes(bytes.data(), bytes.size(), random) ? 1 : 0;
    }
    fuzz::Session session(paths, random);
    for (int turn = 0; turn < 5000; ++turn, ++calls) session.call();
  }
  std::printf("%lld files, of which %lld were models; %lld calls\n", files, taken, calls);
  return 0;
}

#endif
