#include "engine/fingerprint.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>

#include "engine/dispatch/cpu_features.hpp"
#include "engine/fingerprint_aes.hpp"
#include "engine/threads/team.hpp"

namespace simdrnn {

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

// Each slice has a number of its own, so that the number of all does not depend on who takes which.
// It fits a core's first cache, gathered on the stack.
constexpr std::size_t kSlice = std::size_t{1} << 14;

std::size_t slices(const ArrayBytes& array) { return (array.size() + kSlice - 1) / kSlice; }

Word of_slice(const ArrayBytes& array, std::size_t slice, bool by_products) {
  char buffer[kSlice];
  const std::size_t begin = slice * kSlice, size = std::min(kSlice, array.size() - begin);
  const char* const bytes = array.part(begin, size, buffer);
  if (by_products) return products::number(bytes, size);
  return aes::number(bytes, size, kSeeds.data());
}

// Numbers of the slices from `begin` to `end` of all arrays, one behind the other.
void take_slices(std::span<const ArrayBytes> arrays, std::size_t begin, std::size_t end,
                 bool by_products, Word* found) {
  std::size_t first = 0;
  for (const ArrayBytes& array : arrays) {
    const std::size_t last = first + slices(array);
    for (std::size_t i = std::max(begin, first); i < std::min(end, last); ++i) {
      found[i] = of_slice(array, i - first, by_products);
    }
    first = last;
  }
}

// How many threads may share so many bytes. 3 us are little to wake a thread for, but one that
// waits for its part of backward would have fallen asleep if it had none in this: measured from 256
// KiB on, at what a training step on two threads takes.
int sharing_threads(std::size_t bytes, int allowed) {
  constexpr std::size_t kBytesPerThread = std::size_t{1} << 17, kMost = 64;
  const auto useful = static_cast<int>(std::min(bytes / kBytesPerThread, kMost));
  if (useful < 2) return 1;
  return team::at_most(useful, allowed);
}

std::vector<Word> numbers_of_slices(std::span<const ArrayBytes> arrays, int allowed,
                                    bool by_products) {
  std::size_t count = 0, bytes = 0;
  for (const ArrayBytes& array : arrays) count += slices(array), bytes += array.size();
  std::vector<Word> found(count);
  const auto threads = static_cast<std::size_t>(sharing_threads(bytes, allowed));
  if (threads == 1) {
    take_slices(arrays, 0, count, by_products, found.data());
  } else {
    team::run(static_cast<int>(threads), [&](int part) {
      const auto index = static_cast<std::size_t>(part);
      take_slices(arrays, count * index / threads, count * (index + 1) / threads, by_products,
                  found.data());
    });
  }
  return found;
}

std::vector<Word> numbers_of_arrays(std::span<const ArrayBytes> arrays, int allowed,
                                    bool by_products) {
  const std::vector<Word> found = numbers_of_slices(arrays, allowed, by_products);
  std::vector<Word> numbers;
  numbers.reserve(arrays.size());
  std::size_t slice = 0;
  for (const ArrayBytes& array : arrays) {
    Word all = array.layout();
    for (std::size_t left = slices(array); left > 0; --left) all = followed(all, found[slice++]);
    numbers.push_back(all);
  }
  return numbers;
}

// Compares the bytes from `begin` to `end` of all pairs, one behind the other.
bool same_between(std::span<const BytePair> pairs, std::size_t begin, std::size_t end) {
  std::size_t at = 0;
  for (const BytePair& pair : pairs) {
    const std::size_t from = std::max(begin, at), to = std::min(end, at + pair.size);
    if (from < to && std::memcmp(pair.one + (from - at), pair.other + (from - at), to - from) != 0)
      return false;
    at += pair.size;
  }
  return true;
}

}  // namespace

ArrayBytes::ArrayBytes(const ArrayLayout& array)
    : data_(static_cast<const char*>(array.data)),
      layout_(followed(kSeeds[2], array.item_size)),
      size_(array.item_size) {
  for (std::size_t i = 0; i < array.shape.size(); ++i) {
    layout_ = followed(layout_, static_cast<Word>(array.shape[i]));
    layout_ = followed(layout_, static_cast<Word>(array.strides[i]));
    size_ *= static_cast<std::size_t>(array.shape[i]);
  }
  run_ = size_;
  if (size_ > 0 && !array.dense) find_runs(array);
}

void ArrayBytes::find_runs(const ArrayLayout& array) {
  outer_.reserve(array.shape.size());
  for (std::size_t i = 0; i < array.shape.size(); ++i) {
    const Index extent = array.shape[i];
    Index stride = array.strides[i];
    if (extent == 1 || stride == 0) continue;  // the same bytes again
    if (stride < 0) {
      data_ += (extent - 1) * stride;
      stride = -stride;
    }
    outer_.push_back({static_cast<std::size_t>(extent), stride});
  }
  std::ranges::sort(outer_, std::greater<>{}, &Dimension::stride);
  run_ = array.item_size;
  while (!outer_.empty() && outer_.back().stride == static_cast<Index>(run_)) {
    run_ *= outer_.back().extent;
    outer_.pop_back();
  }
  size_ = run_;
  for (const Dimension& dimension : outer_) size_ *= dimension.extent;
}

const char* ArrayBytes::start_of(std::size_t run) const {
  const char* at = data_;
  for (auto dimension = outer_.rbegin(); dimension != outer_.rend(); ++dimension) {
    at += static_cast<Index>(run % dimension->extent) * dimension->stride;
    run /= dimension->extent;
  }
  return at;
}

void ArrayBytes::gather(std::size_t begin, std::size_t size, char* buffer) const {
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

std::vector<Word> fingerprints(std::span<const ArrayBytes> arrays, int threads) {
  static const bool has_aes = dispatch::detect_cpu().aes;
  return numbers_of_arrays(arrays, threads, !has_aes);
}

std::vector<Word> fingerprints_by_products(std::span<const ArrayBytes> arrays, int threads) {
  return numbers_of_arrays(arrays, threads, true);
}

bool same_bytes(std::span<const BytePair> pairs) {
  std::size_t bytes = 0;
  for (const BytePair& pair : pairs) bytes += pair.size;
  // About 20 us on one thread, both read from the last cache.
  constexpr std::size_t kBytesPerThread = std::size_t{1} << 19;
  const int parts = std::max(
      1, team::at_most(static_cast<int>(std::min(bytes / kBytesPerThread, std::size_t{64}))));
  std::atomic<bool> same{true};
  team::run(parts, [&](int part) {
    const auto count = static_cast<std::size_t>(parts), index = static_cast<std::size_t>(part);
    if (!same_between(pairs, bytes * index / count, bytes * (index + 1) / count)) same = false;
  });
  return same;
}

}  // namespace simdrnn
