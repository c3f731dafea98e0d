/* A plug-in's shape in C: everything is opened before sound comes, each block is processed sample
 * by sample, and a knob that is turned back to the beginning resets. Here the host is a pipe:
 *
 *     plugin MODEL [BLOCK] <input >output
 *
 * reads float32 samples, I for each step, and writes F for each; BLOCK steps at a time (64).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simdrnn/simdrnn.h"

typedef struct plugin {
  simdrnn_model* model;
  simdrnn_stream* stream;
  simdrnn_info info;
} plugin;

/* Not on the audio thread: reads a file and asks for memory. */
static int plugin_open(plugin* self, const char* path) {
  memset(self, 0, sizeof *self);
  if (simdrnn_model_open(path, &self->model) != SIMDRNN_OK) return 0;
  if (simdrnn_model_info(self->model, &self->info) != SIMDRNN_OK) return 0;
  return simdrnn_stream_open(self->model, 1, 1, &self->stream) == SIMDRNN_OK;
}

static void plugin_close(plugin* self) {
  simdrnn_stream_close(self->stream);
  simdrnn_model_close(self->model);
}

/* On the audio thread: no memory, no lock, no system call. */
static int plugin_process(plugin* self, const float* in, float* out, size_t steps) {
  size_t t;
  for (t = 0; t < steps; ++t) {
    if (simdrnn_step_f32(self->stream, in + t * (size_t)self->info.input_size,
                         out + t * (size_t)self->info.output_size) != SIMDRNN_OK) {
      return 0;
    }
  }
  return 1;
}

/* Blocks from stdin to stdout; 0 where that fails. */
static int run(plugin* self, size_t block) {
  const size_t inputs = (size_t)self->info.input_size, outputs = (size_t)self->info.output_size;
  float *in = malloc(block * inputs * sizeof *in), *out = malloc(block * outputs * sizeof *out);
  int fine = in != NULL && out != NULL;
  size_t steps = block;
  while (fine && steps == block) {
    steps = fread(in, inputs * sizeof *in, block, stdin);
    fine = plugin_process(self, in, out, steps) &&
           fwrite(out, outputs * sizeof *out, steps, stdout) == steps;
  }
  free(in);
  free(out);
  return fine;
}

int main(int count, char** arguments) {
  plugin self;
  int fine;
  const long block = count > 2 ? strtol(arguments[2], NULL, 10) : 64;
  if (count < 2 || count > 3 || block < 1 || block > 1 << 20) {
    fprintf(stderr, "usage: %s MODEL [BLOCK] <input >output\n", arguments[0]);
    return 2;
  }
  fine = plugin_open(&self, arguments[1]);
  if (fine && self.info.dtype != SIMDRNN_FLOAT32) {
    fprintf(stderr, "%s: expected a model of float32\n", arguments[1]);
    plugin_close(&self);
    return 1;
  }
  fine = fine && run(&self, (size_t)block);
  if (!fine) fprintf(stderr, "%s\n", simdrnn_last_error());
  plugin_close(&self);
  return fine ? 0 : 1;
}
