"""Pickles of version 0.1.0, which hold every attribute that objects had then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

__all__ = ["fill", "parametrised", "stack"]

# What was made of the arguments; the rest are attributes that people or their subclasses gave.
_INNER = {
    "_info", "_batch_first", "_sizes", "_groups", "_state_specs", "_specs", "_parameters",
    "_version", "_recorded", "_width", "_values", "_short", "_engine_type", "_features", "_layers",
    "_name", "_skip", "_dropout", "_seed", "_own_recorded", "_members", "_letters",
}  # fmt: skip


def parametrised(cls: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is pickled today of a layer, cell, module or gate, from its attributes then."""
    if "_info" in state:
        configuration = _of_recurrent(cls, state)
    elif "_engine_type" in state:
        names = {"engine": "_engine_type", "features": "_features", "dtype": "dtype"}
        configuration = {name: state[kept] for name, kept in names.items()} | {"rng": None}
    else:
        sizes = ("in_features", "out_features", "num_embeddings", "embedding_dim", "dtype")
        configuration = {name: state[name] for name in sizes if name in state}
        if "in_features" in state:
            configuration["bias"] = "bias" in state["_parameters"]
    return {
        "configuration": configuration,
        "parameters": state["_parameters"],
        "version": state["_version"],
        "recorded": state.get("_recorded"),
        "attributes": {name: one for name, one in state.items() if name not in _INNER},
    }


def _of_recurrent(cls: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a layer or single cell."""
    names = ("input_size", "hidden_size", *cls._defaults, "seed")
    found: dict[str, Any] = {name: state[name] for name in names}
    found |= {"dtype": state["dtype"].name}
    return found | dict(state["structure"].active()) | dict(state["options"].active())


def stack(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is pickled today of a stack, from its attributes then."""
    names = {"skip": "_name", "dropout": "_dropout", "seed": "_seed"}
    gates = {name: one for name, one in state["_members"].items() if name.endswith(".gate")}
    return {
        "layers": state["_layers"],
        "configuration": {name: state[kept] for name, kept in names.items()},
        "gates": {
            f"{prefix}.{name}": array
            for prefix, gate in gates.items()
            for name, array in gate.parameters().items()
        },
        "recorded": state["_own_recorded"],
        "attributes": {name: one for name, one in state.items() if name not in _INNER},
    }


def fill(made: Any, names: Sequence[str], values: Sequence[Any]) -> None:
    """Fill a dataclass of which the values were pickled in the order that its fields had then.

    What it has had since then is at its default: off.
    """
    for field in fields(made):
        object.__setattr__(made, field.name, field.default)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(made, name, value)
