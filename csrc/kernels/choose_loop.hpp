// Which time loop a layer's options ask for: the plain one, that with options, or that with layer
// normalisation, which is compiled for the cells that it is there for.
#pragma once
#include "kernels/backward/norm_loop.hpp"
#include "kernels/forward/norm_loop.hpp"

namespace simdrnn::SIMDRNN_ISA {

// Calls use(loop) with the one for `args`; Plain, With and Normalised are made from them.
template <class Cell, class Without, class With, class Normalised, class Args, class Use>
[[gnu::always_inline]] inline auto choose_loop(const Args& args, Use use) noexcept {
  if constexpr (Cell::info.common) {
    if (!args.pass.optioned) {
      Without loop(args);
      return use(loop);
    }
  }
  constexpr bool kNormalisable = normalisable(Cell::info);
  if constexpr (kNormalisable) {
    if (args.pass.options.norm.on) {
      Normalised loop(args);
      return use(loop);
    }
  }
  With loop(args);
  return use(loop);
}

template <class Cell, class V, class Use>
[[gnu::always_inline]] inline auto forward_loop(const ForwardArgs<typename V::Scalar>& args,
                                                Use use) noexcept {
  return choose_loop<Cell, Forward<Cell, V, WithoutOptions>, Forward<Cell, V, WithOptions>,
                     NormalisedForward<Cell, V>>(args, use);
}

template <class Cell, class V, class Use>
[[gnu::always_inline]] inline auto backward_loop(const BackwardArgs<typename V::Scalar>& args,
                                                 Use use) noexcept {
  return choose_loop<Cell, Backward<Cell, V, WithoutOptions>, Backward<Cell, V, WithOptions>,
                     NormalisedBackward<Cell, V>>(args, use);
}

template <class Cell, class V>
void forward(const ForwardArgs<typename V::Scalar>& args) noexcept {
  forward_loop<Cell, V>(args, [](auto& loop) noexcept { loop.run(); });
}

template <class Cell, class V>
void backward(const BackwardArgs<typename V::Scalar>& args) noexcept {
  backward_loop<Cell, V>(args, [](auto& loop) noexcept { loop.run(); });
}

template <class Cell, class V>
Index forward_scratch(const ForwardArgs<typename V::Scalar>& args) noexcept {
  ForwardArgs<typename V::Scalar> sizes = args;
  sizes.scratch = nullptr;
  return forward_loop<Cell, V>(sizes, [](auto& loop) noexcept { return loop.scratch_used(); });
}

template <class Cell, class V>
Index backward_scratch(const BackwardArgs<typename V::Scalar>& args) noexcept {
  BackwardArgs<typename V::Scalar> sizes = args;
  sizes.scratch = nullptr;
  return backward_loop<Cell, V>(sizes, [](auto& loop) noexcept { return loop.scratch_used(); });
}

}  // namespace simdrnn::SIMDRNN_ISA
