// The sentence of the last call that failed, by thread, in memory that is there from the beginning.
#pragma once
#include <simdrnn/simdrnn.h>

#include <string_view>

namespace simdrnn::c_api {

// Keeps the sentence, cut where it is too long; returns `status`.
simdrnn_status fail(simdrnn_status status, std::string_view sentence) noexcept;
// The same of a name, what was expected and a number that came.
simdrnn_status fail_number(const char* name, const char* expected, long long got) noexcept;

// Another thread is in a call of the stream.
simdrnn_status fail_busy() noexcept;

const char* last_error() noexcept;

// A status for the exception that is being handled.
simdrnn_status caught() noexcept;

// Runs what may throw.
template <class Body>
simdrnn_status guarded(Body body) noexcept {
  try {
    return body();
  } catch (...) {
    return caught();
  }
}

}  // namespace simdrnn::c_api
