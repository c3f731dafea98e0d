// Loaded before everything else (LD_PRELOAD): allocations, and starts of threads, of which one
// fails when the calling thread has asked for it. With glibc.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

static __thread long left_over = -1;

void fail_after(long successes) { left_over = successes; }
long successes_left(void) { return left_over; }

static int fails(void) { return left_over >= 0 && left_over-- == 0; }

void* malloc(size_t size) { return fails() ? (errno = ENOMEM, NULL) : __libc_malloc(size); }
void* calloc(size_t n, size_t size) {
  return fails() ? (errno = ENOMEM, NULL) : __libc_calloc(n, size);
}
void* realloc(void* old, size_t size) {
  return fails() ? (errno = ENOMEM, NULL) : __libc_realloc(old, size);
}
int posix_memalign(void** made, size_t alignment, size_t size) {
  if (fails()) return ENOMEM;
  *made = __libc_memalign(alignment, size);
  return *made == NULL ? ENOMEM : 0;
}
int pthread_create(pthread_t* thread, const pthread_attr_t* how, void* (*run)(void*), void* given) {
  static int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  if (fails()) return EAGAIN;
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, "pthread_create");
  return real(thread, how, run, given);
}
