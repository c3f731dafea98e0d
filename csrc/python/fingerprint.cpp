// Whether arrays still hold what they held: compared with copies, or by a number of 64 bits for
// each, of all their bytes.
//
// Arrays that a tape refers to are the caller's, and are read twice, so this has to cost little
// beside what is computed with them: it runs at about the speed of memory, on all threads where
// that is worth it. Two contents that differ have the same number by accident once in 2^64; that
// they hold the same elements in another order, or with other signs, makes it no likelier. Numbers
// are compared in one process only, so each CPU may make them in the way that it is fast at.
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <vector>

#include "engine/threads/team.hpp"
#include "python/arrays.hpp"
#include "python/fingerprint_aes.hpp"
#include "python/gil.hpp"
#include "python/register.hpp"

namespace simdrnn::python {

namespace {

using Word = std::uint64_t;

// Bits of pi behind the point.
constexpr std::array<Word, 16> kSeeds{
    0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89,
    0x452821e638d01377, 0xbe5466cf34e90c6c, 0xc0ac29b7c97c50dd, 0x3f84d5b5b5470917,
    0x9216d5d98979fb1b, 0xd1310ba698dfb5ac, 0x2ffd72dbd01adfb7, 0xb8e1afed6a267e96,
    0xba7c9045f12c7f99, 0x24a19947b3916cf7, 0x0801f2e2858efc16, 0x636920d871574e69};

// Both halves of a product: each bit of it depends on many of both factors.
Word folded(Word a, Word b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<Word>(product) ^ static_cast<Word>(product >> 64);
}

Word followed(Word all, Word next) { return folded(all ^ next, kSeeds[1]); }

namespace products {

constexpr std::size_t kLanes = 8, kPair = 2 * sizeof(Word), kBlock = kLanes * kPair;
using Lanes = std::array<Word, kLanes>;

void add_block(Lanes& lanes, const char* bytes) {
#pragma GCC unroll 8
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    Word words[2];
    std::memcpy(words, bytes + lane * kPair, sizeof words);
    lanes[lane] = folded(words[0] ^ kSeeds[lane], words[1] ^ lanes[lane]) ^ words[1];
  }
}

// Zeros stand behind the last byte: who calls knows the size.
Word number(const char* bytes, std::size_t size) {
  Lanes lanes;
  std::copy_n(kSeeds.begin(), kLanes, lanes.begin());
  for (; size >= kBlock; bytes += kBlock, size -= kBlock) add_block(lanes, bytes);
  if (size > 0) {
    char rest[kBlock] = {};
    std::memcpy(rest, bytes, size);
    add_block(lanes, rest);
  }
  Word all = kSeeds[0];
  for (const Word lane : lanes) all = followed(all, lane);
  return all;
}

}  // namespace products

// The bytes of an array in the order of their addresses, so that a transposed view of dense memory
// is dense, too. It is one object's memory that is looked at twice: no two layouts are compared.
class Memory {
 public:
  explicit Memory(const py::array& array)
      : data_(static_cast<const char*>(array.data())), layout_(kSeeds[2]) {
    const py::ssize_t dimensions = array.ndim();
    layout_ = followed(layout_, static_cast<Word>(array.itemsize()));
    for (py::ssize_t i = 0; i < dimensions; ++i) {
      layout_ = followed(layout_, static_cast<Word>(array.shape(i)));
      layout_ = followed(layout_, static_cast<Word>(array.strides(i)));
    }
    size_ = run_ = static_cast<std::size_t>(array.nbytes());
    if (size_ > 0 && (array.flags() & py::array::c_style) == 0) find_runs(array);
  }

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] Word layout() const { return layout_; }

  // Bytes `begin` to `begin + size`: where they are, or gathered into `buffer`.
  const char* part(std::size_t begin, std::size_t size, char* buffer) const {
    const std::size_t offset = begin % run_;
    if (offset + size <= run_) return start_of(begin / run_) + offset;
    gather(begin, size, buffer);
    return buffer;
  }

 private:
  struct Dimension {
    std::size_t extent;
    py::ssize_t stride;
  };

  void find_runs(const py::array& array) {
    outer_.reserve(static_cast<std::size_t>(array.ndim()));
    for (py::ssize_t i = 0; i < array.ndim(); ++i) {
      py::ssize_t stride = array.strides(i);
      if (array.shape(i) == 1 || stride == 0) continue;  // the same bytes again
      if (stride < 0) {
        data_ += (array.shape(i) - 1) * stride;
        stride = -stride;
      }
      outer_.push_back({static_cast<std::size_t>(array.shape(i)), stride});
    }
    std::ranges::sort(outer_, std::greater<>{}, &Dimension::stride);
    run_ = static_cast<std::size_t>(array.itemsize());
    while (!outer_.empty() && outer_.back().stride == static_cast<py::ssize_t>(run_)) {
      run_ *= outer_.back().extent;
      outer_.pop_back();
    }
    size_ = run_;
    for (const Dimension& dimension : outer_) size_ *= dimension.extent;
  }

