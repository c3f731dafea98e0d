// Damaged files: bytes changed anywhere, or a description changed and its checksum made to fit, so
// that what lies behind the checksum is reached.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "random.hpp"

namespace fuzz {

using Bytes = std::vector<std::byte>;

// A file as it was written, and its parts.
struct Model {
  std::string name;
  Bytes whole;
  std::string description;  // JSON text
  std::string tensors;      // the header's other members, as text
  Bytes data;
};

Model read_good(const std::string& path);

Bytes damaged(const std::vector<Model>& models, Random& random);

}  // namespace fuzz
