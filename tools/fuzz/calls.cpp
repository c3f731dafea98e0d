#include "calls.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fuzz {

namespace {

constexpr std::size_t kMostStreams = 24;

[[noreturn]] void broken(const char* law) {
  std::fprintf(stderr, "fuzz: %s; last error: %s\n", law, simdrnn_last_error());
  std::abort();
}

void must(bool holds, const char* law) {
  if (!holds) broken(law);
}

simdrnn_status run_as(simdrnn_stream* s, const simdrnn_call_f32& call) {
  return simdrnn_run_f32(s, &call);
}
simdrnn_status run_as(simdrnn_stream* s, const simdrnn_call_f64& call) {
  return simdrnn_run_f64(s, &call);
}
simdrnn_status get_as(const simdrnn_stream* s, int64_t row, float* to) {
  return simdrnn_state_get_f32(s, row, to);
}
simdrnn_status get_as(const simdrnn_stream* s, int64_t row, double* to) {
  return simdrnn_state_get_f64(s, row, to);
}
simdrnn_status set_as(simdrnn_stream* s, int64_t row, const float* from) {
  return simdrnn_state_set_f32(s, row, from);
}
simdrnn_status set_as(simdrnn_stream* s, int64_t row, const double* from) {
  return simdrnn_state_set_f64(s, row, from);
}

template <class T>
struct CallOf;
template <>
struct CallOf<float> {
  using Type = simdrnn_call_f32;
};
template <>
struct CallOf<double> {
  using Type = simdrnn_call_f64;
};

// Numbers as they come: mostly small, some of any bits.
template <class T>
std::vector<T> numbers(std::size_t count, Random& random) {
  std::vector<T> found(count);
  const bool wild = random.happens(10);
  for (T& number : found) {
    const std::uint64_t word = random.word();
    number = static_cast<T>(static_cast<double>(word >> 11) * 0x1p-52 - 1);
    if (wild) std::memcpy(&number, &word, sizeof number);
  }
  return found;
}

// A call that fits, whose arrays are exactly as long as they must be.
template <class T>
void run_fitting(simdrnn_stream* stream, const simdrnn_info& info, int64_t batch, Random& random) {
  const auto steps = static_cast<int64_t>(random.below(random.happens(5) ? 70 : 4));
  std::vector<int64_t> rows;
  const bool some = random.happens(50);
  for (int64_t row = 0; some && row < batch; ++row) {
    if (random.happens(50)) rows.push_back(row);
  }
  if (some && rows.size() > 1) std::swap(rows.front(), rows[random.below(rows.size())]);
  const int64_t count = some ? static_cast<int64_t>(rows.size()) : batch;
  rows.reserve(1);  // so that there is a pointer where none are named
  const auto size = [&](int64_t width) { return static_cast<std::size_t>(steps * count * width); };
  const std::vector<T> x = numbers<T>(size(info.input_size), random);
  const std::vector<T> attention = numbers<T>(info.takes_attention ? size(1) : 0, random);
  std::vector<T> y(size(info.output_size));
  typename CallOf<T>::Type call{x.data(), y.data(),
                                steps,    some ? rows.data() : nullptr,
                                count,    info.takes_attention ? attention.data() : nullptr};
  must(run_as(stream, call) == SIMDRNN_OK, "a call that fits was refused");
}

void run_fitting(simdrnn_stream* stream, const simdrnn_info& info, int64_t batch, Random& random) {
  if (info.dtype == SIMDRNN_FLOAT32) {
    run_fitting<float>(stream, info, batch, random);
  } else {
    run_fitting<double>(stream, info, batch, random);
  }
}

// What is got of a row is what is there after it was set.
template <class T>
void move_state(simdrnn_stream* stream, const simdrnn_info& info, int64_t batch, Random& random) {
  const auto row = static_cast<int64_t>(random.below(static_cast<std::size_t>(batch)));
  std::vector<T> before(static_cast<std::size_t>(info.state_size)), after(before.size());
  before.reserve(1);
  after.reserve(1);
  must(get_as(stream, row, before.data()) == SIMDRNN_OK, "a state was refused");
  if (random.happens(50)) before = numbers<T>(before.size(), random);
  before.reserve(1);
  must(set_as(stream, row, before.data()) == SIMDRNN_OK, "a state was refused");
  must(get_as(stream, row, after.data()) == SIMDRNN_OK, "a state was refused");
  must(before.empty() || std::memcmp(before.data(), after.data(), before.size() * sizeof(T)) == 0,
       "a state is not what it was set to");
}

}  // namespace

void exercise(simdrnn_model* model, Random& random) {
  simdrnn_info info;
  must(simdrnn_model_info(model, &info) == SIMDRNN_OK, "a model says nothing of itself");
  if (info.input_size > 4096 || info.output_size > 4096) return;
  simdrnn_stream* stream = nullptr;
  if (simdrnn_stream_open(model, 2, 1, &stream) != SIMDRNN_OK) return;
  for (int turn = 0; turn < 3; ++turn) run_fitting(stream, info, 2, random);
  simdrnn_stream_close(stream);
}

