#include "c_api/last_error.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <stdexcept>

#include "files/json.hpp"

namespace simdrnn::c_api {

namespace {

constexpr std::size_t kLongest = 1024;
thread_local char sentence_of_this_thread[kLongest] = "";

}  // namespace

simdrnn_status fail(simdrnn_status status, std::string_view sentence) noexcept {
  const std::size_t length = std::min(sentence.size(), kLongest - 1);
  std::memcpy(sentence_of_this_thread, sentence.data(), length);
  sentence_of_this_thread[length] = '\0';
  return status;
}

simdrnn_status fail_number(const char* name, const char* expected, long long got) noexcept {
  std::snprintf(sentence_of_this_thread, kLongest, "%s: expected %s, got %lld", name, expected,
                got);
  return SIMDRNN_ERROR_ARGUMENT;
}

simdrnn_status fail_busy() noexcept {
  return fail(SIMDRNN_BUSY, "stream: expected nobody in it, got a call of another thread");
}

const char* last_error() noexcept { return sentence_of_this_thread; }

simdrnn_status caught() noexcept {
  try {
    throw;
  } catch (const files::FileError& error) {
    return fail(SIMDRNN_ERROR_FORMAT, error.what());
  } catch (const std::invalid_argument& error) {
    return fail(SIMDRNN_ERROR_ARGUMENT, error.what());
  } catch (const std::bad_alloc&) {
    return fail(SIMDRNN_ERROR_MEMORY, "expected more memory than there is");
  } catch (const std::length_error&) {
    return fail(SIMDRNN_ERROR_MEMORY, "expected more memory than there is");
  } catch (const std::exception& error) {
    return fail(SIMDRNN_ERROR_INTERNAL, error.what());
  } catch (...) {
    return fail(SIMDRNN_ERROR_INTERNAL, "an exception of another library");
  }
}

}  // namespace simdrnn::c_api
