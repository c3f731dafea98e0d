// Threads. The only header through which the rest of the library sees them.
#pragma once
#include <functional>

namespace simdrnn::team {

// How many threads a call may use now: what set_limit said, else OpenMP's own setting (OMP_NUM_THREADS,
// threadpoolctl), never more than the CPUs this process may run on (affinity, container quota).
int limit();
void set_limit(int threads);  // 0: no limit of our own

// Calls body(0) ... body(parts - 1), each once, on up to `parts` threads, and returns when all are done. Inside
// someone else's parallel region, or in a child that was forked from one, the calls run one after another.
// body must not throw.
void run(int parts, const std::function<void(int)>& body);

const char* runtime();  // name of the threading runtime

}  // namespace simdrnn::team
