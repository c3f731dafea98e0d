"""Going on from an earlier `fit`: what has to be as it was, and what is left if it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from simdrnn.validate import as_dtype

__all__ = [
    *("BUILT", "BUILT_FORECASTER", "BUILT_TAGGER", "OPTIMIZING"),
    *("arguments_of", "as_before_if_it_fails", "check_unchanged"),
]

# Arguments that a network, and what it is given, were made by.
BUILT = (
    *("cell", "hidden_size", "num_layers", "bidirectional", "dropout", "pooling", "layer_options"),
    *("columns", "standardize", "dtype"),
)

# The same of a tagger.
BUILT_TAGGER = (*(name for name in BUILT if name not in ("pooling", "columns")), "crf")

# The same of a forecaster; `horizon` as well where all of it is told at once.
BUILT_FORECASTER = (
    *("strategy", "lags", "difference", "standardize", "cell", "hidden_size", "num_layers"),
    *("dropout", "layer_options", "dtype", "quantiles", "likelihood"),
)

# Arguments that an optimiser's state belongs to; another learning rate is fine.
OPTIMIZING = ("optimizer", "optimizer_options")


def arguments_of(estimator: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return arguments of an estimator, in a form in which equal ones are equal."""
    return {name: _plain(name, getattr(estimator, name)) for name in names}


def _plain(name: str, value: Any) -> Any:
    """Return an argument so that other ways to say the same are gone."""
    if name == "cell" and isinstance(value, str):
        return value.lower()
    if name == "dtype":
        return as_dtype(value).name
    if isinstance(value, Mapping):
        return {key: _plain("", item) for key, item in value.items()}  # a copy: dicts are changed
    if name in ("layer_options", "optimizer_options") and value is None:
        return {}
    if name == "hidden_size" and isinstance(value, (list, tuple)) and len(value) == 1:
        return value[0]
    return tuple(value) if isinstance(value, list) else value


def check_unchanged(
    estimator: Any, before: Mapping[str, Any], names: tuple[str, ...], how: str, instead: str
) -> None:
    """Raise if an argument is not what it was.

    Parameters
    ----------
    before : from `arguments_of`.
    names : of the arguments to look at.
    how, instead : what goes on, and what takes other arguments, for the message.

    Raises
    ------
    ValueError : the message has the argument's name, what it was and what it is.
    """
    now = arguments_of(estimator, names)
    for name in names:
        if not _same(before[name], now[name]):
            raise ValueError(
                f"{name}: expected {before[name]!r}, of the network that {how} goes on from, "
                f"got {getattr(estimator, name)!r}; {instead}"
            )


def _same(one: Any, other: Any) -> bool:
    """Return whether two arguments mean the same."""
    if one is other:
        return True
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


@contextmanager
def as_before_if_it_fails(estimator: Any) -> Iterator[None]:
    """Leave an estimator as it was if an exception comes: never one half of each of two fits."""
    before = dict(vars(estimator))
    undo: list[Callable[[], None]] = []  # of what training changes in place
    if "network_" in before:
        network, state = before["network_"], before["network_"].state()
        undo.append(lambda: network.restore(state))
    if "_history" in before:
        undo.append(before["_history"].mark())
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        for step in undo:
            step()
        raise
