// The file that `tools/bits.py --problems` writes, item by item in its order: numbers of 64 bits,
// low byte first, and blocks of bytes behind their size.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

static_assert(std::endian::native == std::endian::little,
              "the file's numbers are read as they are");

// Values that may not be there.
template <class E>
struct Block {
  bool given = false;
  std::vector<E> values;

  [[nodiscard]] const E* data() const { return given ? values.data() : nullptr; }
};

class ProblemFile {
 public:
  explicit ProblemFile(const std::string& path) : path_(path), file_(path, std::ios::binary) {
    if (!file_) throw std::runtime_error(path + ": expected a file that can be read");
  }

  std::int64_t number() {
    std::int64_t value = 0;
    read(&value, sizeof value);
    return value;
  }
  std::size_t count() {
    const std::int64_t value = number();
    if (value < 0 || value > kMost) fail("a count", value);
    return static_cast<std::size_t>(value);
  }
  std::string text() {
    std::string value(count(), '\0');
    read(value.data(), value.size());
    return value;
  }
  // -1 in place of the size: it is not there.
  template <class E>
  Block<E> block() {
    const std::int64_t bytes = number();
    if (bytes == -1) return {};
    if (bytes < 0 || bytes > kMost || bytes % std::int64_t{sizeof(E)} != 0) {
      fail("the size of a block", bytes);
    }
    Block<E> block{true, std::vector<E>(static_cast<std::size_t>(bytes) / sizeof(E))};
    read(block.values.data(), static_cast<std::size_t>(bytes));
    return block;
  }
  template <class E>
  std::vector<Block<E>> blocks() {
    std::vector<Block<E>> all(count());
    for (Block<E>& one : all) one = block<E>();
    return all;
  }
  // A struct of plain data, as its memory is.
  template <class S>
  S plain(const char* what) {
    const Block<char> bytes = block<char>();
    if (bytes.values.size() != sizeof(S)) {
      throw std::runtime_error(path_ + ": expected " + what + " of " + std::to_string(sizeof(S)) +
                               " bytes, got " + std::to_string(bytes.values.size()) +
                               ": it was written by another version");
    }
    S value;
    std::memcpy(&value, bytes.values.data(), sizeof value);
    return value;
  }

 private:
  static constexpr std::int64_t kMost = std::int64_t{1} << 32;

  void read(void* to, std::size_t bytes) {
    file_.read(static_cast<char*>(to), static_cast<std::streamsize>(bytes));
    if (!file_) throw std::runtime_error(path_ + ": expected more, but the file ends");
  }
  [[noreturn]] void fail(const char* what, std::int64_t got) const {
    throw std::runtime_error(path_ + ": expected " + what + ", got " + std::to_string(got));
  }

  std::string path_;
  std::ifstream file_;
};
