/* simdrnn from C: recurrent networks that are fed as their input arrives, one step or many at a
 * time, without Python in the way.
 *
 *     simdrnn_model *model;
 *     simdrnn_stream *stream;
 *     if (simdrnn_model_open("lstm.safetensors", &model) != SIMDRNN_OK ||
 *         simdrnn_stream_open(model, 1, 1, &stream) != SIMDRNN_OK) {
 *       fprintf(stderr, "%s\n", simdrnn_last_error());
 *       exit(1);
 *     }
 *     while (more(x)) simdrnn_step_f32(stream, x, y);
 *     simdrnn_stream_close(stream);
 *     simdrnn_model_close(model);
 *
 * Two ways to these functions: linked, from the static library that CMake installs
 * (find_package(simdrnn), simdrnn::simdrnn); or through a table that the Python package hands out,
 * for extension modules: include <simdrnn/simdrnn_python.h> instead, or `cimport simdrnn` in
 * Cython. docs/c_api.md tells more.
 *
 * Results. Every function but the closing ones returns a simdrnn_status. Where that is not
 * SIMDRNN_OK nothing has been changed, no output has been written, and simdrnn_last_error() has a
 * sentence. Numbers are those of Python, bit for bit, however a sequence is cut into calls,
 * whatever rows are beside, on any number of threads and every instruction set.
 *
 * Ownership. What an `open` or `clone` gives is the caller's, who closes it once. A stream keeps
 * what it needs of its model: models and streams are closed in any order. No function keeps a
 * pointer to arrays that it was given. Names and texts end with a zero byte, and are UTF-8.
 *
 * Threads. A model never changes: any number of threads may open streams of it at the same time.
 * A stream belongs to one thread at a time, and may wander; a call while another thread is in one
 * of the same stream is refused with SIMDRNN_BUSY. Different streams never wait for one another.
 * simdrnn_last_error() is of the calling thread. A model or stream is closed when nobody is in a
 * call with it. A process that forks keeps its models and streams in both.
 *
 * Deadlines. step, feed, run, reset, state_get, state_set and set_flush_denormals ask for no
 * memory, take no lock and make no system call where the stream has one thread; with more, a long
 * call wakes other threads and waits for them. Opening, cloning and closing do ask the system: keep
 * them off a thread with a deadline. In a library that was loaded later, as plug-ins are, the first
 * refusal on a thread asks for the memory of its sentence: call simdrnn_last_error() there before.
 */
#ifndef SIMDRNN_SIMDRNN_H
#define SIMDRNN_SIMDRNN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the table below. It changes where a program that was compiled before would no longer run;
 * functions that join later are appended, and `size` tells whether they are there. */
#define SIMDRNN_API_VERSION 1

typedef enum simdrnn_status {
  SIMDRNN_OK = 0,
  SIMDRNN_ERROR_ARGUMENT = 1, /* a null pointer, a size, a row, a type that does not fit */
  SIMDRNN_ERROR_READ = 2,     /* there is no such file, or it cannot be read */
  SIMDRNN_ERROR_FORMAT = 3,   /* it is no model, is damaged, or is one that cannot be stepped */
  SIMDRNN_ERROR_MEMORY = 4,
  SIMDRNN_BUSY = 5, /* another thread is in a call of this stream */
  SIMDRNN_ERROR_INTERNAL = 6
} simdrnn_status;

typedef enum simdrnn_dtype { SIMDRNN_FLOAT32 = 0, SIMDRNN_FLOAT64 = 1 } simdrnn_dtype;

typedef struct simdrnn_model simdrnn_model;   /* weights, frozen */
typedef struct simdrnn_stream simdrnn_stream; /* the states of some rows */

/* What a model is. I numbers go in and F come out at each step of each row. */
typedef struct simdrnn_info {
  int64_t input_size;      /* I */
  int64_t output_size;     /* F */
  int64_t state_size;      /* numbers that the states of one row are */
  int32_t dtype;           /* simdrnn_dtype: of all arrays */
  int32_t takes_attention; /* 1: each step and row takes a number beside x (AUGRU) */
} simdrnn_info;

/* A call in full. Arrays are dense, the last index the fastest: x (steps, n, I), y (steps, n, F),
 * where n is row_count, or with rows == NULL the stream's batch size. x and y must not overlap. */
typedef struct simdrnn_call_f32 {
  const float* x;
  float* y;
  int64_t steps;
  const int64_t*
      rows; /* which rows take part, each at most once, in the order of x; or NULL: all */
  int64_t row_count;
  const float* attention; /* (steps, n) where the model takes it, else NULL */
} simdrnn_call_f32;

typedef struct simdrnn_call_f64 {
  const double* x;
  double* y;
  int64_t steps;
  const int64_t* rows;
  int64_t row_count;
  const double* attention;
} simdrnn_call_f64;

#ifndef SIMDRNN_NO_PROTOTYPES

/* What the last call on this thread that failed has to say; "" where none did. It stays until the
 * next one fails. */
const char* simdrnn_last_error(void);

/* The instruction set of models that are opened from now on, as "avx512"; by name, of those that
 * the library has and the CPU runs. Bits do not depend on it. */
const char* simdrnn_isa(void);
simdrnn_status simdrnn_use_isa(const char* name);

/* A model out of a file that `layer.save`, `stack.save` or `simdrnn convert` wrote: .safetensors or
 * .simdrnn; or out of the bytes of such a file, which may be given back afterwards. */
simdrnn_status simdrnn_model_open(const char* path, simdrnn_model** model);
simdrnn_status simdrnn_model_open_memory(const void* bytes, size_t size, simdrnn_model** model);
simdrnn_status simdrnn_model_info(const simdrnn_model* model, simdrnn_info* info);
void simdrnn_model_close(simdrnn_model* model); /* NULL does nothing */

