"""What a model says about itself in a file, with all that training needs to go on to the bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.savable import document_of, stepped_stages
from simdrnn.layers.stepped import chained
from simdrnn.model.chain import Link
from simdrnn.model.history import History
from simdrnn.model.trainer import Trainer
from simdrnn.optim import (
    SGD,
    Adam,
    AdamW,
    EarlyStopping,
    GradientNoise,
    Optimizer,
    RMSprop,
    Schedule,
)  # fmt: skip
from simdrnn.optim.schedules import schedule_of
from simdrnn.training.dropout import Dropout
from simdrnn.training.modules import Linear
from simdrnn.validate import Array, as_bool, as_count, as_finite_number, as_positive

__all__ = [
    "members_of",
    "parts_of",
    "restore_trainer",
    "stepped",
    "trainer_arrays",
    "trainer_document",
]

_OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    one.__name__: one for one in (SGD, Adam, AdamW, RMSprop)
}
_OPTIMIZER, _LAST, _HISTORY = "optimizer", "last", "history"
_MARK = (
    ":"  # behind these, in names of arrays: parameters' have none, since names of parts have none
)
_ALONE = "; model.save(path, training=False) writes the model alone"


def members_of(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return what each part is built of.

    Raises
    ------
    TypeError : a part is no object of this library.
    """
    for name, part in members.items():
        if not hasattr(part, "_document"):
            found = type(part).__name__
            raise TypeError(f"save: expected parts of simdrnn, got {found} as {name}")
    return {name: document_of(part) for name, part in members.items()}


