# cython: language_level=3
# `cimport simdrnn`: the functions of simdrnn.h through the installed package. Call
# `simdrnn.import_simdrnn()` once, at the top of the module; everything else but `model_of` is done
# without the GIL. Compile with simdrnn.get_include() among the include directories. docs/c_api.md
# and simdrnn.h tell what the functions do.
from libc.stdint cimport int32_t, int64_t


cdef extern from "simdrnn/simdrnn_python.h" nogil:
    ctypedef enum status "simdrnn_status":
        OK "SIMDRNN_OK"
        ERROR_ARGUMENT "SIMDRNN_ERROR_ARGUMENT"
        ERROR_READ "SIMDRNN_ERROR_READ"
        ERROR_FORMAT "SIMDRNN_ERROR_FORMAT"
        ERROR_MEMORY "SIMDRNN_ERROR_MEMORY"
        BUSY "SIMDRNN_BUSY"
        ERROR_INTERNAL "SIMDRNN_ERROR_INTERNAL"

    ctypedef enum dtype "simdrnn_dtype":
        FLOAT32 "SIMDRNN_FLOAT32"
        FLOAT64 "SIMDRNN_FLOAT64"

    ctypedef struct model "simdrnn_model":
        pass

    ctypedef struct stream "simdrnn_stream":
        pass

    ctypedef struct info "simdrnn_info":
        int64_t input_size
        int64_t output_size
        int64_t state_size
        int32_t dtype
        int32_t takes_attention

    ctypedef struct call_f32 "simdrnn_call_f32":
        const float *x
        float *y
        int64_t steps
        const int64_t *rows
        int64_t row_count
        const float *attention

    ctypedef struct call_f64 "simdrnn_call_f64":
        const double *x
        double *y
        int64_t steps
        const int64_t *rows
        int64_t row_count
        const double *attention

    int import_simdrnn() except -1 with gil
    const model *model_of "simdrnn_model_of" (object handle) except NULL with gil

    const char *last_error "simdrnn_last_error" ()
    const char *isa "simdrnn_isa" ()
    status use_isa "simdrnn_use_isa" (const char *name)

    status model_open "simdrnn_model_open" (const char *path, model **opened)
    status model_open_memory "simdrnn_model_open_memory" (
        const void *data, size_t size, model **opened)
    status model_info "simdrnn_model_info" (const model *of, info *found)
    void model_close "simdrnn_model_close" (model *closed)

    status stream_open "simdrnn_stream_open" (
        const model *of, int64_t batch_size, int32_t threads, stream **opened)
    status stream_clone "simdrnn_stream_clone" (const stream *of, stream **copy)
    status stream_info "simdrnn_stream_info" (const stream *of, info *found, int64_t *batch_size)
    void stream_close "simdrnn_stream_close" (stream *closed)

    status step_f32 "simdrnn_step_f32" (stream *of, const float *x, float *y)
    status step_f64 "simdrnn_step_f64" (stream *of, const double *x, double *y)
    status feed_f32 "simdrnn_feed_f32" (stream *of, int64_t steps, const float *x, float *y)
    status feed_f64 "simdrnn_feed_f64" (stream *of, int64_t steps, const double *x, double *y)
    status run_f32 "simdrnn_run_f32" (stream *of, const call_f32 *call)
    status run_f64 "simdrnn_run_f64" (stream *of, const call_f64 *call)

    status reset "simdrnn_reset" (stream *of, const int64_t *rows, int64_t row_count)
    status state_get_f32 "simdrnn_state_get_f32" (const stream *of, int64_t row, float *state)
    status state_get_f64 "simdrnn_state_get_f64" (const stream *of, int64_t row, double *state)
    status state_set_f32 "simdrnn_state_set_f32" (stream *of, int64_t row, const float *state)
    status state_set_f64 "simdrnn_state_set_f64" (stream *of, int64_t row, const double *state)
    status set_flush_denormals "simdrnn_set_flush_denormals" (stream *of, int32_t flush)
