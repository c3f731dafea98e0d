// The container of named arrays that layers are saved in,
// https://github.com/huggingface/safetensors: eight bytes of a length, that much JSON, and the
// arrays' bytes.
#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "abi/cell_info.hpp"
#include "files/json.hpp"

namespace simdrnn::files {

// One array: where its bytes are in the file, at any alignment.
struct Tensor {
  std::string dtype;  // "F32" or "F64"
  std::vector<Index> shape;
  Index count;  // of its elements
  std::size_t begin;
  std::span<const std::byte> bytes;
};

class Tensors {
 public:
  // Of all bytes of a file, which must outlive this. Throws a FileError; every size that the file
  // claims is held against what is there before it is used.
  explicit Tensors(std::span<const std::byte> file);

  // A FileError where there is none of that name.
  [[nodiscard]] const Tensor& at(const std::string& name) const;
  [[nodiscard]] Index bytes() const { return static_cast<Index>(data_.size()); }  // of all arrays
  // A text that stands beside the arrays; null where there is none.
  [[nodiscard]] const std::string* metadata(const std::string& name) const;

  // The CRC-32 of a text and of all arrays: their names, types, shapes, places and bytes.
  [[nodiscard]] std::uint32_t checksum(std::string_view text) const;

 private:
  void read_tensor(const std::string& name, const Json& entry);
  void check_places() const;

  std::span<const std::byte> data_;
  std::map<std::string, Tensor> all_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace simdrnn::files
