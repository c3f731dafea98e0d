"""What does not change from call to call: the network that names and shapes of parameters tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

import simdrnn
from simdrnn.engine.pooled import share_network
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.validate import as_dtype, check_choice

__all__ = ["Plan", "check_options", "make_layer", "plan_of", "setup_of"]

# Done to weights once per call, or between layers, by the layers' Python; in JAX a line each.
_ELSEWHERE = {
    "merge": "join the two halves of the output with jax.numpy",
    "residual": "call single layers and add their inputs",
    "reverse": "turn x and the output around with jax.numpy.flip",
    "weight_dropout": "change params before the call",
    "weight_noise": "change params before the call",
}

# Arguments of constructors that are no options here, and why.
_TOLD = dict.fromkeys(
    (
        "input_size", "hidden_size", "num_layers", "bias", "bidirectional", "dtype", "proj_size",
        "learn_initial_state",
    ),
    "names and shapes of params tell it",
)  # fmt: skip
_LAYERS_OWN = dict.fromkeys(("seed", "initializer", "forget_bias"), "params are given") | {
    "batch_first": "it is an argument of whole sequences"
}


class Plan:
    """A network, and what checks of its calls need. Compared by identity, so cheap to hash.

    Parameters
    ----------
    layer : of the same sizes and options; its parameters' values do not matter.

    Attributes
    ----------
    number : of the shared network.
    names : the network's parameters, in its order; `shared` are those that all units share.
    learned : for each state the parameters it begins with where none is given; or nothing.
    """

    def __init__(self, layer: RecurrentLayer) -> None:
        _check_available(layer)
        bound = bound_layer(layer)
        self.dtype, self.sizes, self.info = bound.dtype, bound.sizes, bound.info
        self.options, self.tape = bound.options, bound.tapes
        self.input_size, self.hidden_size = layer.input_size, layer.hidden_size
        self.width = bound.width
        self.specs = dict(bound.parameters.specs)
        self.names = [name for names in bound.passes.names for name in names]
        self.shared = frozenset(name for name in self.names if bound.passes.is_shared(name))
        self.learned = [[spec.name for spec in group] for group in bound.learned_specs]
        self._checks = bound.checks
        self.state_names = self._checks.state_names
        self.number = share_network(self.info, self.dtype, self.sizes, self.options)

    def __repr__(self) -> str:
        """Show what programs print where they list the calls they make."""
        return f"{self.info.name}({', '.join(map(str, self.sizes[:4]))}, {self.dtype})"

    def state_shapes(self, batch: int) -> list[tuple[int, ...]]:
        """Return the shape of each state, (L*D, B, H)."""
        return [zero.shape for zero in self._checks.zeros(batch)]

    def kept_shapes(self, steps: int, batch: int, every: int) -> list[tuple[int, ...]]:
        """Return the shapes of what a recorded call leaves beside its output."""
        shapes = self.tape.shapes(steps, batch, every)
        layers, *hidden = shapes["hidden"]
        return [(layers - 1, *hidden), shapes["checkpoints" if every else "saved"]]

    @property
    def draws(self) -> bool:
        """Whether anything is random."""
        options = self.options
        chances = (options.input_dropout, options.recurrent_dropout, options.candidate_dropout)
        zoneout = any(options.zoneouts(self.info.states))
        return bool(options.dropout or zoneout or any(chances) or options.state_noise)

    def check_names(self, params: Mapping[str, object]) -> None:
        """Raise unless the parameters are exactly the network's."""
        missing = [name for name in self.specs if name not in params]
        unexpected = [name for name in params if name not in self.specs]
        if missing or unexpected:
            raise ValueError(
                f"params: expected exactly the names {list(self.specs)}, "
                f"got missing {missing}, unexpected {unexpected}"
            )


def _check_available(layer: RecurrentLayer) -> None:
    """Raise where an option is for the layers of `simdrnn` only."""
    active = layer.structure.active() | layer.options.active()
    for name, instead in _ELSEWHERE.items():
        if name in active:
            raise ValueError(
                f"{name}: expected none, since simdrnn.jax leaves it to JAX ({instead}), "
                f"got {active[name]!r}"
            )
    for name in ("layer_norm", "num_heads"):
        if name in active:
            raise ValueError(f"{name}: expected none in simdrnn.jax, got {active[name]!r}")
    info = bound_layer(layer).info
    if not info.sums_alone:
        raise ValueError(
            "cell: expected one whose gates are all sums of W x, R h and biases in simdrnn.jax, "
            f"got {info.layer}"
        )


def make_layer(cell: str, input_size: int, hidden_size: int, **setup: Any) -> RecurrentLayer:
    """Make the layer that a cell's name and the constructor's arguments stand for."""
    check_choice("cell", cell, simdrnn.list_cells())
    layer: RecurrentLayer = getattr(simdrnn, cell)(input_size, hidden_size, seed=0, **setup)
    return layer


_PLANS: dict[object, Plan] = {}


def plan_of(cell: str, params: object, options: Mapping[str, Any]) -> Plan:
    """Return the plan for parameters: sizes, layers and directions are told by their names.

    Raises
    ------
    TypeError, ValueError : they are no parameters of such a cell, or an option does not fit.
    """
    setup = setup_of(params)
    check_options(options, _LAYERS_OWN)
    key = (cell, tuple(setup.items()), repr(sorted(options.items())))
    plan = _PLANS.get(key)
    if plan is None:
        plan = _PLANS[key] = Plan(make_layer(cell, **setup, **options))
    plan.check_names(params)  # type: ignore[arg-type]
    return plan


def check_options(options: Mapping[str, object], refused: dict[str, str]) -> None:
    """Raise if one of the options is told by the parameters already, or is `refused`."""
    for name, reason in (_TOLD | refused).items():
        if name in options:
            raise TypeError(f"{name}: expected none, since {reason}, got {options[name]!r}")


def setup_of(params: object) -> dict[str, Any]:
    """Tell a constructor's arguments from names and shapes of parameters."""
    if not isinstance(params, Mapping):
        raise TypeError(f"params: expected a dict name -> array, got {type(params).__name__}")
    if "weight_ih_l0" not in params or "weight_hh_l0" not in params:
        raise ValueError(
            f"params: expected weight_ih_l0, weight_hh_l0 and so on, got {list(params)}"
        )
    sizes = {}
    for name in ("weight_ih_l0", "weight_hh_l0", "weight_hr_l0"):
        if name in params:
            shape = np.shape(params[name])
            if len(shape) != 2:
                raise ValueError(f"{name}: expected a matrix, got shape {shape}")
            sizes[name] = shape
    setup = {
        "input_size": sizes["weight_ih_l0"][1],
        "hidden_size": sizes.get("weight_hr_l0", sizes["weight_hh_l0"])[1],
        "num_layers": sum(re.fullmatch(r"weight_ih_l\d+", name) is not None for name in params),
        "bias": "bias_ih_l0" in params,
        "bidirectional": "weight_ih_l0_reverse" in params,
        "dtype": _dtype(params["weight_ih_l0"]),
    }
    if "weight_hr_l0" in params:
        setup["proj_size"] = sizes["weight_hr_l0"][0]
    if "h_0_l0" in params:
        setup["learn_initial_state"] = True
    return setup


def _dtype(array: Any) -> str:
    """Return the dtype of an array, which must be one that layers have."""
    dtype = array.dtype if hasattr(array, "dtype") else np.asarray(array).dtype
    try:
        return as_dtype(dtype).name
    except ValueError:
        raise TypeError(
            f"weight_ih_l0: expected dtype float32 or float64, got {dtype}; convert it explicitly"
        ) from None
