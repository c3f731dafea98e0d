// What Python calls the schedules and their reasons; python/simdrnn/explanation.py has the words.
#pragma once
#include "engine/plan.hpp"

namespace simdrnn::python {

inline const char* name_of(Schedule schedule) {
  switch (schedule) {
    case Schedule::kOneThread:
      return "one_thread";
    case Schedule::kRows:
      return "rows";
    case Schedule::kUnits:
      return "units";
    case Schedule::kDirections:
      return "directions";
    case Schedule::kLayers:
      return "layers";
  }
  return "";
}

inline const char* name_of(Why why) {
  switch (why) {
    case Why::kOneAllowed:
      return "one_allowed";
    case Why::kLittleWork:
      return "little_work";
    case Why::kLittleStep:
      return "little_step";
    case Why::kManyRows:
      return "many_rows";
    case Why::kFewRows:
      return "few_rows";
    case Why::kHeavyWeights:
      return "heavy_weights";
    case Why::kUnevenRows:
      return "uneven_rows";
    case Why::kSeveralPasses:
      return "several_passes";
  }
  return "";
}

}  // namespace simdrnn::python
