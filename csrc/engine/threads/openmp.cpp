// Threads of the OpenMP runtime that the process has. The only file that sees OpenMP; a build
// without has no_openmp.cpp in place of it.
//
// PyTorch's and scikit-learn's own threads are awake for milliseconds after each of their regions,
// waiting for the next. Ours beside them would wait for a CPU. On theirs a part begins within a
// microsecond, and nobody is slowed down. docs/threads.md has the measurements.
//
// libgomp, libomp and libiomp5 all export GOMP_parallel, so one way serves whichever there is.
#include <dlfcn.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "engine/system/system.hpp"
#include "engine/threads/inside.hpp"

extern "C" void GOMP_parallel(void (*body)(void*), void* data, unsigned threads, unsigned flags);

namespace simdrnn::team::openmp {

namespace {

struct Runtime {
  void (*parallel)(void (*)(void*), void*, unsigned, unsigned);
  int (*number)();
  int (*count)();
  int (*largest)();
  int (*inside)();
};

const Runtime kLinked{&GOMP_parallel, &omp_get_thread_num, &omp_get_num_threads,
                      &omp_get_max_threads, &omp_in_parallel};

// The one in use. Never freed: a call may be reading it while another is adopted.
std::atomic<const Runtime*> current{&kLinked};

const Runtime& runtime() { return *current.load(std::memory_order_acquire); }

template <class Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

// The functions that a loaded library and what it was linked to have; nothing is loaded.
bool functions_of(const std::string& library, Runtime& found) {
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (handle == nullptr) return false;  // the handle is kept: what is in use must not go away
  return find(handle, "GOMP_parallel", found.parallel) &&
         find(handle, "omp_get_thread_num", found.number) &&
         find(handle, "omp_get_num_threads", found.count) &&
         find(handle, "omp_get_max_threads", found.largest) &&
         find(handle, "omp_in_parallel", found.inside);
}

std::string file_of(const Runtime& one) {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(one.parallel), &info) == 0) return "?";
  return info.dli_fname;
}

// Files of the OpenMP runtimes in this process, in the order they were loaded.
std::vector<std::string> loaded() {
  std::vector<std::string> files;
  for (const std::string& file : system::loaded_libraries()) {
    const std::string base = file.substr(file.rfind('/') + 1);
    for (const char* prefix : {"libgomp", "libomp", "libiomp"}) {
      if (base.starts_with(prefix)) files.push_back(file);
    }
  }
  return files;
}

// What a region does.
struct Job {
  const Runtime& runtime;
  const Body* body;
  int parts;
  std::atomic<int> next{0};
  bool whole = false;
};

// A region's beginning and end order memory, by the runtime. They do so here once more, for an
// instruction per thread, by what the thread sanitizer sees, too.
std::atomic<unsigned> begun{0}, left{0};

void begin() { begun.fetch_add(1, std::memory_order_release); }  // the caller, before
Job& enter(void* data) {                                         // each thread, inside
  static_cast<void>(begun.load(std::memory_order_acquire));
  return *static_cast<Job*>(data);
}
void leave() { left.fetch_add(1, std::memory_order_release); }           // each thread, inside
void end() { static_cast<void>(left.load(std::memory_order_acquire)); }  // the caller, after

void take_parts(void* data) {
  Job& job = enter(data);
  for (int part; (part = job.next.fetch_add(1, std::memory_order_relaxed)) < job.parts;) {
    (*job.body)(part);
  }
  leave();
}

void take_own_part(void* data) {
  Job& job = enter(data);
  if (job.runtime.count() >= job.parts) {  // else there are fewer than asked for: nobody begins
    const int part = job.runtime.number();
    if (part == 0) job.whole = true;
    if (part < job.parts) (*job.body)(part);
  }
  leave();
}

}  // namespace

bool is_there() { return true; }

bool adopt(const std::string& library) {
  Runtime found{};
  if (!library.empty()) {
    if (!functions_of(library, found)) return false;
  } else {
    const auto files = loaded();
    const auto foreign = std::find_if(files.begin(), files.end(), [&](const std::string& file) {
      return functions_of(file, found) && found.parallel != kLinked.parallel;
    });
    if (foreign == files.end()) found = kLinked;
  }
  if (found.parallel != runtime().parallel) {
    current.store(new Runtime(found), std::memory_order_release);
  }
  return true;
}

// Regions are of the size that the runtime has going, even for fewer parts: libgomp ends the
// threads that a smaller region leaves over, and makes them anew for the next.
bool run(int parts, const Body& body) {
  Job job{runtime(), &body, parts};
  begin();
  job.runtime.parallel(take_parts, &job, 0, 0);
  end();
  return true;
}

bool run_together(int parts, const Body& body) {
  Job job{runtime(), &body, parts};
  const int threads = std::max(job.runtime.largest(), job.parts);
  begin();
  job.runtime.parallel(take_own_part, &job, static_cast<unsigned>(threads), 0);
  end();
  return job.whole;
}

int threads() { return runtime().largest(); }

bool in_a_region() { return runtime().inside() != 0 || kLinked.inside() != 0; }

std::string name() { return "OpenMP, " + file_of(runtime()); }

}  // namespace simdrnn::team::openmp
