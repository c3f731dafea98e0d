#include "files/json.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#if !defined(__cpp_lib_to_chars)
#include <locale>
#include <sstream>
#endif

namespace simdrnn::files {

namespace {

constexpr int kDeepest = 32;

// The length of the UTF-8 character that `text` begins with; 0 where there is none.
std::size_t character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  // The second byte rules out what is longer than it need be, surrogates, and what is too large.
  const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

void append_utf8(std::uint32_t code, std::string& to) {
  const auto put = [&](std::uint32_t byte) { to.push_back(static_cast<char>(byte)); };
  if (code < 0x80) return put(code);
  if (code < 0x800) {
    put(0xC0 | (code >> 6));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
  }
  put(0x80 | (code & 0x3F));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// How much of `text` is a number as JSON writes them; 0: it begins with none.
std::size_t number_length(std::string_view text) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t begin = i;
    while (i < text.size() && is_digit(text[i])) ++i;
    return i > begin;
  };
  const auto next_is = [&](char c) { return i < text.size() && text[i] == c; };
  if (next_is('-')) ++i;
  if (next_is('0')) {
    ++i;
  } else if (!digits()) {
    return 0;
  }
  if (next_is('.')) {
    ++i;
    if (!digits()) return 0;
  }
  if (next_is('e') || next_is('E')) {
    ++i;
    if (next_is('+') || next_is('-')) ++i;
    if (!digits()) return 0;
  }
  return i;
}

// Whatever the locale of the process is. False where no finite double is near.
bool to_double(std::string_view text, double& value) {
#if defined(__cpp_lib_to_chars)
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
#else
  std::istringstream stream{std::string(text)};
  stream.imbue(std::locale::classic());
  return static_cast<bool>(stream >> value) && std::isfinite(value);
#endif
}

[[noreturn]] void expected(const char* what, const char* kind) {
  throw FileError(std::string(what) + ": expected " + kind);
}

}  // namespace

class JsonParser {
 public:
  explicit JsonParser(std::string_view text) : text_(text) {}

