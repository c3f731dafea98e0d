// The backward pass over a stack: layer by layer from the last, direction by direction.
#include "engine/backward_pass.hpp"

namespace simdrnn {

namespace {

template <class T>
void fill_zero(const Sequence<T>& s, Index steps, Index batch, Index width) {
  for (Index t = 0; t < steps; ++t) {
    for (Index b = 0; b < batch; ++b)
      std::fill_n(s.data + t * s.stride_t + b * s.stride_b, width, T(0));
  }
}

// The way back through what drops a layer's input.
template <class T, class Drop>
void drop_gradient(const Call<T>& call, const Plan& plan, const Sequence<T>& d, Drop drop) {
  const Index batch = call.steps.batch;
  team::run(plan.threads(), [&](int p) {
    const Index begin = batch * p / plan.threads(), end = batch * (p + 1) / plan.threads();
    for (Index t = 0; t < call.steps.steps; ++t) {
      for (Index b = begin; b < end; ++b) {
        T* const row = d.data + t * d.stride_t + b * d.stride_b;
        drop(t, b, row);
      }
    }
  });
}

}  // namespace

template <class T>
void Network<T>::backward(const Call<T>& call, const TapeViews<const T>& tape,
                          Sequence<const T> d_output, const std::vector<const T*>& d_final_states,
                          Sequence<T> d_x, const std::vector<T*>& d_initial_states,
                          const std::vector<T*>& d_reset_states,
                          const std::vector<ParameterGradients<T>>& d_parameters,
                          const std::vector<T*>& trace, T* d_attention) const {
  if (walks_nothing(call)) {
    return backward(without_steps(call), tape, d_output, d_final_states, d_x, d_initial_states,
                    d_reset_states, d_parameters, trace, d_attention);
  }
  CallContext<T> context(shape_, info_, call, false, may_share_rows(false), drops_inputs(call));
  context.take_turn(call.steps.steps);
  const Index width = shape_.output_size(), batch = call.steps.batch;
  const auto pass_at = [&](Index layer, Index direction) {
    const auto at = static_cast<std::size_t>(layer);
    const Sequence<const T> x = layer == 0 ? call.x : tape.hidden[at - 1];
    const auto index = static_cast<std::size_t>(layer * shape_.directions + direction);
    return BackwardPass<T>(
        *this, call, context, layer, direction, x, tape.hidden[at],
        tape.saved.empty() ? nullptr : tape.saved[index],
        tape.checkpoints.empty() ? Checkpoints<const T>{} : tape.checkpoints[index]);
  };
  const Index every = tape.checkpoints.empty() ? 0 : tape.checkpoints.front().every;
  const Workspace workspace(backward_bytes(call, context, every));
  Carver outer(workspace.data());
  // Gradients between layers, taking turns.
  T* turns[2] = {};
  for (Index layer = 0; layer + 1 < std::min<Index>(shape_.layers, 3); ++layer) {
    turns[layer] = outer.take<T>(call.steps.steps * batch * width);
  }
  if (d_attention != nullptr) std::fill_n(d_attention, call.steps.steps * batch, T(0));
  Sequence<const T> d_y = d_output;
  for (Index layer = shape_.layers - 1; layer >= 0; --layer) {
    const Sequence<T> d_in =
        layer == 0 ? d_x : Sequence<T>{turns[(layer - 1) % 2], batch * width, width};
    if (call.steps.any() && d_in.data != nullptr) {
      fill_zero(d_in, call.steps.steps, batch, layer_input(layer));
    }
    for (Index direction = 0; direction < shape_.directions; ++direction) {
      auto pass = pass_at(layer, direction);
      Carver inner(workspace.data() + outer.used());
      pass.lay_out(inner);
      Sequence<const T> d_half = d_y;
      if (d_half.data != nullptr) d_half.data += direction * shape_.h_size();
      const auto index = static_cast<std::size_t>(layer * shape_.directions + direction);
      T* const traced = trace.empty() ? nullptr : trace[index];
      pass.run({d_half, d_final_states, d_in, d_initial_states, d_reset_states, d_parameters[index],
                traced, d_attention});
    }
    if (d_in.data != nullptr && drops_input(call, layer)) {
      drop_gradient(call, context.plan, d_in, [&](Index t, Index b, T* row) {
        drop_input(call, layer, t, b, row, row, layer_input(layer));
      });
    }
    d_y = as_const(d_in);
  }
}

template <class T>
std::size_t Network<T>::backward_bytes(const Call<T>& call, Index checkpoint_every) const {
  const CallContext<T> context(shape_, info_, call, false, may_share_rows(false),
                               drops_inputs(call));
  return backward_bytes(call, context, checkpoint_every);
}

template <class T>
std::size_t Network<T>::backward_peak(const Call<T>& call, Index checkpoint_every) const {
  if (walks_nothing(call)) return backward_peak(without_steps(call), checkpoint_every);
  std::size_t most = 0;
  for (const bool may_gang : {false, true}) {
    const CallContext<T> context(shape_, info_, call, false, may_gang && may_share_rows(false),
                                 drops_inputs(call));
    most = std::max(most, backward_bytes(call, context, checkpoint_every) +
                              context.flags[0].size() + context.flags[1].size());
  }
  return most;
}

template <class T>
std::size_t Network<T>::backward_bytes(const Call<T>& call, const CallContext<T>& context,
                                       Index checkpoint_every) const {
  const Index width = shape_.output_size();
  Carver memory(nullptr);
  for (Index layer = 0; layer + 1 < std::min<Index>(shape_.layers, 3); ++layer) {
    memory.take<T>(call.steps.steps * call.steps.batch * width);
  }
  std::size_t most = 0;
  for (Index layer = 0; layer < std::min<Index>(shape_.layers, 2); ++layer) {
    for (Index direction = 0; direction < shape_.directions; ++direction) {
      BackwardPass<T> pass(*this, call, context, layer, direction, {}, {}, nullptr,
                           {nullptr, checkpoint_every});
      Carver inner(nullptr);
      pass.lay_out(inner);
      most = std::max(most, inner.used());
    }
  }
  return memory.used() + most;
}

template void Network<float>::backward(const Call<float>&, const TapeViews<const float>&,
                                       Sequence<const float>, const std::vector<const float*>&,
                                       Sequence<float>, const std::vector<float*>&,
                                       const std::vector<float*>&,
                                       const std::vector<ParameterGradients<float>>&,
                                       const std::vector<float*>&, float*) const;
template void Network<double>::backward(const Call<double>&, const TapeViews<const double>&,
                                        Sequence<const double>, const std::vector<const double*>&,
                                        Sequence<double>, const std::vector<double*>&,
                                        const std::vector<double*>&,
                                        const std::vector<ParameterGradients<double>>&,
                                        const std::vector<double*>&, double*) const;
template std::size_t Network<float>::backward_bytes(const Call<float>&, Index) const;
template std::size_t Network<double>::backward_bytes(const Call<double>&, Index) const;
template std::size_t Network<float>::backward_peak(const Call<float>&, Index) const;
template std::size_t Network<double>::backward_peak(const Call<double>&, Index) const;

}  // namespace simdrnn
