#include "engine/network.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "engine/pass.hpp"
#include "engine/products.hpp"

namespace simdrnn {

namespace {

const CellKernels<float>& kernels_of(const CellEntry& entry, float) { return entry.f32; }
const CellKernels<double>& kernels_of(const CellEntry& entry, double) { return entry.f64; }

int find_cell(const KernelTable& table, const std::string& name) {
  for (int i = 0; i < table.cell_count; ++i) {
    if (name == table.cells[i].info.name) return i;
  }
  throw std::invalid_argument("cell: '" + name + "' is not in this build");
}

}  // namespace

template <class T>
Network<T>::Network(const NetworkShape& shape, const NetworkOptions<T>& options,
                    const KernelTable& isa)
    : shape_(shape),
      options_(options),
      table_(isa),
      cell_(find_cell(isa, shape.cell)),
      info_(isa.cells[cell_].info),
      layout_(row_layout(info_, options.cell.norm.on, options.cell.norm.carried, keeps_states())) {
  forward_.weights.resize(static_cast<std::size_t>(shape.passes()));
  if (projects() && !info_.projects) {
    throw std::invalid_argument("cell: '" + shape.cell + "' has no projection");
  }
  const Index heads = options.heads;
  if (heads < 1 || shape.hidden_size % heads != 0 || (heads > 1 && !info_.heads)) {
    throw std::invalid_argument("heads: expected a divisor of hidden_size, or 1, got " +
                                std::to_string(heads));
  }
}

template <class T>
Network<T>::Network(const NetworkShape& shape, const NetworkOptions<T>& options,
                    const KernelTable& isa, std::span<const ParameterViews<const T>> weights,
                    PackFor passes, std::shared_ptr<SpareMemories> spare)
    : Network(shape, options, isa) {
  if (static_cast<Index>(weights.size()) != shape.passes()) {
    throw std::invalid_argument("parameters: expected " + std::to_string(shape.passes()) +
                                ", one for each layer and direction, got " +
                                std::to_string(weights.size()));
  }
  forward_.memory = memory_from(spare->forward);
  std::unique_ptr<Packed> both;
  if (passes == PackFor::kBoth) {
    both = std::make_unique<Packed>();
    both->memory = memory_from(spare->backward);
  }
  for (std::size_t i = 0; i < weights.size(); ++i) {
    pack(static_cast<Index>(i), &weights[i], forward_.weights[i], &forward_.memory[i],
         both == nullptr ? nullptr : &both->memory[i]);
  }
  if (both != nullptr) {
    both->weights = forward_.weights;
    both_.store(both.release());
  }
  spare_ = std::move(spare);
}

template <class T>
Network<T>::~Network() {
  const std::unique_ptr<Packed> both(both_.load());
  if (spare_ == nullptr) return;
  spare_->forward.give(std::move(forward_.memory));
  if (both != nullptr) spare_->backward.give(std::move(both->memory));
}

template <class T>
PackedBuffers Network<T>::memory_from(Spare<PackedBuffers>& spare) const {
  PackedBuffers memory = spare.take();
  memory.resize(static_cast<std::size_t>(shape_.passes()));
  return memory;
}

template <class T>
auto Network<T>::for_backward() const -> const Packed& {
  Packed* found = both_.load(std::memory_order_acquire);
  if (found != nullptr) return *found;
  auto made = std::make_unique<Packed>();
  made->memory = memory_from(spare_->backward);
  made->weights = forward_.weights;
  for (std::size_t i = 0; i < made->weights.size(); ++i) {
    pack(static_cast<Index>(i), nullptr, made->weights[i], nullptr, &made->memory[i]);
  }
  // Of several threads that came here at the same time the first one's stays.
  if (both_.compare_exchange_strong(found, made.get(), std::memory_order_acq_rel)) {
    return *made.release();
  }
  return *found;
}

template <class T>
const CellKernels<T>& Network<T>::kernels() const {
  return kernels_of(table_.cells[cell_], T());
}

template <class T>
const ProductKernels<T>& Network<T>::products() const {
  return products_of(table_, T());
}

template <class T>
void Network<T>::pack(Index index, const ParameterViews<const T>* given, PackedWeights<T>& packed,
                      AlignedBuffer* forward, AlignedBuffer* backward) const {
  PackArgs<T> args{.input_size = layer_input(index / shape_.directions),
                   .hidden_size = shape_.hidden_size,
                   .weight_ih = nullptr,
                   .weight_hh = nullptr,
                   .bias_ih = nullptr,
                   .bias_hh = nullptr,
                   .parameters = nullptr,
                   .parameter_count = parameter_count(),
                   .weight_hr = nullptr,
                   .projected_size = shape_.projected_size,
                   .out = nullptr,
                   .out_backward = nullptr,
                   .packed = &packed,
                   .heads = heads(),
                   .stream = false};
  if (given != nullptr) {
    args.weight_ih = given->weight_ih;
    args.weight_hh = given->weight_hh;
    args.bias_ih = given->bias_ih;
    args.bias_hh = given->bias_hh;
    args.parameters = given->cell_parameters.data();
    args.weight_hr = given->weight_hr;
  }
  const PackedElements size = kernels().pack(args);
  std::size_t bytes = 0;
  const auto room = [&](AlignedBuffer* memory, Index elements) -> T* {
    if (memory == nullptr) return nullptr;
    const std::size_t needed = static_cast<std::size_t>(elements) * sizeof(T);
    memory->reserve(needed);
    bytes += needed;
    return static_cast<T*>(memory->data());
  };
  args.out = room(forward, size.forward);
  args.out_backward = room(backward, size.backward);
  args.stream = streams(bytes);
  const int parts = team::at_most(packing_threads(bytes));
  const PackedWeights<T> before = packed;
  team::run(parts, [&](int part) {
    PackArgs<T> own = args;
    PackedWeights<T> same = before;  // every part finds the same places
    own.part = part;
    own.parts = parts;
    if (part > 0) own.packed = &same;
    kernels().pack(own);
  });
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
  const bool draws = cell.recurrent_dropout.on || cell.candidate_dropout.on || cell.state_noise > 0;
  const bool always = clips || cell.own_activations || cell.norm.on || keeps_states() || projects();
  return always || (draws && call.training);
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
  for (const AlignedBuffer& memory : forward_.memory) total += memory.bytes();
  const Packed* const both = both_.load(std::memory_order_acquire);
  if (both == nullptr) return total;
  for (const AlignedBuffer& memory : both->memory) total += memory.bytes();
  return total;
}

// Those members that are defined here; stack.cpp has the others.
template class Network<float>;
template class Network<double>;

}  // namespace simdrnn
