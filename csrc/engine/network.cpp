#include "engine/network.hpp"

#include <algorithm>
#include <stdexcept>

#include "engine/dispatch/dispatch.hpp"
#include "engine/pass.hpp"

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
Network<T>::Network(const NetworkShape& shape, const NetworkOptions<T>& options)
    : shape_(shape),
      options_(options),
      cell_(find_cell(shape.cell)),
      info_(dispatch::active().cells[cell_].info),
      layout_(row_layout(info_, options.cell.norm.on, options.cell.norm.carried, keeps_states())),
      packed_(static_cast<std::size_t>(shape.passes())) {
  if (projects() && !info_.projects) {
    throw std::invalid_argument("cell: '" + shape.cell + "' has no projection");
  }
  const Index heads = options.heads;
  if (heads < 1 || shape.hidden_size % heads != 0 || (heads > 1 && !info_.heads)) {
    throw std::invalid_argument("heads: expected a divisor of hidden_size, or 1, got " +
                                std::to_string(heads));
  }
}

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
void Network<T>::set_parameters(Index index, const ParameterViews<const T>& given) {
  const KernelTable& isa = dispatch::active();
  const auto pack = kernels_of(isa.cells[cell_], T()).pack;
  Packed& packed = packed_.at(static_cast<std::size_t>(index));
  PackArgs<T> args{.input_size = layer_input(index / shape_.directions),
                   .hidden_size = shape_.hidden_size,
                   .weight_ih = given.weight_ih,
                   .weight_hh = given.weight_hh,
                   .bias_ih = given.bias_ih,
                   .bias_hh = given.bias_hh,
                   .parameters = given.cell_parameters.data(),
                   .parameter_count = parameter_count(),
                   .weight_hr = given.weight_hr,
                   .projected_size = shape_.projected_size,
                   .out = nullptr,
                   .packed = &packed.weights,
                   .heads = heads()};
  const Index size = pack(args);
  packed.memory.reserve(static_cast<std::size_t>(size) * sizeof(T));
  args.out = static_cast<T*>(packed.memory.data());
  pack(args);
  packed.table = &isa;
}

template <class T>
bool Network<T>::keeps_states() const {
  const auto& zoneout = options_.cell.zoneout;
  return std::any_of(zoneout, zoneout + info_.states, [](const auto& z) { return z.on; });
}

template <class T>
bool Network<T>::acts(const Call<T>& call) const {
  const CellOptions<T>& cell = options_.cell;
  const T off = static_cast<T>(__builtin_inf());
  const bool clips = cell.limits.gate < off || cell.limits.cell < off || cell.limits.hidden < off;
  const bool drops = cell.recurrent_dropout.on || cell.candidate_dropout.on;
  const bool always = clips || cell.own_activations || cell.norm.on || keeps_states() || projects();
  return always || (drops && call.training);
}

template <class T>
void Network<T>::drop_input(const Call<T>& call, Index layer, Index t, Index b, const T* in, T* out,
                            Index width) const {
  DropArgs<T> args{{call.key, static_cast<std::uint32_t>(layer), true},
                   Feature::kInput,
                   0,
                   b,
                   options_.input_dropout,
                   in,
                   out,
                   width};
  if (options_.input_dropout.on) {
    products().drop(args);
    args.in = out;
  }
  if (layer == 0 || !options_.dropout.on) return;
  args.draw.stream = static_cast<std::uint32_t>(layer - 1);  // the layer whose output it is
  args.feature = Feature::kBetweenLayers;
  args.t = t;
  args.chance = options_.dropout;
  products().drop(args);
}

template <class T>
std::size_t Network<T>::workspace_bytes(Index steps, Index batch, bool training,
                                        Index checkpoint_every) const {
  Call<T> call{};
  call.steps = {steps, batch, nullptr, nullptr, nullptr};
  call.states.resize(static_cast<std::size_t>(info_.states));
  call.training = training;
  const std::size_t forward = forward_bytes(call, training);
  return training ? std::max(forward, backward_bytes(call, checkpoint_every)) : forward;
}

template <class T>
Plan Network<T>::plan(const Call<T>& call, bool forward) const {
  return CallContext<T>(*this, call, forward).plan;
}

template <class T>
std::size_t Network<T>::packed_bytes() const {
  std::size_t total = 0;
  for (const Packed& packed : packed_) total += packed.memory.bytes();
  return total;
}

// Those members that are defined here; stack.cpp has the others.
template class Network<float>;
template class Network<double>;

}  // namespace simdrnn
