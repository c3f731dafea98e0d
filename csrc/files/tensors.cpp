#include "files/tensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace simdrnn::files {

static_assert(std::endian::native == std::endian::little, "arrays are read as they lie in files");

namespace {

// As python/simdrnn/files/tensors.py has it: of a header, and more of a larger file.
constexpr std::size_t kLongestHeader = std::size_t{1} << 20, kShareOfHeader = 8;
constexpr long long kMost = 1LL << 53;
constexpr std::size_t kMostAxes = 4;

constexpr std::array<std::uint32_t, 256> kTable = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0xEDB88320U : 0U);
    table[i] = value;
  }
  return table;
}();

// The CRC-32 of zlib, going on from that of what came before.
std::uint32_t crc(std::uint32_t before, std::span<const std::byte> bytes) {
  std::uint32_t value = ~before;
  for (const std::byte byte : bytes) {
    value = kTable[(value ^ static_cast<std::uint32_t>(byte)) & 0xFF] ^ (value >> 8);
  }
  return ~value;
}

std::uint32_t crc(std::uint32_t before, std::string_view text) {
  return crc(before, std::as_bytes(std::span(text)));
}

// What a zip archive begins with, and no header's length: that would be of 64 MiB and more.
constexpr std::string_view kArchive = "PK\3\4";

std::string_view header_of(std::span<const std::byte> file) {
  std::uint64_t length = 0;
  if (file.size() < sizeof length) throw FileError("it ends before its header");
  std::memcpy(&length, file.data(), sizeof length);
  if (std::memcmp(file.data(), kArchive.data(), kArchive.size()) == 0) {
    throw FileError(
        "expected a .simdrnn or .safetensors file, got an archive, as .npz files are; "
        "`simdrnn convert` makes a .simdrnn file of one");
  }
  const std::size_t rest = file.size() - sizeof length;
  if (length > rest) throw FileError("it ends inside its header");
  const std::size_t most = kLongestHeader + file.size() / kShareOfHeader;
  if (length > most) {
    throw FileError("expected a header of at most " + std::to_string(most) + " bytes, got " +
                    std::to_string(length));
  }
  return {reinterpret_cast<const char*>(file.data()) + sizeof length,
          static_cast<std::size_t>(length)};
}

}  // namespace

Tensors::Tensors(std::span<const std::byte> file) {
  const std::string_view text = header_of(file);
  data_ = file.subspan(sizeof(std::uint64_t) + text.size());
  if (!text.starts_with("{")) throw FileError("it does not begin as such files do");
  const Json header = Json::parse(text);
  for (const auto& [name, entry] : header.members("header")) {
    if (name != "__metadata__") {
      read_tensor(name, entry);
      continue;
    }
    for (const auto& [key, value] : entry.members("__metadata__")) {
      metadata_.emplace(key, value.text("__metadata__"));
    }
  }
  check_places();
}

void Tensors::read_tensor(const std::string& name, const Json& entry) {
  Tensor tensor{
      .dtype = entry.at("dtype").text("dtype"), .shape = {}, .count = 1, .begin = 0, .bytes = {}};
  if (tensor.dtype != "F32" && tensor.dtype != "F64") {
    throw FileError(shown(name) + ": expected dtype F32 or F64, got " + shown(tensor.dtype));
  }
  const auto& shape = entry.at("shape").items("shape");
  if (shape.size() > kMostAxes) throw FileError(shown(name) + ": expected at most 4 axes");
  for (const Json& length : shape) {
    tensor.shape.push_back(static_cast<Index>(length.whole("shape", kMost)));
    if (__builtin_mul_overflow(tensor.count, tensor.shape.back(), &tensor.count)) {
      throw FileError(shown(name) + ": expected a shape that memory holds");
    }
  }
  const auto& offsets = entry.at("data_offsets").items("data_offsets");
  if (offsets.size() != 2) throw FileError(shown(name) + ": expected two data_offsets");
  const auto begin = static_cast<std::size_t>(offsets[0].whole("data_offsets", kMost));
  const auto end = static_cast<std::size_t>(offsets[1].whole("data_offsets", kMost));
  if (begin > end || end > data_.size()) {
    throw FileError(shown(name) + ": expected bytes inside the file, which has " +
                    std::to_string(data_.size()) + " of arrays");
  }
  const std::size_t size = tensor.dtype == "F32" ? sizeof(float) : sizeof(double);
  if ((end - begin) % size != 0 || (end - begin) / size != static_cast<std::size_t>(tensor.count)) {
    throw FileError(shown(name) + ": expected as many bytes as its shape has, got " +
                    std::to_string(end - begin));
  }
  tensor.begin = begin;
  tensor.bytes = data_.subspan(begin, end - begin);
  all_.emplace(name, std::move(tensor));
}

// Arrays lie side by side: none overlaps another, and nothing is hidden between them.
void Tensors::check_places() const {
  std::vector<std::pair<std::size_t, std::size_t>> places;
  places.reserve(all_.size());
  for (const auto& [name, tensor] : all_) places.emplace_back(tensor.begin, tensor.bytes.size());
  std::sort(places.begin(), places.end());
  std::size_t end = 0;
  for (const auto& [begin, size] : places) {
    if (begin != end) throw FileError("expected arrays side by side, without gaps");
    end += size;
  }
  if (end != data_.size()) {
    throw FileError("expected " + std::to_string(end) + " bytes of arrays, got " +
                    std::to_string(data_.size()));
  }
}

const Tensor& Tensors::at(const std::string& name) const {
  const auto found = all_.find(name);
  if (found == all_.end()) throw FileError("expected an array named " + shown(name));
  return found->second;
}

const std::string* Tensors::metadata(const std::string& name) const {
  const auto found = metadata_.find(name);
  return found == metadata_.end() ? nullptr : &found->second;
}

std::uint32_t Tensors::checksum(std::string_view text) const {
  std::uint32_t value = crc(0, text);
  for (const auto& [name, tensor] : all_) {
    std::string line("\n");
    line.append(name).append(" ").append(tensor.dtype);
    for (const Index length : tensor.shape) line.append(" ").append(std::to_string(length));
    value = crc(value, line.append(" at ").append(std::to_string(tensor.begin)));
  }
  return crc(value, data_);
}

}  // namespace simdrnn::files
