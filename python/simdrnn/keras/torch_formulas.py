"""Keras's layers in PyTorch's own operators, which can be differentiated any number of times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch.nn import functional

from simdrnn.keras.kernel import Call, Settings
from simdrnn.spec.activations import Activation

__all__ = ["layer_by_torch"]

Tensor: TypeAlias = "torch.Tensor"
_Activation: TypeAlias = Callable[[Tensor], Tensor]
_Step: TypeAlias = Callable[[Tensor, Sequence[Tensor]], Sequence[Tensor]]

_ACTIVATIONS: dict[str, Callable[[Tensor, float, float], Tensor]] = {
    "sigmoid": lambda x, alpha, beta: torch.sigmoid(x),
    "tanh": lambda x, alpha, beta: torch.tanh(x),
    "relu": lambda x, alpha, beta: torch.relu(x),
    "leaky_relu": lambda x, alpha, beta: functional.leaky_relu(x, alpha),
    "thresholded_relu": lambda x, alpha, beta: functional.threshold(x, alpha, 0.0),
    "elu": lambda x, alpha, beta: functional.elu(x, alpha),
    "hard_sigmoid": lambda x, alpha, beta: (alpha * x + beta).clamp(0, 1),
    "softsign": lambda x, alpha, beta: functional.softsign(x),
    "softplus": lambda x, alpha, beta: functional.softplus(x),
    "scaled_tanh": lambda x, alpha, beta: alpha * torch.tanh(beta * x),
    "affine": lambda x, alpha, beta: alpha * x + beta,
    "identity": lambda x, alpha, beta: x,
}


def _activation(settings: Settings, option: str, default: str) -> _Activation:
    """Return a cell's activation as a function of tensors."""
    chosen: Activation = dict(settings.activations).get(option) or Activation(default)
    function = _ACTIVATIONS[chosen.name]
    return lambda x: function(x, chosen.alpha, chosen.beta)


def _lstm(settings: Settings, recurrent: Tensor, bias: Tensor | None) -> _Step:
    outer = _activation(settings, "recurrent_activation", "sigmoid")
    inner = _activation(settings, "activation", "tanh")
    last = _activation(settings, "output_activation", "tanh")

    def step(x: Tensor, states: Sequence[Tensor]) -> Sequence[Tensor]:
        h, c = states
        i, f, g, o = (x + h @ recurrent).chunk(4, 1)
        c = outer(f) * c + outer(i) * inner(g)
        return outer(o) * last(c), c

    return step


def _gru(settings: Settings, recurrent: Tensor, bias: Tensor | None) -> _Step:
    """Return a step that resets after the recurrent product."""
    outer = _activation(settings, "recurrent_activation", "sigmoid")
    inner = _activation(settings, "activation", "tanh")

    def step(x: Tensor, states: Sequence[Tensor]) -> Sequence[Tensor]:
        (h,) = states
        product = h @ recurrent if bias is None else h @ recurrent + bias[1]
        (x_z, x_r, x_n), (h_z, h_r, h_n) = x.chunk(3, 1), product.chunk(3, 1)
        z = outer(x_z + h_z)
        return (z * h + (1 - z) * inner(x_n + outer(x_r + h_r) * h_n),)

    return step


def _gru_reset_before(settings: Settings, recurrent: Tensor, bias: Tensor | None) -> _Step:
    outer = _activation(settings, "recurrent_activation", "sigmoid")
    inner = _activation(settings, "activation", "tanh")
    r_z, r_r, r_n = recurrent.chunk(3, 1)

    def step(x: Tensor, states: Sequence[Tensor]) -> Sequence[Tensor]:
        (h,) = states
        x_z, x_r, x_n = x.chunk(3, 1)
        z = outer(x_z + h @ r_z)
        return (z * h + (1 - z) * inner(x_n + (outer(x_r + h @ r_r) * h) @ r_n),)

    return step


def _rnn(settings: Settings, recurrent: Tensor, bias: Tensor | None) -> _Step:
    inner = _activation(settings, "activation", "tanh")
    return lambda x, states: (inner(x + states[0] @ recurrent),)


_CELLS: dict[str, Callable[[Settings, Tensor, Tensor | None], _Step]] = {
    "lstm": _lstm,
    "gru": _gru,
    "gru_reset_before": _gru_reset_before,
    "rnn_tanh": _rnn,
    "rnn_relu": _rnn,
}


def layer_by_torch(
    call: Call, x: Tensor, mask: Tensor | None, weights: Sequence[Tensor], states: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Run a layer step by step.

    Parameters
    ----------
    call : how.
    x : (B, T, I).
    mask : (B, T) bool, True where a step is real, or None.
    weights : kernel (I, G*H), recurrent kernel (H, G*H), and the bias if there is one.
    states : (B, H) each.

    Returns
    -------
    output (B, T, H) in the order in which steps are taken, if the call asks for it; then the states
    (B, H) after the last step.
    """
    settings = call.kernel.settings
    kernel, recurrent, *rest = weights
    bias = rest[0] if rest else None
    sums = x @ kernel
    if bias is not None:
        sums = sums + (bias if bias.dim() == 1 else bias[0])
    step = _CELLS[settings.cell](settings, recurrent, bias)
    now, outputs = list(states), []
    for t in _order(call, x.shape[1]):
        after = step(sums[:, t], now)
        if mask is None:
            now = list(after)
            outputs.append(now[0])
            continue
        real = mask[:, t, None]
        now = [torch.where(real, *pair) for pair in zip(after, now, strict=True)]
        outputs.append(now[0] if call.hold else torch.where(real, now[0], 0.0))
    return (torch.stack(outputs, 1), *now) if call.sequences else tuple(now)


def _order(call: Call, steps: int) -> Iterator[int]:
    """Yield the steps in the order in which they are taken."""
    yield from reversed(range(steps)) if call.reverse else range(steps)
