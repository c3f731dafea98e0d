// Whether arrays still hold what they held: compared with copies, or by a number of 64 bits for
// each, of all their bytes.
//
// Arrays that a tape refers to are the caller's, and are read twice, so this has to cost little
// beside what is computed with them: it runs at the speed of memory. Two contents that differ have
// the same number by accident once in 2^64; that they hold the same elements in another order, or
// with other signs, makes it no likelier.
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/threads/team.hpp"
#include "python/arrays.hpp"
#include "python/gil.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace {

using Word = std::uint64_t;

// Both halves of a product: each bit of it depends on many of both factors.
Word folded(Word a, Word b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<Word>(product) ^ static_cast<Word>(product >> 64);
}

class Fingerprint {
 public:
  // Rows are taken one by one, so that strides make no difference.
  void add_row(const char* bytes, std::size_t size) {
    Lanes lanes = lanes_;  // in registers: bytes could be anything's, for all the compiler knows
    for (; size >= kBlock; bytes += kBlock, size -= kBlock) {
#pragma GCC unroll 8
      for (std::size_t lane = 0; lane < kLanes; ++lane) add(lanes, lane, bytes + lane * kPair);
    }
    for (; size >= kPair; bytes += kPair, size -= kPair) add(lanes, 0, bytes);
    if (size > 0) {
      char rest[kPair] = {};
      std::memcpy(rest, bytes, size);
      add(lanes, 1, rest);
    }
    lanes_ = lanes;
  }
  [[nodiscard]] Word value() const {
    Word all = kSeeds[0];
    for (const Word lane : lanes_) all = folded(all ^ lane, kSeeds[1]);
    return all;
  }

 private:
  static constexpr std::size_t kLanes = 8, kPair = 2 * sizeof(Word), kBlock = kLanes * kPair;
  using Lanes = std::array<Word, kLanes>;
  // Bits of pi behind the point.
  static constexpr Lanes kSeeds{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0,
                                0x082efa98ec4e6c89, 0x452821e638d01377, 0xbe5466cf34e90c6c,
                                0xc0ac29b7c97c50dd, 0x3f84d5b5b5470917};

  static void add(Lanes& lanes, std::size_t lane, const char* pair) {
    Word words[2];
    std::memcpy(words, pair, sizeof words);
    lanes[lane] = folded(words[0] ^ kSeeds[lane], words[1] ^ lanes[lane]) ^ words[1];
  }

  Lanes lanes_ = kSeeds;
};

void add_rows(Fingerprint& print, const py::array& array, const char* data, py::ssize_t dimension) {
  const py::ssize_t count = array.shape(dimension), stride = array.strides(dimension);
  const py::ssize_t size = array.itemsize();
  if (dimension + 1 < array.ndim()) {
    for (py::ssize_t i = 0; i < count; ++i) {
      add_rows(print, array, data + i * stride, dimension + 1);
    }
  } else if (stride == size || count <= 1) {
    print.add_row(data, static_cast<std::size_t>(count * size));
  } else {
    std::vector<char> row(static_cast<std::size_t>(count * size));
    for (py::ssize_t i = 0; i < count; ++i) {
      std::memcpy(row.data() + i * size, data + i * stride, static_cast<std::size_t>(size));
    }
    print.add_row(row.data(), row.size());
  }
}

Word of_array(const py::array& array) {
  Fingerprint print;
  const auto* const data = static_cast<const char*>(array.data());
  if (array.size() == 0) return print.value();
  if (array.ndim() == 0) {
    print.add_row(data, static_cast<std::size_t>(array.itemsize()));
  } else {
    add_rows(print, array, data, 0);
  }
  return print.value();
}

py::list fingerprints(const py::list& given) {
  std::vector<py::array> arrays;
  py::ssize_t bytes = 0;
  for (const auto& item : given) {
    if (!py::isinstance<py::array>(item)) throw py::type_error("arrays: expected a list of arrays");
    arrays.push_back(py::reinterpret_borrow<py::array>(item));
    bytes += arrays.back().nbytes();
  }
  std::vector<Word> found(arrays.size());
  const auto take = [&] {
    for (std::size_t i = 0; i < arrays.size(); ++i) found[i] = of_array(arrays[i]);
  };
  constexpr py::ssize_t kLong = 1 << 18;  // about 20 us
  if (bytes > kLong) {
    const WithoutGil unlocked;
    take();
  } else {
    take();
  }
  py::list numbers;
  for (const Word word : found) numbers.append(word);
  return numbers;
}

// Bytes, and what they are compared with.
struct Pair {
  const char* one;
  const char* other;
  std::size_t size;
};

// Compares the bytes from `begin` to `end` of all pairs, one behind the other.
bool same_between(const std::vector<Pair>& pairs, std::size_t begin, std::size_t end) {
  std::size_t at = 0;
  for (const Pair& pair : pairs) {
    const std::size_t from = std::max(begin, at), to = std::min(end, at + pair.size);
    if (from < to && std::memcmp(pair.one + (from - at), pair.other + (from - at), to - from) != 0)
      return false;
    at += pair.size;
  }
  return true;
}

const py::array& dense(const py::array& array) {
  if ((array.flags() & py::array::c_style) == 0) reject("arrays", "C-contiguous ones");
  return array;
}

// With the lock: whoever would free one of the arrays waits.
bool same_bytes(const std::vector<py::array>& kept, const std::vector<py::array>& given) {
  if (kept.size() != given.size()) return false;
  std::vector<Pair> pairs;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i].nbytes() != given[i].nbytes()) return false;
    const auto size = static_cast<std::size_t>(kept[i].nbytes());
    pairs.push_back({static_cast<const char*>(dense(kept[i]).data()),
                     static_cast<const char*>(dense(given[i]).data()), size});
    bytes += size;
  }
  // About 20 us on one thread, both read from the last cache.
  constexpr std::size_t kBytesPerThread = std::size_t{1} << 19;
  const int parts =
      team::at_most(static_cast<int>(std::min(bytes / kBytesPerThread, std::size_t{64})));
  std::atomic<bool> same{true};
  team::run(std::max(parts, 1), [&](int part) {
    const auto count = static_cast<std::size_t>(std::max(parts, 1));
    const auto index = static_cast<std::size_t>(part);
    if (!same_between(pairs, bytes * index / count, bytes * (index + 1) / count)) same = false;
  });
  return same;
}

}  // namespace

void register_fingerprints(py::module_& m) {
  m.def("same_bytes", &same_bytes, py::arg("kept"), py::arg("given"),
        "Whether C-contiguous arrays have the bytes of others, one by one.");
  m.def("fingerprints", &fingerprints, py::arg("arrays"),
        "A number of 64 bits for each array: whatever changes in it changes the number.");
}

}  // namespace simdrnn::python
