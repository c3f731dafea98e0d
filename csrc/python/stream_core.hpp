// What Python holds of a stream: one of a layer or stack or one of a whole model, of either type,
// and the numbers of the rows of a call.
#pragma once
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "engine/stream.hpp"
#include "model/model_stream.hpp"
#include "python/plain_call.hpp"
#include "python/reader.hpp"

namespace simdrnn::python {

using model::ModelStream;

inline constexpr char kOneThread[] =
    "stream: expected one thread at a time, got a call while another is in; give each thread a "
    "stream of its own, as clone() makes them";

// More than so many multiplications are done without the GIL; see docs/streaming.md.
inline constexpr double kLongStep = 1 << 17;

// The right to be inside a stream, as long as this lives.
template <class AnyStream>
class Inside {
 public:
  explicit Inside(AnyStream& stream) : stream_(stream) {
    if (!stream.enter()) throw py::value_error(kOneThread);
    stream.set_flush_denormals(flush_denormals.load(std::memory_order_relaxed));
  }
  ~Inside() { stream_.leave(); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  AnyStream& stream_;
};

// What Python holds.
class StreamCore {
 public:
  template <class AnyStream>
  explicit StreamCore(std::unique_ptr<AnyStream> stream)
      : stream_(std::move(stream)), rows_(static_cast<std::size_t>(batch())), seen_(rows_.size()) {}

  // Calls use(stream).
  template <class Use>
  auto with(Use use) const {
    return std::visit([&](const auto& stream) { return use(*stream); }, stream_);
  }
  [[nodiscard]] Index batch() const {
    return with([](const auto& stream) { return stream.batch(); });
  }

  // Row numbers as the engine takes them; nothing if they are of an unusual form, out of range or
  // one comes twice. They are kept until the next call: for who is inside.
  std::optional<Index> take_rows(PyObject* given) {
    const auto most = static_cast<Index>(rows_.size());
    if (PyList_CheckExact(given)) {
      const Index count = PyList_GET_SIZE(given);
      if (count > most) return {};
      for (Index i = 0; i < count; ++i) {
        PyObject* const item = PyList_GET_ITEM(given, i);
        if (!PyLong_CheckExact(item)) return {};
        int overflow = 0;
        if (!take_row(i, PyLong_AsLongAndOverflow(item, &overflow))) return forget(i);
      }
      return forget(count), count;
    }
    if (!is_plain<std::int64_t>(given, 1)) return {};
    const Index count = shape_of(given)[0];
    if (count > most) return {};
    const auto* const numbers = data_of<const std::int64_t>(given);
    for (Index i = 0; i < count; ++i) {
      if (!take_row(i, numbers[i])) return forget(i);
    }
    return forget(count), count;
  }
  [[nodiscard]] const std::int32_t* rows() const { return rows_.data(); }

 private:
  bool take_row(Index i, std::int64_t row) {
    if (row < 0 || row >= static_cast<Index>(rows_.size())) return false;
    if (seen_[static_cast<std::size_t>(row)] != 0) return false;
    seen_[static_cast<std::size_t>(row)] = 1;
    rows_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(row);
    return true;
  }
  // That the first `count` were seen.
  std::optional<Index> forget(Index count) {
    for (Index i = 0; i < count; ++i) {
      seen_[static_cast<std::size_t>(rows_[static_cast<std::size_t>(i)])] = 0;
    }
    return {};
  }

  std::variant<std::unique_ptr<Stream<float>>, std::unique_ptr<Stream<double>>,
               std::unique_ptr<ModelStream<float>>, std::unique_ptr<ModelStream<double>>>
      stream_;
  std::vector<std::int32_t> rows_;
  std::vector<std::uint8_t> seen_;
};

// `step` of StreamCore, for PyDescr_NewMethod.
PyMethodDef* step_method();

}  // namespace simdrnn::python
