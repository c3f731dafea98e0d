// Where calls come from: objects of simdrnn.engine.protocol, read by the names of their attributes,
// or buffers in the order of buffer_call.hpp. Either hands out arrays by name and size.
#pragma once
#include <algorithm>
#include <atomic>
#include <span>
#include <string>
#include <vector>

#include "engine/call.hpp"
#include "python/arrays.hpp"
#include "python/buffer_call.hpp"

namespace simdrnn::python {

// Beside those of GivenBuffer: what no call says, since its network has it or not.
enum HasArray {
  kHasBiases = 1 << 16,
  kHasProjection = 1 << 17,
  kHasTrace = 1 << 18,
  kAdds = 1 << 19
};

// A field of the classes in simdrnn.engine.protocol, and the bit that says of buffers whether they
// have it; 0 where they always do.
class Name {
 public:
  explicit constexpr Name(const char* name, int bit = 0) : text(name), given(bit) {}
  // The same as a Python string, made once.
  [[nodiscard]] PyObject* key() const {
    PyObject* found = key_.load(std::memory_order_relaxed);
    if (found != nullptr) return found;
    found = PyUnicode_InternFromString(text);
    if (found == nullptr) throw py::error_already_set();
    key_.store(found);
    return found;
  }
  const char* const text;
  const int given;

 private:
  mutable std::atomic<PyObject*> key_{nullptr};
};

namespace names {
inline const Name x("x"), states("states"), reset_states("reset_states", kGivenResetStates);
inline const Name lengths("lengths", kGivenLengths), mask("mask", kGivenMask);
inline const Name reset("reset", kGivenReset), attention("attention", kGivenAttention);
inline const Name hold("hold"), training("training"), key("key"), num_threads("num_threads");
inline const Name saved("saved"), hidden("hidden"), output("output");
inline const Name checkpoints("checkpoints"), checkpoint_every("checkpoint_every");
inline const Name weight_ih("weight_ih"), weight_hh("weight_hh");
inline const Name weight_hr("weight_hr", kHasProjection);
inline const Name bias_ih("bias_ih", kHasBiases), bias_hh("bias_hh", kHasBiases);
inline const Name cell_parameters("cell_parameters"), parameters("parameters");
inline const Name d_x("x", kWantedInput), trace("trace", kHasTrace), add("add", kAdds);
}  // namespace names

// What an object of simdrnn.engine.protocol has.
class Attributes {
 public:
  explicit Attributes(const py::handle& object)
      : object_(py::reinterpret_borrow<py::object>(object)) {}

  [[nodiscard]] py::object operator[](const Name& name) const {
    PyObject* const found = PyObject_GetAttr(object_.ptr(), name.key());
    if (found == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(found);
  }
  [[nodiscard]] bool given(const Name& name) const { return !(*this)[name].is_none(); }
  template <class E>
  [[nodiscard]] E* array(const Name& name, Index size) const {
    return elements<E>((*this)[name], name.text, size);
  }
  template <class E>
  [[nodiscard]] std::vector<E*> arrays(const Name& name, const std::vector<Index>& sizes) const {
    return list_of_elements<E>((*this)[name], name.text, sizes);
  }
  // None is null.
  template <class E>
  [[nodiscard]] std::vector<E*> optional_arrays(const Name& name,
                                                const std::vector<Index>& sizes) const {
    return list_of_elements<E>((*this)[name], name.text, sizes, true);
  }
  // `count` arrays of one size.
  template <class E>
  [[nodiscard]] std::vector<E*> pieces(const Name& name, Index count, Index size) const {
    const py::object list = (*this)[name];
    if (!py::isinstance<py::sequence>(list) || static_cast<Index>(py::len(list)) != count) {
      reject(name.text, "one array per layer and direction");
    }
    const std::vector<Index> sizes(static_cast<std::size_t>(count), size);
    return list_of_elements<E>(list, name.text, sizes);
  }
  template <class E>
  [[nodiscard]] Sequence<E> sequence(const Name& name, const StepSources& s, Index width) const {
    return python::sequence<E>((*this)[name], name.text, s.steps, s.batch, width);
  }
  // What the layers below the last put out: of a tape, whose list ends with the last one's.
  template <class E>
  [[nodiscard]] std::vector<Sequence<E>> lower(const StepSources& s, Index count,
                                               Index width) const {
    const py::list hidden = (*this)[names::hidden];
    if (static_cast<Index>(hidden.size()) != count + 1) reject("hidden", "one array per layer");
    std::vector<Sequence<E>> lower;
    for (std::size_t layer = 0; layer + 1 < hidden.size(); ++layer) {
      lower.push_back(python::sequence<E>(hidden[layer], "hidden", s.steps, s.batch, width));
    }
    return lower;
  }
  [[nodiscard]] Index checkpoint_every() const {
    return (*this)[names::checkpoint_every].cast<Index>();
  }

  // The parameters of one layer and direction, or their gradients.
  [[nodiscard]] Attributes of_pass(Index index) const {
    return Attributes(py::sequence((*this)[names::parameters])[static_cast<std::size_t>(index)]);
  }

  [[nodiscard]] StepSources steps() const {
    const py::object x = (*this)[names::x];
    if (!py::isinstance<py::array>(x)) reject("x", "an array");
    const auto array = py::reinterpret_borrow<py::array>(x);
    if (array.ndim() != 3) reject("x", "three dimensions");
    return {array.shape(0), array.shape(1), nullptr, nullptr, nullptr};
  }
  [[nodiscard]] const std::int64_t* lengths(const StepSources& s) const {
    return array<const std::int64_t>(names::lengths, s.batch);
  }
  [[nodiscard]] const std::uint8_t* bytes(const Name& name, const StepSources& s) const {
    return reinterpret_cast<const std::uint8_t*>(array<const bool>(name, s.steps * s.batch));
  }
  template <class T>
  void settle(Call<T>& call) const {
    call.hold = (*this)[names::hold].cast<bool>();
    call.training = (*this)[names::training].cast<bool>();
    call.key = (*this)[names::key].cast<std::uint64_t>();
    call.threads = (*this)[names::num_threads].cast<int>();
  }

 private:
  py::object object_;
};

// What buffers hold: they are handed out one by one, in the order in which a Reader asks, and it is
// checked how large they are. The front end has checked shapes with better words; this keeps a
// wrong call from touching memory that is not there.
class Buffers {
 public:
  Buffers(const char* what, const BufferCall& call, int has, const Buffer* buffers,
          std::size_t count)
      : what_(what), call_(call), has_(has), buffers_(buffers), count_(count) {}