/* A stream of so many rows, which begin with the states that the model has learned, or zeros.
 * `threads`: how many a long call may use; 1 is right for small models and for deadlines. */
simdrnn_status simdrnn_stream_open(const simdrnn_model* model, int64_t batch_size, int32_t threads,
                                   simdrnn_stream** stream);
/* Another with the same model, and the states of now. */
simdrnn_status simdrnn_stream_clone(const simdrnn_stream* stream, simdrnn_stream** copy);
simdrnn_status simdrnn_stream_info(const simdrnn_stream* stream, simdrnn_info* info,
                                   int64_t* batch_size); /* either may be NULL */
void simdrnn_stream_close(simdrnn_stream* stream);       /* NULL does nothing */

/* One step of all rows: x (B, I), y (B, F). */
simdrnn_status simdrnn_step_f32(simdrnn_stream* stream, const float* x, float* y);
simdrnn_status simdrnn_step_f64(simdrnn_stream* stream, const double* x, double* y);
/* So many steps of all rows: x (steps, B, I), y (steps, B, F). */
simdrnn_status simdrnn_feed_f32(simdrnn_stream* stream, int64_t steps, const float* x, float* y);
simdrnn_status simdrnn_feed_f64(simdrnn_stream* stream, int64_t steps, const double* x, double* y);
/* With rows chosen, or with attention. */
simdrnn_status simdrnn_run_f32(simdrnn_stream* stream, const simdrnn_call_f32* call);
simdrnn_status simdrnn_run_f64(simdrnn_stream* stream, const simdrnn_call_f64* call);

/* Back to what rows begin with: those that are named, or with rows == NULL all of them. */
simdrnn_status simdrnn_reset(simdrnn_stream* stream, const int64_t* rows, int64_t row_count);

/* The states of one row, state_size numbers: network by network, layer by layer, in each h, then
 * the cell's other states. What was got from one stream of a model may be set in another. */
simdrnn_status simdrnn_state_get_f32(const simdrnn_stream* stream, int64_t row, float* state);
simdrnn_status simdrnn_state_get_f64(const simdrnn_stream* stream, int64_t row, double* state);
simdrnn_status simdrnn_state_set_f32(simdrnn_stream* stream, int64_t row, const float* state);
simdrnn_status simdrnn_state_set_f64(simdrnn_stream* stream, int64_t row, const double* state);

/* Whether subnormal numbers count as zeros, as they do in Python and at first here: silence is then
 * as fast as sound. The caller's floating-point environment comes back after each call. */
simdrnn_status simdrnn_set_flush_denormals(simdrnn_stream* stream, int32_t flush);

#endif /* SIMDRNN_NO_PROTOTYPES */

/* The same functions as a table, for who is not linked to the library. */
typedef struct simdrnn_api {
  uint32_t version; /* SIMDRNN_API_VERSION of the library */
  uint32_t size;    /* bytes of its table */
  const char* (*last_error)(void);
  const char* (*isa)(void);
  simdrnn_status (*use_isa)(const char* name);
  simdrnn_status (*model_open)(const char* path, simdrnn_model** model);
  simdrnn_status (*model_open_memory)(const void* bytes, size_t size, simdrnn_model** model);
  simdrnn_status (*model_info)(const simdrnn_model* model, simdrnn_info* info);
  void (*model_close)(simdrnn_model* model);
  simdrnn_status (*stream_open)(const simdrnn_model* model, int64_t batch_size, int32_t threads,
                                simdrnn_stream** stream);
  simdrnn_status (*stream_clone)(const simdrnn_stream* stream, simdrnn_stream** copy);
  simdrnn_status (*stream_info)(const simdrnn_stream* stream, simdrnn_info* info,
                                int64_t* batch_size);
  void (*stream_close)(simdrnn_stream* stream);
  simdrnn_status (*step_f32)(simdrnn_stream* stream, const float* x, float* y);
  simdrnn_status (*step_f64)(simdrnn_stream* stream, const double* x, double* y);
  simdrnn_status (*feed_f32)(simdrnn_stream* stream, int64_t steps, const float* x, float* y);
  simdrnn_status (*feed_f64)(simdrnn_stream* stream, int64_t steps, const double* x, double* y);
  simdrnn_status (*run_f32)(simdrnn_stream* stream, const simdrnn_call_f32* call);
  simdrnn_status (*run_f64)(simdrnn_stream* stream, const simdrnn_call_f64* call);
  simdrnn_status (*reset)(simdrnn_stream* stream, const int64_t* rows, int64_t row_count);
  simdrnn_status (*state_get_f32)(const simdrnn_stream* stream, int64_t row, float* state);
  simdrnn_status (*state_get_f64)(const simdrnn_stream* stream, int64_t row, double* state);
  simdrnn_status (*state_set_f32)(simdrnn_stream* stream, int64_t row, const float* state);
  simdrnn_status (*state_set_f64)(simdrnn_stream* stream, int64_t row, const double* state);
  simdrnn_status (*set_flush_denormals)(simdrnn_stream* stream, int32_t flush);
} simdrnn_api;

/* Names of the capsules that Python hands out: the table, simdrnn._core._C_API; and what
 * layer.c_handle() returns, a simdrnn_model that lives as long as the capsule. */
#define SIMDRNN_API_CAPSULE "simdrnn._core._C_API"
#define SIMDRNN_MODEL_CAPSULE "simdrnn_model"

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* SIMDRNN_SIMDRNN_H */
