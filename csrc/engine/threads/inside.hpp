// What the files of this folder share; the rest of the library sees team.hpp.
#pragma once
#include <string>

#include "engine/machine.hpp"
#include "engine/threads/team.hpp"

namespace simdrnn::team {

using machine::relax;

// Whether the caller is in someone's OpenMP region, whose threads have the CPUs already.
bool inside_openmp();

// Lets gangs form at once: what they waited for was on other threads.
void forget_stalls();

// The two that have threads. One caller at a time: team.cpp sees to that. What returns false has
// called nothing: there is no memory for threads, or they are not enough.
namespace pool {

bool run(int parts, const Body& body);
bool run_together(int parts, const Body& body);
void forget();  // in a forked child: the threads are gone

}  // namespace pool

// Without OpenMP (no_openmp.cpp) there are no such threads: nothing runs, and nothing is adopted.
namespace openmp {

bool is_there();

bool run(int parts, const Body& body);
bool run_together(int parts, const Body& body);

bool adopt(const std::string& library);  // see adopt_openmp

int threads();       // how many threads a region would have, or OMP_NUM_THREADS says
bool in_a_region();  // of the runtime adopted, or the one we are linked to
std::string name();  // which it is, with its file

}  // namespace openmp

}  // namespace simdrnn::team
