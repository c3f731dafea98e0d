// The arrays that a network is given, made of those in a file: as they are, repeated, cut or added,
// as the description says.
#pragma once
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "files/tensors.hpp"

namespace simdrnn::files {

// What a description may say of an array:
//   null                             there is none
//   "name"                           the array of that name
//   {"repeat": "name"}               its one number, for all units
//   {"row": ["name", row, rows]}     that row of it, where it is seen as so many
//   {"sum": [one, other]}            the sum of two of these
template <class T>
class Arrays {
 public:
  explicit Arrays(const Tensors& tensors) : tensors_(tensors) {}

  // Such an array of so many numbers, or null. It lives as long as this object.
  const T* of(const Json& source, Index size, const char* what) {
    if (source.is_null()) return nullptr;
    kept_.push_back(values(source, size, what, 0));
    return kept_.back().data();
  }

 private:
  [[nodiscard]] std::vector<T> values(const Json& source, Index size, const char* what,
                                      int depth) const {
    if (const std::string* const name = source.if_text()) {
      return part(*name, 0, size, size, what);
    }
    if (const Json* const repeated = source.find("repeat")) {
      const T value = part(repeated->text("repeat"), 0, 1, 1, what).front();
      return std::vector<T>(static_cast<std::size_t>(size), value);
    }
    if (const Json* const row = source.find("row")) {
      const auto& three = row->items("row");
      if (three.size() != 3) throw FileError("row: expected a name and two numbers");
      const auto rows = static_cast<Index>(three[2].whole("row", 1 << 16));
      const auto at = static_cast<Index>(three[1].whole("row", 1 << 16));
      if (at >= rows) throw FileError("row: expected one of those that there are");
      return part(three[0].text("row"), at * size, size, rows * size, what);
    }
    const auto& terms = source.at("sum").items("sum");
    if (terms.size() != 2 || depth > 0) throw FileError("sum: expected two arrays");
    std::vector<T> sum = values(terms[0], size, what, depth + 1);
    const std::vector<T> other = values(terms[1], size, what, depth + 1);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += other[i];
    return sum;
  }

  // So many numbers of an array that has `whole`, which is checked before memory is asked for.
  [[nodiscard]] std::vector<T> part(const std::string& name, Index begin, Index size, Index whole,
                                    const char* what) const {
    const Tensor& tensor = tensors_.at(name);
    constexpr const char* kType = sizeof(T) == sizeof(float) ? "F32" : "F64";
    if (tensor.dtype != kType || tensor.count != whole) {
      throw FileError(std::string(what) + ": expected " + std::to_string(whole) + " numbers of " +
                      kType + " in " + shown(name) + ", got " + std::to_string(tensor.count) +
                      " of " + tensor.dtype);
    }
    std::vector<T> found(static_cast<std::size_t>(size));
    if (size > 0) {
      std::memcpy(found.data(), tensor.bytes.data() + static_cast<std::size_t>(begin) * sizeof(T),
                  found.size() * sizeof(T));
    }
    return found;
  }

  const Tensors& tensors_;
  std::deque<std::vector<T>> kept_;
};

}  // namespace simdrnn::files