  [[nodiscard]] std::int64_t field(CallField which) const { return call_.fields[which]; }
  [[nodiscard]] bool given(const Name& name) const {
    return name.given == 0 || ((field(kGiven) | has_) & name.given) != 0;
  }
  template <class E>
  E* next(Index size) {
    if (at_ == count_) fail("more than " + std::to_string(count_));
    const Buffer& buffer = buffers_[at_++];
    const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(E);
    if (buffer.bytes != bytes) {
      fail(std::to_string(bytes) + " bytes in buffer " + std::to_string(at_ - 1) + ", got " +
           std::to_string(buffer.bytes));
    }
    return static_cast<E*>(buffer.data);
  }
  template <class E>
  E* array(const Name& name, Index size) {
    return given(name) ? next<E>(size) : nullptr;
  }
  template <class E>
  std::vector<E*> arrays(const Name&, const std::vector<Index>& sizes) {
    std::vector<E*> found;
    for (const Index size : sizes) found.push_back(next<E>(size));
    return found;
  }
  template <class E>
  std::vector<E*> optional_arrays(const Name& name, const std::vector<Index>& sizes) {
    return arrays<E>(name, sizes);
  }
  // They are one buffer here.
  template <class E>
  std::vector<E*> pieces(const Name&, Index count, Index size) {
    E* const whole = next<E>(count * size);
    std::vector<E*> found;
    for (Index i = 0; i < count; ++i) found.push_back(whole + i * size);
    return found;
  }
  template <class E>
  Sequence<E> sequence(const Name&, const StepSources& s, Index width) {
    E* const data = next<E>(s.steps * s.batch * width);
    const bool batch_first = field(kBatchFirst) != 0;
    return {data, batch_first ? width : s.batch * width, batch_first ? s.steps * width : width};
  }
  template <class E>
  std::vector<Sequence<E>> lower(const StepSources& s, Index count, Index width) {
    std::vector<Sequence<E>> found;
    for (E* const data : pieces<E>(names::hidden, count, s.steps * s.batch * width)) {
      found.push_back({data, s.batch * width, width});
    }
    return found;
  }
  [[nodiscard]] Index checkpoint_every() const { return field(kCheckpointEvery); }
  Buffers& of_pass(Index) { return *this; }

  [[nodiscard]] StepSources steps() const {
    return {field(kSteps), field(kBatch), nullptr, nullptr, nullptr};
  }
  const std::int64_t* lengths(const StepSources& s) {
    if (!given(names::lengths)) return nullptr;
    const auto* const lengths = next<const std::int32_t>(s.batch);
    // Nobody can have checked numbers that a compiled program computes.
    for (Index b = 0; b < s.batch; ++b) {
      lengths_.push_back(std::clamp<std::int64_t>(lengths[b], 0, s.steps));
    }
    return lengths_.data();
  }
  const std::uint8_t* bytes(const Name& name, const StepSources& s) {
    return array<const std::uint8_t>(name, s.steps * s.batch);
  }
  template <class T>
  void settle(Call<T>& call) {
    if ((field(kGiven) & kGivenKey) != 0) {
      const auto* const words = next<const std::uint32_t>(2);
      call.training = true;
      call.key = words[0] | static_cast<std::uint64_t>(words[1]) << 32;
    }
    call.hold = field(kHoldOutput) != 0;
    call.threads = static_cast<int>(field(kThreads));
  }

  // How many were handed out, and those from the first on.
  [[nodiscard]] std::size_t position() const { return at_; }
  template <class E>
  [[nodiscard]] std::vector<std::span<const E>> since(std::size_t first) const {
    std::vector<std::span<const E>> found;
    for (std::size_t i = first; i < at_; ++i) {
      found.emplace_back(static_cast<const E*>(buffers_[i].data), buffers_[i].bytes / sizeof(E));
    }
    return found;
  }
  void finish() const {
    if (at_ != count_) fail(std::to_string(at_) + ", got " + std::to_string(count_));
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const { reject(what_, expected); }

  const char* what_;
  const BufferCall& call_;
  int has_;  // of HasArray
  const Buffer* buffers_;
  std::size_t count_;
  std::size_t at_ = 0;
  std::vector<std::int64_t> lengths_;
};

}  // namespace simdrnn::python
