// Threads. The only header through which the rest of the library sees them.
#pragma once
#include <functional>

namespace simdrnn::team {

// How many threads a call may use now: what set_limit said, else OpenMP's own setting (OMP_NUM_THREADS,
// threadpoolctl), never more than the CPUs this process may run on (affinity, container quota).
int limit();
void set_limit(int threads);  // 0: no limit of our own

// Calls body(0) ... body(parts - 1), each once, on up to `parts` threads, and returns when all are done. The
// calling thread takes part. Inside someone's OpenMP region, or while another thread is here, the calls run one
// after another. body must not throw.
void run(int parts, const std::function<void(int)>& body);

const char* runtime();  // what the threads are

}  // namespace simdrnn::team
