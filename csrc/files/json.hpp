// JSON as RFC 8259 has it, read strictly: for headers of files that anybody may have written.
//
// Nothing is read twice, nesting is bounded, and a value takes at most 20 times the bytes of its
// text. A name that comes twice in an object, bytes that are no UTF-8, numbers that no double
// holds, and whatever follows the value are refused.
#pragma once
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace simdrnn::files {

// What is wrong with a file, in one sentence.
class FileError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Text of a file as a sentence may show it: its beginning, without what a terminal would obey.
std::string shown(std::string_view text);

class Json {
 public:
  using Items = std::vector<Json>;
  using Members = std::vector<std::pair<std::string, Json>>;

  static Json parse(std::string_view text);

  [[nodiscard]] bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  // These throw a FileError that calls the value `what` where it is something else.
  [[nodiscard]] bool boolean(const char* what) const;
  [[nodiscard]] double number(const char* what) const;
  [[nodiscard]] const std::string& text(const char* what) const;
  [[nodiscard]] const Items& items(const char* what) const;
  [[nodiscard]] const Members& members(const char* what) const;
  // A whole number from 0 to `most`, which is at most 2^53.
  [[nodiscard]] long long whole(const char* what, long long most) const;

  // Of an object: null where there is none of that name; or that there is none is an error.
  [[nodiscard]] const Json* find(std::string_view name) const;
  [[nodiscard]] const Json& at(const char* name) const;

  [[nodiscard]] const std::string* if_text() const { return std::get_if<std::string>(&value_); }
  [[nodiscard]] const double* if_number() const { return std::get_if<double>(&value_); }
  [[nodiscard]] const bool* if_boolean() const { return std::get_if<bool>(&value_); }
  [[nodiscard]] const Items* if_items() const { return std::get_if<Items>(&value_); }

 private:
  friend class JsonParser;
  std::variant<std::monostate, bool, double, std::string, Items, Members> value_;
};

}  // namespace simdrnn::files
