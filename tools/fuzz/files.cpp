#include "files.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>

#include "files/tensors.hpp"

namespace fuzz {

namespace {

constexpr const char* kChecksum = "simdrnn.model.checksum";

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "fuzz: %s\n", why.c_str());
  std::exit(2);
}

std::string quoted(const std::string& text) {
  std::string written = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      written += '\\';
      written += c;
    } else if (byte < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", byte);
      written += escape;
    } else {
      written += c;
    }
  }
  return written + '"';
}

Bytes assembled(const std::string& description, const std::string& checksum,
                const std::string& tensors, const Bytes& data) {
  const std::string header = "{\"__metadata__\":{\"simdrnn.model\":" + quoted(description) + ",\"" +
                             kChecksum + "\":\"" + checksum + "\"}" + tensors + "}";
  const std::uint64_t length = header.size();
  Bytes file(sizeof length + header.size() + data.size());
  std::memcpy(file.data(), &length, sizeof length);
  std::memcpy(file.data() + sizeof length, header.data(), header.size());
  if (!data.empty()) std::memcpy(file.data() + sizeof length + length, data.data(), data.size());
  return file;
}

// Pieces of text that mean something somewhere.
const std::vector<std::string> kPieces = {"0",
                                          "-1",
                                          "1",
                                          "2",
                                          "4",
                                          "7",
                                          "32",
                                          "2147483647",
                                          "2147483648",
                                          "9007199254740992",
                                          "1e308",
                                          "1e999",
                                          "0.5",
                                          "null",
                                          "true",
                                          "[]",
                                          "{}",
                                          "\"\"",
                                          "[[]]",
                                          "\"lstm\"",
                                          "\"gru\"",
                                          "\"mgu\"",
                                          "\"slstm\"",
                                          "\"augru\"",
                                          "\"ind_rnn\"",
                                          "\"gru_reset_before\"",
                                          "\"float32\"",
                                          "\"float64\"",
                                          "\"network\"",
                                          "\"add\"",
                                          "\"highway\"",
                                          "\"concat\"",
                                          "\"graph\"",
                                          "\"linear\"",
                                          "\"softmax\"",
                                          "\"elu\"",
                                          "\"layer_norm\"",
                                          "\"zoneout\"",
                                          "\"num_heads\"",
                                          "\"\\ud800\"",
                                          ","};

bool is_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '.' || c == '_' || c == '"';
}

// Another word or number, a piece from elsewhere, a part left out or there twice.
std::string changed(std::string text, Random& random) {
  if (text.empty()) return random.one_of(kPieces);
  std::size_t begin = random.below(text.size()), end = begin;
  switch (random.below(4)) {
    case 0:  // a whole word
      while (begin > 0 && is_word(text[begin - 1])) --begin;
      while (end < text.size() && is_word(text[end])) ++end;
      return text.replace(begin, end - begin, random.one_of(kPieces));
    case 1:
      return text.insert(begin, random.one_of(kPieces));
    case 2:
      return text.erase(begin, 1 + random.below(40));
    default: {
      const std::string piece = text.substr(random.below(text.size()), random.below(80));
      return text.replace(begin, random.below(80), piece);
    }
  }
}

Bytes with_changed_bytes(Bytes file, Random& random) {
  for (std::size_t times = 1 + random.below(4); times > 0 && !file.empty(); --times) {
    const std::size_t at = random.below(file.size());
    const auto place = file.begin() + static_cast<std::ptrdiff_t>(at);
    switch (random.below(4)) {
      case 0:
        *place = static_cast<std::byte>(random.below(256));
        break;
      case 1:
        *place ^= static_cast<std::byte>(1U << random.below(8));
        break;
      case 2:
        file.resize(at);
        break;
      default:
        file.insert(place, 1 + random.below(9), static_cast<std::byte>(random.below(256)));
    }
  }
  return file;
}

// The description, or the arrays' places, changed; the checksum is that of what came of it.
Bytes with_changed_meaning(const Model& model, Random& random) {
  std::string description = model.description, tensors = model.tensors;
  for (std::size_t times = 1 + random.below(3); times > 0; --times) {
    if (random.happens(80)) {
      description = changed(description, random);
    } else {
      tensors = changed(tensors, random);
    }
  }
  Bytes data = model.data;
  if (random.happens(10)) data.resize(data.size() + random.below(64));
  const Bytes before = assembled(description, "0", tensors, data);
  try {
    const simdrnn::files::Tensors read{std::span(before)};
    return assembled(description, std::to_string(read.checksum(description)), tensors, data);
  } catch (const simdrnn::files::FileError&) {
    return before;
  }
}

}  // namespace

Model read_good(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (text.size() < 8) stop(path + ": expected a model");
  Model model{
      .name = path, .whole = Bytes(text.size()), .description = {}, .tensors = {}, .data = {}};
  std::memcpy(model.whole.data(), text.data(), text.size());
  const simdrnn::files::Tensors read{std::span(model.whole)};
  const std::string* const description = read.metadata("simdrnn.model");
  if (description == nullptr) stop(path + ": expected a description");
  model.description = *description;
  std::uint64_t length = 0;
  std::memcpy(&length, text.data(), sizeof length);
  const std::string header = text.substr(8, length);
  const std::size_t end = header.find("\"}", header.find(kChecksum)) + 2;
  model.tensors = header.substr(end, header.rfind('}') - end);
  model.data.assign(model.whole.begin() + 8 + static_cast<std::ptrdiff_t>(length),
                    model.whole.end());
  return model;
}

Bytes damaged(const std::vector<Model>& models, Random& random) {
  const Model& model = random.one_of(models);
  return random.happens(30) ? with_changed_bytes(model.whole, random)
                            : with_changed_meaning(model, random);
}

}  // namespace fuzz
