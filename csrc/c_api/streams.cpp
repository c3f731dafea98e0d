// Streams: opened, copied, asked, closed. These may ask the system for memory.
#include "c_api/handles.hpp"
#include "c_api/last_error.hpp"

using namespace simdrnn::c_api;  // of a source file

namespace {

constexpr std::int64_t kMostRows = (std::int64_t{1} << 31) - 1;
constexpr std::int32_t kMostThreads = 4096;

template <class T>
using Opened = std::shared_ptr<const simdrnn::model::Model<T>>;

}  // namespace

extern "C" {

simdrnn_status simdrnn_stream_open(const simdrnn_model* model, int64_t batch_size, int32_t threads,
                                   simdrnn_stream** stream) {
  if (model == nullptr || stream == nullptr) {
    return fail(SIMDRNN_ERROR_ARGUMENT, "model, stream: expected pointers, got NULL");
  }
  if (batch_size < 1 || batch_size > kMostRows) {
    return fail_number("batch_size", "1 to 2147483647", batch_size);
  }
  if (threads < 1 || threads > kMostThreads) return fail_number("threads", "1 to 4096", threads);
  return guarded([&] {
    *stream = std::visit(
        [&]<class T>(const Opened<T>& any) {
          auto made = std::make_unique<simdrnn::model::ModelStream<T>>(any, batch_size, threads);
          return new simdrnn_stream(std::move(made), model->info, batch_size);
        },
        model->any);
    return SIMDRNN_OK;
  });
}

simdrnn_status simdrnn_stream_clone(const simdrnn_stream* stream, simdrnn_stream** copy) {
  if (stream == nullptr || copy == nullptr) {
    return fail(SIMDRNN_ERROR_ARGUMENT, "stream, copy: expected pointers, got NULL");
  }
  const Inside inside(*stream);
  if (!inside) return fail_busy();
  return guarded([&] {
    *copy = std::visit(
        [&](const auto& any) {
          return new simdrnn_stream(any->clone(), stream->info, stream->batch);
        },
        stream->any);
    return SIMDRNN_OK;
  });
}

simdrnn_status simdrnn_stream_info(const simdrnn_stream* stream, simdrnn_info* info,
                                   int64_t* batch_size) {
  if (stream == nullptr) return fail(SIMDRNN_ERROR_ARGUMENT, "stream: expected one, got NULL");
  if (info != nullptr) *info = stream->info;
  if (batch_size != nullptr) *batch_size = stream->batch;
  return SIMDRNN_OK;
}

void simdrnn_stream_close(simdrnn_stream* stream) { delete stream; }

}  // extern "C"
