// Whether arrays still hold what they held: compared with copies, or by a number of 64 bits for
// each, of all their bytes.
//
// Arrays that a tape refers to are the caller's, and are read twice, so this has to cost little
// beside what is computed with them: it runs at about the speed of memory, on all threads where
// that is worth it. Two contents that differ have the same number by accident once in 2^64; that
// they hold the same elements in another order, or with other signs, makes it no likelier. Numbers
// are compared in one process only, so each CPU may make them in the way that it is fast at.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "abi/cell_info.hpp"

namespace simdrnn {

// Where the elements of an array lie, of `item_size` bytes each. Strides are of bytes, too.
struct ArrayLayout {
  const void* data;
  std::size_t item_size;
  std::span<const Index> shape, strides;
  bool dense;  // in the order of the dimensions, one behind the other
};

// The bytes of an array in the order of their addresses, so that a transposed view of dense memory
// is dense, too. It is one object's memory that is looked at twice: no two layouts are compared.
class ArrayBytes {
 public:
  explicit ArrayBytes(const ArrayLayout& array);  // of whose spans it keeps nothing

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::uint64_t layout() const { return layout_; }  // a number of it alone

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
    Index stride;
  };

  void find_runs(const ArrayLayout& array);
  [[nodiscard]] const char* start_of(std::size_t run) const;
  void gather(std::size_t begin, std::size_t size, char* buffer) const;

  const char* data_;
  std::uint64_t layout_;
  std::size_t size_, run_;        // bytes in all, and one behind the other
  std::vector<Dimension> outer_;  // of what is not one run, descending
};

// A number for each array, by at most so many threads (0: as many as there may be), in the way that
// this CPU is fast at; or in the way of those that have no instructions for AES.
std::vector<std::uint64_t> fingerprints(std::span<const ArrayBytes> arrays, int threads);
std::vector<std::uint64_t> fingerprints_by_products(std::span<const ArrayBytes> arrays,
                                                    int threads);

// Bytes, and what they are compared with.
struct BytePair {
  const char *one, *other;
  std::size_t size;
};

bool same_bytes(std::span<const BytePair> pairs);

}  // namespace simdrnn
