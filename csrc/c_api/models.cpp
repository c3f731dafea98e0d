// Models: opened, asked, closed.
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>

#include "c_api/handles.hpp"
#include "c_api/last_error.hpp"
#include "engine/dispatch/dispatch.hpp"

namespace simdrnn::c_api {

namespace {

template <class T>
simdrnn_info info_of(const std::shared_ptr<const model::Model<T>>& any) {
  const model::ModelStream<T> stream(any, 1, 1);
  return {stream.input_size(), stream.output_size(), stream.state_size(),
          std::is_same_v<T, float> ? SIMDRNN_FLOAT32 : SIMDRNN_FLOAT64,
          stream.takes_attention() ? 1 : 0};
}

simdrnn_model* made(files::AnyModel any) {
  const simdrnn_info info = std::visit([](const auto& model) { return info_of(model); }, any);
  return new simdrnn_model{std::move(any), info};
}

}  // namespace

}  // namespace simdrnn::c_api

using namespace simdrnn::c_api;  // of a source file

extern "C" {

const char* simdrnn_last_error(void) { return last_error(); }

const char* simdrnn_isa(void) { return simdrnn::dispatch::active().isa; }

simdrnn_status simdrnn_use_isa(const char* name) {
  return guarded([&] {
    if (name == nullptr) return fail(SIMDRNN_ERROR_ARGUMENT, "name: expected a text, got NULL");
    simdrnn::dispatch::use(name);
    return SIMDRNN_OK;
  });
}

simdrnn_status simdrnn_model_open(const char* path, simdrnn_model** model) {
  if (path == nullptr || model == nullptr) {
    return fail(SIMDRNN_ERROR_ARGUMENT, "path, model: expected pointers, got NULL");
  }
  bool found = false;
  const simdrnn_status status = guarded([&] {
    *model = made(simdrnn::files::read_model_file(path, found));
    return SIMDRNN_OK;
  });
  return status == SIMDRNN_ERROR_FORMAT && !found ? SIMDRNN_ERROR_READ : status;
}

simdrnn_status simdrnn_model_open_memory(const void* bytes, size_t size, simdrnn_model** model) {
  if (bytes == nullptr || model == nullptr) {
    return fail(SIMDRNN_ERROR_ARGUMENT, "bytes, model: expected pointers, got NULL");
  }
  return guarded([&] {
    *model = made(simdrnn::files::read_model({static_cast<const std::byte*>(bytes), size}));
    return SIMDRNN_OK;
  });
}

simdrnn_status simdrnn_model_info(const simdrnn_model* model, simdrnn_info* info) {
  if (model == nullptr || info == nullptr) {
    return fail(SIMDRNN_ERROR_ARGUMENT, "model, info: expected pointers, got NULL");
  }
  *info = model->info;
  return SIMDRNN_OK;
}

void simdrnn_model_close(simdrnn_model* model) { delete model; }

}  // extern "C"
