// What the pointers of the C functions point to.
#pragma once
#include <simdrnn/simdrnn.h>

#include <atomic>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "files/model_file.hpp"
#include "model/model_stream.hpp"

struct simdrnn_model {
  simdrnn::files::AnyModel any;
  simdrnn_info info;
};

struct simdrnn_stream {
  template <class T>
  using StreamOf = std::unique_ptr<simdrnn::model::ModelStream<T>>;

  std::variant<StreamOf<float>, StreamOf<double>> any;
  simdrnn_info info;
  std::int64_t batch;
  // Rows that a call names, as the engine takes them, and which it has named so far.
  std::vector<std::int32_t> rows;
  std::vector<std::uint64_t> named;
  std::uint64_t call = 0;
  mutable std::atomic<bool> inside{false};

  simdrnn_stream(std::variant<StreamOf<float>, StreamOf<double>> made, const simdrnn_info& about,
                 std::int64_t batch_size)
      : any(std::move(made)),
        info(about),
        batch(batch_size),
        rows(static_cast<std::size_t>(batch_size)),
        named(static_cast<std::size_t>(batch_size)) {}
};

namespace simdrnn::c_api {

// The right to be in a stream, for as long as this lives.
class Inside {
 public:
  explicit Inside(const simdrnn_stream& stream) noexcept
      : flag_(stream.inside), granted_(!flag_.exchange(true, std::memory_order_acquire)) {}
  ~Inside() {
    if (granted_) flag_.store(false, std::memory_order_release);
  }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  explicit operator bool() const noexcept { return granted_; }

 private:
  std::atomic<bool>& flag_;
  const bool granted_;
};

}  // namespace simdrnn::c_api
