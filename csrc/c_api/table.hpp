// The functions of simdrnn.h as a table.
#pragma once
#include <simdrnn/simdrnn.h>

namespace simdrnn::c_api {

extern const simdrnn_api kTable;

}  // namespace simdrnn::c_api
