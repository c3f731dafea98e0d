// Calls of a stream: nothing here asks for memory, takes a lock or throws.
#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "c_api/handles.hpp"
#include "c_api/last_error.hpp"

using namespace simdrnn::c_api;  // of a source file

namespace {

template <class T>
using Dtype = std::unique_ptr<simdrnn::model::ModelStream<T>>;

// The stream as one of these numbers; null, and an error, where it is of others.
template <class T>
simdrnn::model::ModelStream<T>* of(const simdrnn_stream& stream) noexcept {
  const auto* const found = std::get_if<Dtype<T>>(&stream.any);
  return found == nullptr ? nullptr : found->get();
}

simdrnn_status fail_null(const char* names) noexcept { return fail(SIMDRNN_ERROR_ARGUMENT, names); }

template <class T>
simdrnn_status fail_dtype() noexcept {
  return fail(
      SIMDRNN_ERROR_ARGUMENT,
      std::is_same_v<T, float>
          ? "stream: expected a model of float32, got one of float64; use the _f64 functions"
          : "stream: expected a model of float64, got one of float32; use the _f32 functions");
}

simdrnn_status fail_attention() noexcept {
  return fail(SIMDRNN_ERROR_ARGUMENT,
              "attention: expected an array exactly where the model takes attention");
}
simdrnn_status fail_overlap() noexcept {
  return fail(SIMDRNN_ERROR_ARGUMENT, "x, y: expected arrays that do not overlap");
}

// Takes the rows that a call names, as the engine has them.
simdrnn_status take_rows(simdrnn_stream& stream, const int64_t* rows, int64_t count) noexcept {
  if (count < 0 || count > stream.batch) {
    return fail_number("row_count", "0 to the batch size", count);
  }
  ++stream.call;
  for (int64_t i = 0; i < count; ++i) {
    if (rows[i] < 0 || rows[i] >= stream.batch) {
      return fail_number("rows", "0 to the batch size less 1", rows[i]);
    }
    const auto row = static_cast<std::size_t>(rows[i]);
    if (stream.named[row] == stream.call) return fail_number("rows", "each row once", rows[i]);
    stream.named[row] = stream.call;
    stream.rows[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(rows[i]);
  }
  return SIMDRNN_OK;
}

// Whether so many numbers of x and of y overlap, or are too many to be there; sizes fit in memory.
template <class T>
bool overlap(const T* x, std::int64_t in, const T* y, std::int64_t out) noexcept {
  const auto a = reinterpret_cast<std::uintptr_t>(x), b = reinterpret_cast<std::uintptr_t>(y);
  return a < b + static_cast<std::uintptr_t>(out) * sizeof(T) &&
         b < a + static_cast<std::uintptr_t>(in) * sizeof(T);
}

template <class T, class Call>
simdrnn_status checked_run(simdrnn_stream& stream, const Call& call) noexcept {
  auto* const found = of<T>(stream);
  if (found == nullptr) return fail_dtype<T>();
  const Inside inside(stream);
  if (!inside) return fail_busy();
  if (call.steps < 0) return fail_number("steps", "0 or more", call.steps);
  const std::int64_t count = call.rows == nullptr ? stream.batch : call.row_count;
  if (call.rows != nullptr) {
    const simdrnn_status status = take_rows(stream, call.rows, count);
    if (status != SIMDRNN_OK) return status;
  }
  if (call.steps == 0 || count == 0) return SIMDRNN_OK;
  if (call.x == nullptr || call.y == nullptr) return fail_null("x, y: expected arrays, got NULL");
  if ((call.attention != nullptr) != (stream.info.takes_attention != 0)) {
    return fail_attention();
  }
  const std::int64_t wider = std::max(stream.info.input_size, stream.info.output_size);
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / sizeof(T);
  if (call.steps > kMost / count / wider) return fail_number("steps", "fewer", call.steps);
  if (overlap(call.x, call.steps * count * stream.info.input_size, call.y,
              call.steps * count * stream.info.output_size)) {
    return fail_overlap();
  }
  found->run({call.x, call.y, call.steps, call.rows == nullptr ? nullptr : stream.rows.data(),
              count, call.attention});
  return SIMDRNN_OK;
}

template <class T, class Call>
simdrnn_status run(simdrnn_stream* stream, const Call* call) noexcept {
  if (stream == nullptr || call == nullptr) {
    return fail_null("stream, call: expected pointers, got NULL");
  }
  return checked_run<T>(*stream, *call);
}

// One step of all rows: as a call in full, without what such a step cannot be wrong in.
template <class T>
simdrnn_status step(simdrnn_stream* stream, const T* x, T* y) noexcept {
  if (stream == nullptr) return fail_null("stream: expected one, got NULL");
  auto* const found = of<T>(*stream);
  if (found == nullptr) return fail_dtype<T>();
  const Inside inside(*stream);
  if (!inside) return fail_busy();
  if (x == nullptr || y == nullptr) return fail_null("x, y: expected arrays, got NULL");
  if (stream->info.takes_attention != 0) return fail_attention();
  if (overlap(x, stream->batch * stream->info.input_size, y,
              stream->batch * stream->info.output_size)) {
    return fail_overlap();
  }
  found->run({x, y, 1, nullptr, stream->batch, nullptr});
  return SIMDRNN_OK;
}

template <class T, class Call>
simdrnn_status feed(simdrnn_stream* stream, int64_t steps, const T* x, T* y) noexcept {
  if (stream == nullptr) return fail_null("stream: expected one, got NULL");
  return checked_run<T>(*stream, Call{x, y, steps, nullptr, 0, nullptr});
}

template <class T, class Act>
simdrnn_status of_row(const simdrnn_stream* stream, int64_t row, const T* numbers,
                      Act act) noexcept {
  if (stream == nullptr || numbers == nullptr) {
    return fail_null("stream, state: expected pointers, got NULL");
  }
  auto* const found = of<T>(*stream);
  if (found == nullptr) return fail_dtype<T>();
  const Inside inside(*stream);
  if (!inside) return fail_busy();
  if (row < 0 || row >= stream->batch) {
    return fail_number("row", "0 to the batch size less 1", row);
  }
  act(*found);
  return SIMDRNN_OK;
}

template <class T>
simdrnn_status state_get(const simdrnn_stream* stream, int64_t row, T* state) noexcept {
  return of_row<T>(stream, row, state, [&](const auto& any) { any.read_state(row, state); });
}

template <class T>
simdrnn_status state_set(simdrnn_stream* stream, int64_t row, const T* state) noexcept {
  return of_row<T>(stream, row, state, [&](auto& any) { any.write_state(row, state); });
}

}  // namespace

extern "C" {

simdrnn_status simdrnn_step_f32(simdrnn_stream* stream, const float* x, float* y) {
  return step(stream, x, y);
}
simdrnn_status simdrnn_step_f64(simdrnn_stream* stream, const double* x, double* y) {
  return step(stream, x, y);
}
simdrnn_status simdrnn_feed_f32(simdrnn_stream* stream, int64_t steps, const float* x, float* y) {
  return feed<float, simdrnn_call_f32>(stream, steps, x, y);
}
simdrnn_status simdrnn_feed_f64(simdrnn_stream* stream, int64_t steps, const double* x, double* y) {
  return feed<double, simdrnn_call_f64>(stream, steps, x, y);
}
simdrnn_status simdrnn_run_f32(simdrnn_stream* stream, const simdrnn_call_f32* call) {
  return run<float>(stream, call);
}
simdrnn_status simdrnn_run_f64(simdrnn_stream* stream, const simdrnn_call_f64* call) {
  return run<double>(stream, call);
}

simdrnn_status simdrnn_reset(simdrnn_stream* stream, const int64_t* rows, int64_t row_count) {
  if (stream == nullptr) return fail_null("stream: expected one, got NULL");
  const Inside inside(*stream);
  if (!inside) return fail_busy();
  if (rows != nullptr) {
    const simdrnn_status status = take_rows(*stream, rows, row_count);
    if (status != SIMDRNN_OK) return status;
  }
  const std::int32_t* const which = rows == nullptr ? nullptr : stream->rows.data();
  const std::int64_t count = rows == nullptr ? stream->batch : row_count;
  std::visit([&](const auto& any) { any->reset(which, count); }, stream->any);
  return SIMDRNN_OK;
}

simdrnn_status simdrnn_state_get_f32(const simdrnn_stream* stream, int64_t row, float* state) {
  return state_get(stream, row, state);
}
simdrnn_status simdrnn_state_get_f64(const simdrnn_stream* stream, int64_t row, double* state) {
  return state_get(stream, row, state);
}
simdrnn_status simdrnn_state_set_f32(simdrnn_stream* stream, int64_t row, const float* state) {
  return state_set(stream, row, state);
}
simdrnn_status simdrnn_state_set_f64(simdrnn_stream* stream, int64_t row, const double* state) {
  return state_set(stream, row, state);
}

simdrnn_status simdrnn_set_flush_denormals(simdrnn_stream* stream, int32_t flush) {
  if (stream == nullptr) return fail_null("stream: expected one, got NULL");
  const Inside inside(*stream);
  if (!inside) return fail_busy();
  std::visit([&](const auto& any) { any->set_flush_denormals(flush != 0); }, stream->any);
  return SIMDRNN_OK;
}

}  // extern "C"
