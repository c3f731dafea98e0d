"""Checks of a layer's gradients against finite differences of its forward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.spec.parameters import check_memory
from simdrnn.stack.stack import Stack
from simdrnn.training.gradcheck.probe import Probe, layers_of
from simdrnn.training.gradcheck.report import GradcheckReport
from simdrnn.validate import as_bool, as_count, as_positive_number, as_seed, check_choice

__all__ = ["gradcheck"]

_EPS = 1e-4
_LARGEST_EPS = 1e-2  # beyond it the series that the differences rest on means nothing

# Options whose result is not the derivative of the forward pass, and not meant to be.
_ALTERED = ("step_grad_clip", "step_grad_norm")


def gradcheck(
    layer: RecurrentLayer | Stack,
    T: int,
    B: int,
    *,
    seed: int | None = 0,
    eps: float = _EPS,
    entries: int = 24,
    directions: int = 3,
    lengths: npt.ArrayLike | str | None = None,
    mask: npt.ArrayLike | str | None = None,
    reset: npt.ArrayLike | str | None = None,
    masked_output: str = "zero",
    state: str | None = "random",
    reset_state: str | None = None,
    training: bool = True,
    raise_on_error: bool = True,
) -> GradcheckReport:
    """Check what ``layer.record`` and ``backward`` give against central differences.

    The loss is a sum of all outputs and final states with random weights; it is differentiated for
    x, the states, every parameter, and attention where the layer takes it, which is drawn from
    [0, 1). A tensor of up to `entries` entries is checked entry by entry; of a larger one, that
    many random entries, and `directions` random directions through all of its entries at once,
    which see a wrong entry wherever it is. States that must be positive, as n of sLSTM, are; where
    they are learned, they are moved there.

    Parameters
    ----------
    layer : a float64 layer on either engine, or a `Stack` of such; it stays as it is.
    T, B : steps and rows of the random input. Keep them small: the layer runs four times for each
        entry and direction.
    seed : of the input, states, weights and choices.
    eps : step of the differences, at most 0.01.
    entries, directions : see above; in larger tensors.
    lengths, mask, reset : as for ``layer.record``, or ``"random"``.
    state : ``"random"``, or None for a call without, which uses initial states that are learned.
    reset_state : ``"random"``, or as for ``layer.record`` ``"zero"``, ``"learned"``, ``"given"`` or
        None.
    masked_output, training : as for ``layer.record``. Dropout is the same in all runs.
    raise_on_error : whether a gradient that is not confirmed raises; else the report tells.

    Returns
    -------
    `GradcheckReport` with the worst difference and its tolerance for every tensor, and ``ok``.

    Raises
    ------
    ArithmeticError : a gradient is wrong, or a tensor could not be checked; the message names the
        tensor and the entry or direction.
    TypeError, ValueError : an argument does not fit, or the layer clips gradients at every step,
        so that they are not derivatives and not meant to be.

    Notes
    -----
    With f at five points, differences of steps eps and 2 eps are combined into one whose error is
    of order eps**4 (Richardson). The tolerance is the sum of two terms. Rounding: the loss is off
    by at most d = 6 u (sqrt(n + 32) (T + 1) L |w| max(1, |y|) + sum |p g|), with n the longest sum
    of a step, w the random weights, y the outputs; the second term is the effect of relative
    changes u in all inputs and parameters p; so the difference is off by 1.5 d / eps. Truncation:
    eps times what the combination changed.

    Where a relu or a clip has a kink nearby, differences mean nothing. They betray themselves: the
    one-sided differences on its two sides disagree by more than rounding explains. Such entries
    are skipped and counted, unless they agree all the same.

    References
    ----------
    Higham and Mary 2019, "A new approach to probabilistic rounding error analysis", theorem 2.4,
    for the factor 6.

    Examples
    --------
    >>> import simdrnn as sr
    >>> report = sr.gradcheck(sr.GRU(2, 3, dtype="float64", seed=0), T=4, B=2, lengths="random")
    >>> report.ok, report.skipped
    (True, 0)
    >>> print(report.tensors["bias_hh_l0"])
    bias_hh_l0[...]: expected ... within ..., got ... (9 compared)
    """
    _check(layer)
    step = as_positive_number("eps", eps)
    if step > _LARGEST_EPS:
        raise ValueError(f"eps: expected at most {_LARGEST_EPS:g}, got {eps!r}")
    _check_states(state, reset_state)
    most, many = as_count("entries", entries), as_count("directions", directions)
    if most + many == 0:
        raise ValueError("entries: expected at least 1 where directions is 0, got 0")
    as_bool("raise_on_error", raise_on_error)
    rng = np.random.default_rng(as_seed(seed))
    steps, batch = as_count("T", T), as_count("B", B)
    check_memory(steps * batch * layers_of(layer)[0].input_size, T=steps, B=batch)
    given = {"lengths": lengths, "mask": mask, "reset": reset}
    call = _drawn(layer, steps, batch, given, rng)
    call |= {"masked_output": masked_output, "training": training, "reset_state": reset_state}
    with np.errstate(all="ignore"):  # NaN and infinity are what is looked for
        probe = Probe(layer, steps, batch, call, rng, with_state=state is not None)
        checks = {name: probe.check(name, step, most, many, rng) for name in probe.values}
    report = GradcheckReport(checks, step)
    if raise_on_error and not report.ok:
        raise ArithmeticError("gradcheck: " + "; ".join(map(str, report.failures)))
    return report


def _check(layer: object) -> None:
    """Raise unless the gradients of `layer` can be checked."""
    if not isinstance(layer, (RecurrentLayer, Stack)):
        raise TypeError(f"layer: expected a recurrent layer, got {type(layer).__name__}")
    if layer.dtype != np.float64:
        raise ValueError(
            f"layer: expected dtype float64, got {layer.dtype}, whose rounding hides what is wrong"
        )
    for name in _ALTERED:
        values = [getattr(one.options, name) for one in layers_of(layer)]
        for value in values:
            if value is not None:
                raise ValueError(
                    f"layer: expected no {name}, which changes gradients on purpose, got {value}"
                )


def _check_states(state: object, reset_state: object) -> None:
    """Raise unless it is clear what a call begins with and what resets go to."""
    if state is not None:
        check_choice("state", state, ("random",))
    if reset_state is not None:
        check_choice("reset_state", reset_state, ("random", "zero", "learned", "given"))


def _drawn(
    layer: RecurrentLayer | Stack,
    steps: int,
    batch: int,
    given: dict[str, Any],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Put arrays in the place of the word "random", laid out as the layer takes them."""
    layout = bound_layer(layers_of(layer)[0]).checks.layout
    draws = {
        "lengths": rng.integers(0, steps + 1, batch),
        "mask": layout.caller(rng.random((steps, batch)) < 0.7),
        "reset": layout.caller(rng.random((steps, batch)) < 0.3),
    }
    return {
        name: draws[name] if isinstance(value, str) and value == "random" else value
        for name, value in given.items()
    }