def parts_of(
    document: Mapping[str, Any], arrays: Mapping[str, Array], build: Callable[..., Any]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Build the parts that a file describes; return them and the arrays that are none of theirs.

    Raises
    ------
    ValueError : the description and the arrays do not fit.
    """
    members, tied = document.get("members"), document.get("tied")
    if not isinstance(members, dict) or not isinstance(tied, dict) or len(members) > 10_000:
        raise ValueError("members: expected an object of parts by name, with what is tied")
    own: dict[str, dict[str, Array]] = {name: {} for name in members}
    others: dict[str, Array] = {}
    for name, array in arrays.items():
        prefix, dot, inner = name.partition(".")
        if _MARK in prefix or not dot:
            others[name] = array
        elif prefix not in own:
            raise ValueError(f"{name}: expected the parameter of one of {', '.join(own)}")
        else:
            own[prefix][inner] = array
    for name, to in tied.items():
        prefix, _, inner = str(name).partition(".")
        if prefix not in own or inner in own[prefix] or to not in arrays:
            raise ValueError(f"tied: expected names of parameters, got {name!r}, {to!r}")
        own[prefix][inner] = arrays[to]
    return {name: build(member, own[name]) for name, member in members.items()}, others


def stepped(links: Sequence[Link] | str, tied: Mapping[str, str]) -> dict[str, Any]:
    """Return what a chain is to programs in C, as `simdrnn.layers.stepped` has it.

    Raises
    ------
    ValueError : it cannot be stepped; the message says why.
    """
    if isinstance(links, str):
        raise ValueError(f"expected a model of parts that follow each other, but {links}")
    if tied:
        raise ValueError(f"expected a model without tied parameters, got {', '.join(tied)}")
    stages: list[dict[str, Any]] = []
    kept = [link for link in links if not isinstance(link.part, Dropout)]
    for link in kept:
        whole = isinstance(link.part, (RecurrentLayer, Linear)) and link.pooling is None
        if not whole:
            found = type(link.pooling or link.part).__name__
            raise ValueError(f"expected a model of layers and Linear, got {found}")
        stages += stepped_stages(link.part, f"{link.name}.")
    if not kept:
        raise ValueError("expected a model of layers and Linear, got none of them")
    first = kept[0].part
    size = first.in_features if isinstance(first, Linear) else first.input_size
    return chained(first.dtype, size, stages)


def trainer_document(trainer: Trainer) -> dict[str, Any]:
    """Return what a trainer is, but for arrays.

    Raises
    ------
    TypeError, ValueError : a part of it cannot be written.
    """
    optimizer, schedule = trainer.optimizer, trainer.schedule
    if _OPTIMIZERS.get(type(optimizer).__name__) is not type(optimizer):
        found = type(optimizer).__name__
        raise TypeError(f"save: expected an optimiser of simdrnn.optim, got {found}{_ALONE}")
    if optimizer.all_reduce is not None:
        raise ValueError(f"save: expected an optimiser without all_reduce, got one with it{_ALONE}")
    if schedule is not None and not isinstance(schedule, Schedule):
        found = type(schedule).__name__
        raise TypeError(f"save: expected a schedule of simdrnn.optim, got {found}{_ALONE}")
    state = optimizer.state_dict()
    del state["state"]
    noise, stopping = trainer.gradient_noise, trainer.early_stopping
    return {
        "optimizer": state,
        "base_lr": trainer.base_lr,
        "schedule": None if schedule is None else schedule.state_dict(),
        "max_norm": _finite(trainer.max_norm),
        "gradient_noise": None if noise is None else noise.state_dict(),
        "early_stopping": None if stopping is None else stopping.state_dict(),
        "seed": trainer.seed,
        "steps": trainer.steps,
        "done": trainer.done,
        "sums": trainer.sums,
        "batch_size": trainer.batch_size,
        "shuffle": trainer.shuffle,
        "best": _finite(trainer.best),
        "best_checksum": trainer.best_checksum,
        "stopped": trainer.history.stopped,
    }


def _finite(value: float | None) -> float | None:
    """Return a number that JSON has; without bound is without a number."""
    return value if value is None or math.isfinite(value) else None


def trainer_arrays(trainer: Trainer) -> dict[str, Array]:
    """Return the arrays of a trainer, by names that no parameter has."""
    kept = {
        f"{key}{_MARK}{slot}": array
        for key, slots in trainer.optimizer.state_dict()["state"].items()
        for slot, array in slots.items()
    }
    groups = {_OPTIMIZER: kept, _LAST: trainer.last or {}, _HISTORY: trainer.history.arrays()}
    return {
        f"{group}{_MARK}{name}": array
        for group, own in groups.items()
        for name, array in own.items()
    }


def restore_trainer(model: Any, document: object, arrays: Mapping[str, Array]) -> None:
    """Give a model the trainer that a file describes; None is none.

    Raises
    ------
    ValueError, TypeError : the description and the arrays do not fit.
    """
    groups: dict[str, dict[str, Array]] = {_OPTIMIZER: {}, _LAST: {}, _HISTORY: {}}
    for name, array in arrays.items():
        group, _, inner = name.partition(_MARK)
        if document is None or group not in groups:
            raise ValueError(f"{name}: expected an array of what the file describes")
        groups[group][inner] = array
    if document is None:
        return
    if not isinstance(document, dict):
        raise ValueError(f"training: expected an object, got {document!r:.80}")
    optimizer = _optimizer(model, document["optimizer"], groups[_OPTIMIZER])
    noise, stopping = document["gradient_noise"], document["early_stopping"]
    trainer = Trainer(
        model, optimizer, max_norm=document["max_norm"], seed=document["seed"],
        schedule=None if document["schedule"] is None else schedule_of(document["schedule"]),
        gradient_noise=None if noise is None else GradientNoise(**noise),
        early_stopping=None if stopping is None else EarlyStopping.from_state(stopping),
    )  # fmt: skip
    trainer.base_lr = as_finite_number("base_lr", document["base_lr"])
    trainer.steps = as_count("steps", document["steps"])
    trainer.done = as_count("done", document["done"])
    trainer.sums = [as_finite_number("sums", one) for one in document["sums"]]
    rows, shuffle = document.get("batch_size"), document.get("shuffle")  # not in earlier files
    trainer.batch_size = None if rows is None else as_positive("batch_size", rows)
    trainer.shuffle = None if shuffle is None else as_bool("shuffle", shuffle)
    best = document["best"]
    trainer.best = None if best is None else as_finite_number("best", best)
    trainer.best_checksum = as_count("best_checksum", document["best_checksum"])
    trainer.history = History.of_arrays(groups[_HISTORY], document["stopped"])
    if groups[_LAST]:
        present = model.parameters()
        if {n: a.shape for n, a in groups[_LAST].items()} != {
            n: a.shape for n, a in present.items()
        }:
            raise ValueError("last: expected the parameters of the model")
        trainer.last = groups[_LAST]


def _optimizer(model: Any, document: Any, arrays: Mapping[str, Array]) -> Optimizer:
    """Return the optimiser that a file describes."""
    if not isinstance(document, dict) or document.get("kind") not in _OPTIMIZERS:
        raise ValueError(
            f"optimizer: expected one of {', '.join(_OPTIMIZERS)}, got {document!r:.80}"
        )
    state: dict[str, Any] = {
        name: tuple(one) if isinstance(one, list) else one for name, one in document.items()
    }
    options = {k: v for k, v in state.items() if k not in ("kind", "step", "missed", "groups")}
    if "groups" in state:
        options |= {"lr": state["groups"]["lr"], "groups": state["groups"]["patterns"]}
    made = _OPTIMIZERS[state["kind"]](model, **options)
    kept: dict[str, dict[str, Array]] = {key: {} for key in model.parameters()}
    for name, array in arrays.items():
        key, _, slot = name.rpartition(_MARK)
        if key not in kept:
            raise ValueError(f"optimizer: expected arrays of the parameters, got {name!r}")
        kept[key][slot] = array
    made.load_state_dict(state | {"state": kept})
    return made