Session::Session(const std::vector<std::string>& paths, Random& random) : random_(random) {
  for (const std::string& path : paths) {
    simdrnn_model* model = nullptr;
    must(simdrnn_model_open(path.c_str(), &model) == SIMDRNN_OK, "a good model was refused");
    models_.push_back(model);
  }
}

Session::~Session() {
  for (const Opened& opened : streams_) simdrnn_stream_close(opened.stream);
  for (simdrnn_model* const model : models_) simdrnn_model_close(model);
}

void Session::open() {
  const simdrnn_model* const model = random_.one_of(models_);
  Opened opened{nullptr, {}, static_cast<int64_t>(1 + random_.below(9))};
  const auto threads = static_cast<int32_t>(random_.happens(90) ? 1 : 2);
  must(simdrnn_stream_open(model, opened.batch, threads, &opened.stream) == SIMDRNN_OK,
       "a stream was refused");
  must(simdrnn_stream_info(opened.stream, &opened.info, nullptr) == SIMDRNN_OK, "no info");
  streams_.push_back(opened);
}

void Session::close() {
  const std::size_t which = random_.below(streams_.size());
  simdrnn_stream_close(streams_[which].stream);
  streams_[which] = streams_.back();
  streams_.pop_back();
}

void Session::run(Opened& opened) {
  run_fitting(opened.stream, opened.info, opened.batch, random_);
}

void Session::reset(Opened& opened) {
  const auto row = static_cast<int64_t>(random_.below(static_cast<std::size_t>(opened.batch)));
  const bool all = random_.happens(30);
  must(simdrnn_reset(opened.stream, all ? nullptr : &row, 1) == SIMDRNN_OK, "a reset was refused");
}

void Session::state(Opened& opened) {
  if (opened.info.dtype == SIMDRNN_FLOAT32) {
    move_state<float>(opened.stream, opened.info, opened.batch, random_);
  } else {
    move_state<double>(opened.stream, opened.info, opened.batch, random_);
  }
}

// Each must be refused before anything is touched: the arrays are not there.
void Session::wrong(Opened& opened) {
  simdrnn_stream* const s = opened.stream;
  const bool single = opened.info.dtype == SIMDRNN_FLOAT32;
  const int64_t bad[] = {-1, opened.batch, INT64_MAX, INT64_MIN};
  const int64_t twice[] = {0, 0};
  float f = 0;
  double d = 0;
  simdrnn_model* model = nullptr;
  simdrnn_stream* stream = nullptr;
  simdrnn_call_f32 call{&f, &f, 1, &bad[random_.below(4)], 1, nullptr};
  simdrnn_call_f32 repeated{&f, &f, 1, twice, 2, nullptr};
  const simdrnn_status found[] = {
      simdrnn_step_f32(nullptr, &f, &f),
      single ? simdrnn_step_f64(s, &d, &d) : simdrnn_step_f32(s, &f, &f),
      simdrnn_step_f32(s, nullptr, &f),
      simdrnn_feed_f32(s, -5, &f, &f),
      simdrnn_feed_f32(s, INT64_MAX / 2, &f, &f + 1),
      simdrnn_run_f32(s, nullptr),
      simdrnn_run_f32(s, &call),
      simdrnn_run_f32(s, &repeated),
      simdrnn_reset(s, bad, 4),
      simdrnn_reset(s, twice, opened.batch < 2 ? 2 : -3),
      simdrnn_state_get_f32(s, bad[random_.below(4)], &f),
      simdrnn_state_set_f64(s, bad[random_.below(4)], &d),
      simdrnn_stream_open(random_.one_of(models_), bad[random_.below(2) * 3], 1, &stream),
      simdrnn_stream_open(random_.one_of(models_), 1, 0, &stream),
      simdrnn_stream_open(nullptr, 1, 1, &stream),
      simdrnn_model_open("no such file", &model),
      simdrnn_model_open_memory("", 0, &model),
      simdrnn_use_isa("pentium"),
  };
  for (const simdrnn_status status : found) must(status != SIMDRNN_OK, "a wrong call was taken");
  must(simdrnn_last_error()[0] != '\0', "an error without a sentence");
}

void Session::call() {
  if (streams_.empty() || (random_.happens(3) && streams_.size() < kMostStreams)) return open();
  Opened& opened = random_.one_of(streams_);
  const std::size_t kind = random_.below(100);
  if (kind < 60) return run(opened);
  if (kind < 75) return reset(opened);
  if (kind < 90) return state(opened);
  if (kind < 94) return wrong(opened);
  if (kind < 97 || streams_.size() == kMostStreams) return close();
  Opened copy = opened;
  must(simdrnn_stream_clone(opened.stream, &copy.stream) == SIMDRNN_OK, "a clone was refused");
  streams_.push_back(copy);
}

}  // namespace fuzz
