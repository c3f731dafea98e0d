/* simdrnn.h for extension modules of Python, which are not linked to the library: the functions are
 * those of the installed package, through its table. Call import_simdrnn() once, when the module is
 * imported; until then the functions must not be called. It returns 0, or -1 with an exception.
 *
 * Functions that open, step and close need neither the GIL nor the interpreter; import_simdrnn and
 * simdrnn_model_of do.
 */
#ifndef SIMDRNN_SIMDRNN_PYTHON_H
#define SIMDRNN_SIMDRNN_PYTHON_H

#include <Python.h>

#define SIMDRNN_NO_PROTOTYPES
#include "simdrnn/simdrnn.h"

static const simdrnn_api* simdrnn_table = NULL; /* of this source file */

static inline int import_simdrnn(void) {
  const simdrnn_api* found;
  PyObject* module = PyImport_ImportModule("simdrnn"); /* which chooses the instruction set */
  if (module == NULL) return -1;
  Py_DECREF(module);
  found = (const simdrnn_api*)PyCapsule_Import(SIMDRNN_API_CAPSULE, 0);
  if (found == NULL) return -1;
  if (found->version != SIMDRNN_API_VERSION || found->size < sizeof(simdrnn_api)) {
    PyErr_Format(PyExc_ImportError,
                 "simdrnn: this module was compiled for version %d of its C functions, the "
                 "installed package has version %d; compile it again",
                 (int)SIMDRNN_API_VERSION, (int)found->version);
    return -1;
  }
  simdrnn_table = found;
  return 0;
}

/* The model in what layer.c_handle() returned, for as long as that lives; NULL with an exception
 * where it is something else. */
static inline const simdrnn_model* simdrnn_model_of(PyObject* handle) {
  return (const simdrnn_model*)PyCapsule_GetPointer(handle, SIMDRNN_MODEL_CAPSULE);
}

#define simdrnn_last_error (simdrnn_table->last_error)
#define simdrnn_isa (simdrnn_table->isa)
#define simdrnn_use_isa (simdrnn_table->use_isa)
#define simdrnn_model_open (simdrnn_table->model_open)
#define simdrnn_model_open_memory (simdrnn_table->model_open_memory)
#define simdrnn_model_info (simdrnn_table->model_info)
#define simdrnn_model_close (simdrnn_table->model_close)
#define simdrnn_stream_open (simdrnn_table->stream_open)
#define simdrnn_stream_clone (simdrnn_table->stream_clone)
#define simdrnn_stream_info (simdrnn_table->stream_info)
#define simdrnn_stream_close (simdrnn_table->stream_close)
#define simdrnn_step_f32 (simdrnn_table->step_f32)
#define simdrnn_step_f64 (simdrnn_table->step_f64)
#define simdrnn_feed_f32 (simdrnn_table->feed_f32)
#define simdrnn_feed_f64 (simdrnn_table->feed_f64)
#define simdrnn_run_f32 (simdrnn_table->run_f32)
#define simdrnn_run_f64 (simdrnn_table->run_f64)
#define simdrnn_reset (simdrnn_table->reset)
#define simdrnn_state_get_f32 (simdrnn_table->state_get_f32)
#define simdrnn_state_get_f64 (simdrnn_table->state_get_f64)
#define simdrnn_state_set_f32 (simdrnn_table->state_set_f32)
#define simdrnn_state_set_f64 (simdrnn_table->state_set_f64)
#define simdrnn_set_flush_denormals (simdrnn_table->set_flush_denormals)

#endif /* SIMDRNN_SIMDRNN_PYTHON_H */
