// The one place that sees XLA: a custom call of a compiled program becomes a call of a shared
// network in _core, which this module asks for by a capsule. Built only where SIMDRNN_JAX is on.
#include <pybind11/pybind11.h>
#include <xla/ffi/api/ffi.h>

#include <array>
#include <optional>
#include <vector>

#include "python/buffer_call.hpp"

namespace simdrnn::python {

namespace {

namespace ffi = xla::ffi;

RunBuffers run_buffers = nullptr;

constexpr std::size_t kMessageSize = 512;

ffi::Error run(ffi::Span<const std::int64_t> fields, ffi::RemainingArgs arguments,
               ffi::RemainingRets results) {
  std::vector<Buffer> in, out;
  in.reserve(arguments.size());
  out.reserve(results.size());
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const auto buffer = arguments.get<ffi::AnyBuffer>(i);
    if (!buffer.has_value()) return buffer.error();
    in.push_back({buffer->untyped_data(), buffer->size_bytes()});
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    auto buffer = results.get<ffi::AnyBuffer>(i);
    if (!buffer.has_value()) return buffer.error();
    out.push_back({(*buffer)->untyped_data(), (*buffer)->size_bytes()});
  }
  const BufferCall call{fields.begin(), fields.size(), in.data(),
                        in.size(),      out.data(),    out.size()};
  std::array<char, kMessageSize> message{};
  if (run_buffers(call, message.data(), message.size())) return ffi::Error::Success();
  return {ffi::ErrorCode::kInvalidArgument, message.data()};
}

XLA_FFI_DEFINE_HANDLER(
    handler, run,
    ffi::Ffi::Bind().Attr<ffi::Span<const std::int64_t>>("fields").RemainingArgs().RemainingRets());

}  // namespace

PYBIND11_MODULE(_ffi, m, pybind11::mod_gil_not_used()) {
  namespace py = pybind11;
  m.doc() = "The way from programs that XLA compiled to the engine; use it through simdrnn.jax.";
  const auto entry = py::module_::import("simdrnn._core").attr("run_buffers").cast<py::capsule>();
  auto* const found = PyCapsule_GetPointer(entry.ptr(), kRunBuffersName);
  if (found == nullptr) throw py::error_already_set();
  run_buffers = *static_cast<RunBuffers*>(found);
  m.attr("handler") = py::capsule(reinterpret_cast<void*>(handler));
}

}  // namespace simdrnn::python