  Json whole() {
    Json value = any(0);
    skip_blanks();
    if (at_ < text_.size()) fail("the end");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* wanted) const {
    throw FileError("its header is no JSON: expected " + std::string(wanted) + " at byte " +
                    std::to_string(at_) + ", got " +
                    shown(text_.substr(std::min(at_, text_.size()), 20)));
  }
  void skip_blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
  }
  bool take(char c) {
    skip_blanks();
    const bool there = at_ < text_.size() && text_[at_] == c;
    at_ += there ? 1 : 0;
    return there;
  }
  bool take_word(std::string_view word) {
    const bool there = text_.substr(at_, word.size()) == word;
    at_ += there ? word.size() : 0;
    return there;
  }

  Json any(int depth) {
    if (depth > kDeepest) fail("less nesting");
    Json json;
    if (take('{')) {
      json.value_ = members(depth);
    } else if (take('[')) {
      json.value_ = items(depth);
    } else if (at_ < text_.size() && text_[at_] == '"') {
      json.value_ = string();
    } else if (take_word("true") || take_word("false")) {
      json.value_ = text_[at_ - 2] == 'u';
    } else if (!take_word("null")) {
      json.value_ = number();
    }
    return json;
  }

  Json::Members members(int depth) {
    Json::Members found;
    if (take('}')) return found;
    do {
      skip_blanks();
      if (at_ >= text_.size() || text_[at_] != '"') fail("a name");
      std::string name = string();
      if (!take(':')) fail("':'");
      found.emplace_back(std::move(name), any(depth + 1));
    } while (take(','));
    if (!take('}')) fail("',' or '}'");
    check_unique(found);
    return found;
  }

  // Readers differ on which of two they take.
  static void check_unique(const Json::Members& members) {
    std::vector<std::string_view> names;
    names.reserve(members.size());
    for (const auto& [name, value] : members) names.emplace_back(name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    if (twice != names.end()) throw FileError("a name comes twice: " + shown(*twice));
  }

  Json::Items items(int depth) {
    Json::Items found;
    if (take(']')) return found;
    do {
      found.push_back(any(depth + 1));
    } while (take(','));
    if (!take(']')) fail("',' or ']'");
    return found;
  }

  double number() {
    const std::size_t length = number_length(text_.substr(at_));
    double value = 0;
    if (length == 0) fail("a value");
    if (!to_double(text_.substr(at_, length), value)) fail("a number that a double holds");
    at_ += length;
    return value;
  }

  std::string string() {
    std::string found;
    for (++at_; at_ < text_.size() && text_[at_] != '"';) {
      if (text_[at_] == '\\') {
        escaped(found);
        continue;
      }
      const std::size_t length = character(text_.substr(at_));
      if (length == 0 || static_cast<unsigned char>(text_[at_]) < 0x20) fail("UTF-8 text");
      found.append(text_, at_, length);
      at_ += length;
    }
    if (at_ >= text_.size()) fail("'\"'");
    ++at_;
    return found;
  }

  void escaped(std::string& to) {
    constexpr std::string_view kWritten = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    ++at_;
    const char c = at_ < text_.size() ? text_[at_] : '\0';
    if (const std::size_t which = c == '\0' ? kWritten.npos : kWritten.find(c);
        which != kWritten.npos) {
      to.push_back(kMeant[which]);
      ++at_;
      return;
    }
    if (c != 'u') fail("an escape");
    ++at_;
    std::uint32_t code = hexadecimal();
    if (code >= 0xD800 && code < 0xDC00) {  // the first of two
      if (!take_word("\\u")) fail("a low surrogate");
      const std::uint32_t low = hexadecimal();
      if (low < 0xDC00 || low > 0xDFFF) fail("a low surrogate");
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
      fail("a high surrogate first");
    }
    append_utf8(code, to);
  }

  std::uint32_t hexadecimal() {
    std::uint32_t code = 0;
    const char* const begin = text_.data() + at_;
    const std::size_t there = std::min<std::size_t>(4, text_.size() - at_);
    const auto [end, error] = std::from_chars(begin, begin + there, code, 16);
    if (error != std::errc() || end != begin + 4) fail("four hexadecimal digits");
    at_ += 4;
    return code;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 60;
  std::string clean(text.substr(0, kMost));
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7E) c = '?';
  }
  return "'" + clean + (text.size() > kMost ? "...'" : "'");
}

Json Json::parse(std::string_view text) { return JsonParser(text).whole(); }

bool Json::boolean(const char* what) const {
  const bool* const found = if_boolean();
  if (found == nullptr) expected(what, "true or false");
  return *found;
}

double Json::number(const char* what) const {
  const double* const found = if_number();
  if (found == nullptr) expected(what, "a number");
  return *found;
}

const std::string& Json::text(const char* what) const {
  const std::string* const found = if_text();
  if (found == nullptr) expected(what, "a text");
  return *found;
}

const Json::Items& Json::items(const char* what) const {
  const Items* const found = if_items();
  if (found == nullptr) expected(what, "a list");
  return *found;
}

const Json::Members& Json::members(const char* what) const {
  const auto* const found = std::get_if<Members>(&value_);
  if (found == nullptr) expected(what, "an object");
  return *found;
}

long long Json::whole(const char* what, long long most) const {
  const double* const found = if_number();
  if (found == nullptr || !(*found >= 0 && *found <= static_cast<double>(most)) ||
      std::floor(*found) != *found) {
    throw FileError(std::string(what) + ": expected a whole number from 0 to " +
                    std::to_string(most));
  }
  return static_cast<long long>(*found);
}

const Json* Json::find(std::string_view name) const {
  const auto* const all = std::get_if<Members>(&value_);
  if (all == nullptr) throw FileError("expected an object with " + shown(name));
  const auto found = std::find_if(all->begin(), all->end(),
                                  [&](const auto& member) { return member.first == name; });
  return found == all->end() ? nullptr : &found->second;
}

const Json& Json::at(const char* name) const {
  const Json* const found = find(name);
  if (found == nullptr) throw FileError(std::string(name) + ": expected in its description");
  return *found;
}

}  // namespace simdrnn::files
