/* Nanoseconds of a step from C, of one row:
 *
 *     step [ROUNDS] MODEL...
 *
 * Medians and 99.9th percentiles over blocks of steps that follow each other; a model at a time,
 * whose input is noise. Compile it against libsimdrnn.a; bench/native/CMakeLists.txt does.
 */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "simdrnn/simdrnn.h"

enum { kSteps = 64, kWarm = 2000 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int ascending(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return (x > y) - (x < y);
}

static int fail(const char* path) {
  fprintf(stderr, "%s: %s\n", path, simdrnn_last_error());
  return 0;
}

static int measure(const char* path, size_t rounds) {
  simdrnn_model* model = NULL;
  simdrnn_stream* stream = NULL;
  simdrnn_info info;
  double* times = malloc(rounds * sizeof *times);
  float *x = NULL, *y = NULL;
  size_t i, t, round;
  if (simdrnn_model_open(path, &model) != SIMDRNN_OK) return fail(path);
  if (simdrnn_stream_open(model, 1, 1, &stream) != SIMDRNN_OK) return fail(path);
  if (simdrnn_stream_info(stream, &info, NULL) != SIMDRNN_OK) return fail(path);
  x = malloc(kSteps * (size_t)info.input_size * sizeof *x);
  y = malloc(kSteps * (size_t)info.output_size * sizeof *y);
  if (times == NULL || x == NULL || y == NULL) return 0;
  for (i = 0; i < kSteps * (size_t)info.input_size; ++i)
    x[i] = (float)rand() / (float)RAND_MAX - 0.5F;
  for (i = 0; i < kWarm; ++i) {
    if (simdrnn_step_f32(stream, x, y) != SIMDRNN_OK) return fail(path);
  }
  for (round = 0; round < rounds; ++round) {
    const double begin = now();
    for (t = 0; t < kSteps; ++t) {
      simdrnn_step_f32(stream, x + t * (size_t)info.input_size, y + t * (size_t)info.output_size);
    }
    times[round] = (now() - begin) / kSteps;
  }
  qsort(times, rounds, sizeof *times, ascending);
  printf("%-40s I %-4d F %-4d median %8.1f ns   best %8.1f   99.9%% %8.1f   %s\n", path,
         (int)info.input_size, (int)info.output_size, times[rounds / 2], times[0],
         times[rounds - 1 - rounds / 1000], simdrnn_isa());
  simdrnn_stream_close(stream);
  simdrnn_model_close(model);
  free(times);
  free(x);
  free(y);
  return 1;
}

int main(int count, char** arguments) {
  char* end = NULL;
  long rounds = count > 1 ? strtol(arguments[1], &end, 10) : 0;
  int first = 2, i;
  if (count < 2) {
    fprintf(stderr, "usage: %s [ROUNDS] MODEL...\n", arguments[0]);
    return 2;
  }
  if (end == NULL || *end != '\0' || rounds < 1) first = 1, rounds = 2000;
  for (i = first; i < count; ++i) {
    if (!measure(arguments[i], (size_t)rounds)) return 1;
  }
  return 0;
}