  [[nodiscard]] const char* start_of(std::size_t run) const {
    const char* at = data_;
    for (auto dimension = outer_.rbegin(); dimension != outer_.rend(); ++dimension) {
      at += static_cast<py::ssize_t>(run % dimension->extent) * dimension->stride;
      run /= dimension->extent;
    }
    return at;
  }

  void gather(std::size_t begin, std::size_t size, char* buffer) const {
    const Dimension& inner = outer_.back();
    std::size_t run = begin / run_, offset = begin % run_;
    while (size > 0) {
      const char* at = start_of(run);
      for (std::size_t i = run % inner.extent; i < inner.extent && size > 0; ++i, ++run) {
        const std::size_t piece = std::min(run_ - offset, size);
        std::memcpy(buffer, at + offset, piece);
        buffer += piece, size -= piece, at += inner.stride, offset = 0;
      }
    }
  }

  const char* data_;
  Word layout_;
  std::size_t size_, run_;        // bytes in all, and one behind the other
  std::vector<Dimension> outer_;  // of what is not one run, descending
};

// Each slice has a number of its own, so that the number of all does not depend on who takes which.
// It fits a core's first cache, gathered on the stack.
constexpr std::size_t kSlice = std::size_t{1} << 14;

std::size_t slices(const Memory& memory) { return (memory.size() + kSlice - 1) / kSlice; }

Word of_slice(const Memory& memory, std::size_t slice, bool by_products) {
  char buffer[kSlice];
  const std::size_t begin = slice * kSlice, size = std::min(kSlice, memory.size() - begin);
  const char* const bytes = memory.part(begin, size, buffer);
  if (by_products) return products::number(bytes, size);
  return aes::number(bytes, size, kSeeds.data());
}

// Numbers of the slices from `begin` to `end` of all memories, one behind the other.
void take_slices(const std::vector<Memory>& memories, std::size_t begin, std::size_t end,
                 bool by_products, Word* found) {
  std::size_t first = 0;
  for (const Memory& memory : memories) {
    const std::size_t last = first + slices(memory);
    for (std::size_t i = std::max(begin, first); i < std::min(end, last); ++i) {
      found[i] = of_slice(memory, i - first, by_products);
    }
    first = last;
  }
}

// How many threads may share so many bytes. 3 us are little to wake a thread for, but one that
// waits for its part of backward would have fallen asleep if it had none in this: measured from 256
// KiB on, at what a training step on two threads takes.
int sharing_threads(std::size_t bytes) {
  constexpr std::size_t kBytesPerThread = std::size_t{1} << 17, kMost = 64;
  const std::size_t useful = std::min(bytes / kBytesPerThread, kMost);
  return useful < 2 ? 1 : team::at_most(static_cast<int>(useful));
}

std::vector<Word> numbers_of_slices(const std::vector<Memory>& memories, std::size_t bytes,
                                    bool by_products) {
  std::size_t count = 0;
  for (const Memory& memory : memories) count += slices(memory);
  std::vector<Word> found(count);
  const auto threads = static_cast<std::size_t>(sharing_threads(bytes));
  if (threads == 1) {
    take_slices(memories, 0, count, by_products, found.data());
  } else {
    team::run(static_cast<int>(threads), [&](int part) {
      const auto index = static_cast<std::size_t>(part);
      take_slices(memories, count * index / threads, count * (index + 1) / threads, by_products,
                  found.data());
    });
  }
  return found;
}

py::list numbers_of_arrays(const py::list& given, bool by_products) {
  std::vector<Memory> memories;
  memories.reserve(given.size());
  std::size_t bytes = 0;
  for (const auto& item : given) {
    if (!py::isinstance<py::array>(item)) throw py::type_error("arrays: expected a list of arrays");
    memories.emplace_back(py::reinterpret_borrow<py::array>(item));
    bytes += memories.back().size();
  }
  std::vector<Word> found;
  constexpr std::size_t kLong = std::size_t{1} << 19;  // about 20 us by products, 10 by AES
  if (bytes > kLong) {
    const WithoutGil unlocked;
    found = numbers_of_slices(memories, bytes, by_products);
  } else {
    found = numbers_of_slices(memories, bytes, by_products);
  }
  py::list numbers;
  std::size_t slice = 0;
  for (const Memory& memory : memories) {
    Word all = memory.layout();
    for (std::size_t left = slices(memory); left > 0; --left) all = followed(all, found[slice++]);
    numbers.append(all);
  }
  return numbers;
}

py::list fingerprints(const py::list& arrays) {
  static const bool has_aes = aes::is_there();
  return numbers_of_arrays(arrays, !has_aes);
}

py::list fingerprints_by_products(const py::list& arrays) {
  return numbers_of_arrays(arrays, true);
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
  m.def(
      "fingerprints", &fingerprints, py::arg("arrays"),
      "A number of 64 bits for each array: whatever changes in it changes the number, which means "
      "something in this process alone.");
  m.def_submodule("testing").def("fingerprints_by_products", &fingerprints_by_products,
                                 py::arg("arrays"),
                                 "The same where the CPU has no instructions for AES.");
}

}  // namespace simdrnn::python
