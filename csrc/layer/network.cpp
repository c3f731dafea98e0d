#include "layer/network.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "dispatch/dispatch.hpp"
#include "layer/pass.hpp"

namespace simdrnn {

namespace {

const CellKernels<float>& kernels_of(const CellEntry& entry, float) { return entry.f32; }
const CellKernels<double>& kernels_of(const CellEntry& entry, double) { return entry.f64; }

const ProductKernels<float>& products_of(const KernelTable& t, float) { return t.products_f32; }
const ProductKernels<double>& products_of(const KernelTable& t, double) { return t.products_f64; }

int find_cell(const std::string& name) {
  const KernelTable& table = dispatch::active();
  for (int i = 0; i < table.cell_count; ++i) {
    if (name == table.cells[i].info.name) return i;
  }
  throw std::invalid_argument("cell: '" + name + "' is not in this build");
}

}  // namespace

template <class T>
Network<T>::Network(const NetworkShape& shape, const Limits<T>& limits)
    : shape_(shape),
      limits_(limits),
      cell_(find_cell(shape.cell)),
      info_(dispatch::active().cells[cell_].info),
      packed_(static_cast<std::size_t>(shape.layers * shape.directions)) {}

// Weights are packed for one ISA; all of them for the same.
template <class T>
const KernelTable& Network<T>::table() const {
  const KernelTable* table = packed_.front().table;
  return table != nullptr ? *table : dispatch::active();
}

template <class T>
const CellKernels<T>& Network<T>::kernels() const {
  return kernels_of(table().cells[cell_], T());
}

template <class T>
const ProductKernels<T>& Network<T>::products() const {
  return products_of(table(), T());
}

template <class T>
void Network<T>::set_parameters(Index index, const T* weight_ih, const T* weight_hh,
                                const T* bias_ih, const T* bias_hh) {
  const KernelTable& isa = dispatch::active();
  const auto pack = kernels_of(isa.cells[cell_], T()).pack;
  Packed& packed = packed_.at(static_cast<std::size_t>(index));
  PackArgs<T> args{layer_input(index / shape_.directions),
                   shape_.hidden_size,
                   weight_ih,
                   weight_hh,
                   bias_ih,
                   bias_hh,
                   nullptr,
                   &packed.weights};
  const Index size = pack(args);
  packed.memory.reserve(static_cast<std::size_t>(size) * sizeof(T));
  args.out = static_cast<T*>(packed.memory.data());
  pack(args);
  packed.table = &isa;
}

template <class T>
std::size_t Network<T>::workspace_bytes(Index steps, Index batch, bool training,
                                        Index checkpoint_every) const {
  Call<T> call{};
  call.steps = {steps, batch, nullptr, nullptr, nullptr};
  call.states.resize(static_cast<std::size_t>(info_.states));
  const std::size_t forward = forward_bytes(call, training);
  return training ? std::max(forward, backward_bytes(call, checkpoint_every)) : forward;
}

template <class T>
Plan Network<T>::plan(const Call<T>& call, bool forward) const {
  return CallContext<T>(shape_, info_, call, forward, forward || may_share_rows()).plan;
}

template <class T>
std::size_t Network<T>::packed_bytes() const {
  std::size_t total = 0;
  for (const Packed& packed : packed_) total += packed.memory.bytes();
  return total;
}

#define SIMDRNN_INSTANTIATE(T)                                                             \
  template Network<T>::Network(const NetworkShape&, const Limits<T>&);                     \
  template const KernelTable& Network<T>::table() const;                                   \
  template const CellKernels<T>& Network<T>::kernels() const;                              \
  template const ProductKernels<T>& Network<T>::products() const;                          \
  template void Network<T>::set_parameters(Index, const T*, const T*, const T*, const T*); \
  template Plan Network<T>::plan(const Call<T>&, bool) const;                              \
  template std::size_t Network<T>::packed_bytes() const;                                   \
  template std::size_t Network<T>::workspace_bytes(Index, Index, bool, Index) const
SIMDRNN_INSTANTIATE(float);
SIMDRNN_INSTANTIATE(double);
#undef SIMDRNN_INSTANTIATE

}  // namespace simdrnn
