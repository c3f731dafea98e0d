#include "c_api/table.hpp"

namespace simdrnn::c_api {

constinit const simdrnn_api kTable = {
    .version = SIMDRNN_API_VERSION,
    .size = sizeof(simdrnn_api),
    .last_error = simdrnn_last_error,
    .isa = simdrnn_isa,
    .use_isa = simdrnn_use_isa,
    .model_open = simdrnn_model_open,
    .model_open_memory = simdrnn_model_open_memory,
    .model_info = simdrnn_model_info,
    .model_close = simdrnn_model_close,
    .stream_open = simdrnn_stream_open,
    .stream_clone = simdrnn_stream_clone,
    .stream_info = simdrnn_stream_info,
    .stream_close = simdrnn_stream_close,
    .step_f32 = simdrnn_step_f32,
    .step_f64 = simdrnn_step_f64,
    .feed_f32 = simdrnn_feed_f32,
    .feed_f64 = simdrnn_feed_f64,
    .run_f32 = simdrnn_run_f32,
    .run_f64 = simdrnn_run_f64,
    .reset = simdrnn_reset,
    .state_get_f32 = simdrnn_state_get_f32,
    .state_get_f64 = simdrnn_state_get_f64,
    .state_set_f32 = simdrnn_state_set_f32,
    .state_set_f64 = simdrnn_state_set_f64,
    .set_flush_denormals = simdrnn_set_flush_denormals,
};

}  // namespace simdrnn::c_api
