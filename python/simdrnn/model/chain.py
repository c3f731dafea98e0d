"""Parts one after the other: what each is handed, and what of a call's arguments is for it.

A part of a chain is whatever has ``record(x, ...)`` with a tape that has ``output`` and
``backward(d_output)``. Arguments of a call go to those parts whose ``record`` takes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from inspect import signature
from typing import Any, NamedTuple

import numpy as np

from simdrnn.engine.steps import Steps
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.model.pooling import Pooled, Pooling, pool
from simdrnn.stack.stack import Stack
from simdrnn.training.dropout import Dropout
from simdrnn.validate import Array, as_flags, as_lengths

__all__ = ["Link", "Options", "call_link", "links_of", "pool_link", "real_mask", "record_link",
           "step_parts"]  # fmt: skip

# Arguments of a call, with the values that say nothing.
_SILENT: dict[str, object] = {
    "lengths": None, "mask": None, "reset": None, "masked_output": "zero", "reset_state": None,
    "attention": None, "checkpoint_every": None, "memory_budget": None, "num_threads": None,
    "copy": False, "training": None,
}  # fmt: skip
# What a part that does not take it goes without, as it would do by itself.
_DISPENSABLE = {"num_threads", "training", "copy"}


class Link(NamedTuple):
    """One part of a chain.

    Attributes
    ----------
    name, part : as in the model.
    takes : which arguments its ``record`` has beside x and the state.
    called : which it has when called.
    recurrent : whether it has a state.
    pooling : what follows it and makes one vector of its steps, or None.
    """

    name: str
    part: Any
    takes: frozenset[str]
    called: frozenset[str]
    recurrent: bool
    pooling: Pooling | None = None

    @property
    def batch_first(self) -> bool:
        """Whether sequences are (B, T, ...)."""
        part = self.part[0] if isinstance(self.part, Stack) else self.part
        return bool(getattr(part, "batch_first", False))


class Options:
    """The arguments of a call, less x and the state.

    Parameters
    ----------
    links : of the chain.
    given : by name.

    Raises
    ------
    ValueError, TypeError : an argument is none, or none of the parts takes it.
    """

    def __init__(self, links: Sequence[Link], given: Mapping[str, Any]) -> None:
        self._given: dict[str, Any] = {}
        for name, value in given.items():
            if name not in _SILENT:
                raise TypeError(f"{name}: expected one of {', '.join(_SILENT)}, got {name!r}")
            silent = _SILENT[name]
            if value is silent or (isinstance(value, str) and value == silent):
                continue
            if name not in _DISPENSABLE and not any(name in link.takes for link in links):
                raise ValueError(f"{name}: expected a model with a part that takes it, got none")
            self._given[name] = value
        self._recurrent = [link.name for link in links if link.recurrent]

    def of(self, link: Link, names: frozenset[str]) -> dict[str, Any]:
        """Return what a part is given of them."""
        found = {name: value for name, value in self._given.items() if name in names}
        if "reset_state" in found and not isinstance(found["reset_state"], str):
            found["reset_state"] = self.each("reset_state", found["reset_state"])[link.name]
        return found

    def each(self, name: str, value: Any) -> dict[str, Any]:
        """Return the state of each recurrent part: that of the only one, or of a tuple."""
        names = self._recurrent
        if value is None:
            return dict.fromkeys(names)
        if not names:
            raise ValueError(f"{name}: expected None, since no part has a state, got one")
        if len(names) == 1:
            return {names[0]: value}
        if not isinstance(value, (tuple, list)) or len(value) != len(names):
            wanted = f"a tuple of {len(names)}, one for each of {', '.join(names)}"
            found = f"{len(value)}" if isinstance(value, (tuple, list)) else type(value).__name__
            raise TypeError(f"{name}: expected {wanted}, got {found}")
        return dict(zip(names, value, strict=True))

    def joined(self, states: Mapping[str, Any]) -> Any:
        """Return the states of the recurrent parts in the form in which they are given."""
        found = tuple(states[name] for name in self._recurrent)
        return (found[0] if len(found) == 1 else found) if found else None

    def get(self, name: str) -> Any:
        """Return an argument, None where it says nothing."""
        return self._given.get(name)


def links_of(parts: Mapping[str, Any]) -> list[Link]:
    """Return a chain.

    Raises
    ------
    ValueError : the parts are none; the message says which does not fit, and why.
    """
    links: list[Link] = []
    for name, part in parts.items():
        if isinstance(part, Pooling):
            if not links or not links[-1].recurrent or links[-1].pooling is not None:
                raise ValueError(f"{name}: a Pooling has to follow a recurrent part")
            links[-1] = links[-1]._replace(pooling=part)
            continue
        link = _link(name, part)
        if any(one.pooling is not None for one in links) and link.recurrent:
            raise ValueError(f"{name}: it needs steps, and a Pooling has made one vector of them")
        links.append(link)
    below: str | None = None
    size: int | None = None
    for link in links:
        takes, makes = _sizes(link.part)
        if None not in (size, takes) and size != takes:
            raise ValueError(f"{link.name} takes vectors of {takes}, and {below} makes {size}")
        below, size = link.name, makes
    types = {np.dtype(part.dtype) for part in parts.values() if hasattr(part, "dtype")}
    if len(types) > 1:
        raise ValueError(f"its parts are of different dtypes, {sorted(map(str, types))}")
    layouts = {link.batch_first for link in links if link.recurrent}
    if len(layouts) > 1:
        raise ValueError("some of its parts have batch_first, and some have not")
    return links


def _link(name: str, part: Any) -> Link:
    """Return the link that a part is."""
    record = getattr(part, "record", None)
    if not callable(record):
        raise ValueError(f"{name} is of type {type(part).__name__}, which is not recorded")
    accepted = signature(record).parameters
    if any(one.default is one.empty and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
           for one in list(accepted.values())[1:]):  # fmt: skip
        raise ValueError(
            f"{name} is of type {type(part).__name__}, which takes more than one input"
        )
    called = signature(part).parameters if callable(part) else accepted
    takes, calls = (frozenset(_SILENT) & frozenset(one) for one in (accepted, called))
    return Link(name, part, takes, calls, "state" in accepted)


def _sizes(part: Any) -> tuple[int | None, int | None]:
    """Return how long the vectors are that a part takes and makes, where that is known."""
    if isinstance(part, RecurrentLayer):
        return part.input_size, bound_layer(part).values.shape[-1]
    takes = getattr(part, "input_size", getattr(part, "in_features", None))
    makes = [getattr(part, name, None) for name in ("output_size", "out_features", "embedding_dim")]
    return takes, next((size for size in makes if size is not None), None)


def step_parts(links: Sequence[Link]) -> tuple[Any, list[Any], Any] | None:
    """Return what `generate` runs one step at a time: what is first, recurrent parts, the head.

    Dropouts do nothing there, and the last of one step is that step. None where the chain does not
    begin, or does not end, with parts that have no state.

    Raises
    ------
    ValueError : a pooling needs all steps.
    """
    for link in links:
        if link.pooling is not None and link.pooling.kind != "last":
            raise ValueError(
                f"model: expected a pooling of 'last' to generate with, got {link.pooling.kind!r}, "
                "which looks at all steps"
            )
    kept = [link for link in links if not isinstance(link.part, Dropout)]
    last = max((place for place, link in enumerate(kept) if link.recurrent), default=0)
    before = [link.part for link in kept[: last + 1]]
    after = [link.part for link in kept[last + 1 :]]
    if not last or not after:
        return None

    def head(values: Array) -> Array:
        return reduce(lambda given, part: part(given), after, values)

    return before[0], before[1:], head


def record_link(link: Link, x: Array, state: Any, options: Options) -> Any:
    """Record one part of a chain; return its tape."""
    given = options.of(link, link.takes)
    return link.part.record(x, state, **given) if link.recurrent else link.part.record(x, **given)


def call_link(link: Link, x: Array, state: Any, options: Options) -> tuple[Array, Any]:
    """Call one part of a chain for inference; return its output, pooled, and its final state."""
    if not link.recurrent:
        return link.part(x, **options.of(link, link.called)), None
    output, after = link.part(x, state, **options.of(link, link.called))
    if link.pooling is None:
        return output, after
    if link.pooling.kind != "last":
        return pool_link(link, output, options).output, after
    try:
        return link.part.last_output(after), after
    except (AttributeError, ValueError):  # its output is more than its state: a tape knows it
        given = {n: v for n, v in options.of(link, link.takes).items() if n != "training"}
        return link.part.record(x, state, training=False, **given).last_output, after


def pool_link(link: Link, output: Array, options: Options) -> Pooled:
    """Pool the output of a recurrent part over its steps, in the caller's layout."""
    pooling = link.pooling
    unbatched = output.ndim == 2
    if output.ndim > 3 or pooling is None:
        raise ValueError("pooling: expected outputs (T, B, F), got merge='none'")
    steps = output[:, None] if unbatched else _time_first(link, output)
    pooled = pool(pooling.kind, steps, _real_steps(link, output, options))
    if not unbatched:
        return Pooled(pooled.output, lambda d: _time_first(link, pooled.back(d)))
    return Pooled(pooled.output[0], lambda d: pooled.back(d[None])[:, 0])


def _time_first(link: Link, sequence: Array) -> Array:
    """View (B, T, ...) as (T, B, ...), and back, where the part has `batch_first`."""
    return sequence.swapaxes(0, 1) if link.batch_first else sequence


def real_mask(link: Link, output: Array, options: Options) -> Array | None:
    """Return which steps of a recurrent part's output are real, in the caller's layout."""
    real = _real_steps(link, output, options)
    if real is None:
        return None
    return real[:, 0] if output.ndim == 2 else _time_first(link, real)


def _real_steps(link: Link, output: Array, options: Options) -> Array | None:
    """Return (T, B) bool: which steps of a recurrent part's output are real; None is all."""
    lengths, mask = options.get("lengths"), options.get("mask")
    if lengths is None and mask is None:
        return None
    unbatched = output.ndim == 2
    steps = output[:, None] if unbatched else _time_first(link, output)
    count, batch = steps.shape[:2]
    if lengths is not None:
        lengths = np.atleast_1d(as_lengths(lengths, count, None if unbatched else batch))
    if mask is not None:
        shape = output.shape[: 1 if unbatched else 2]
        mask = as_flags("mask", mask, ("T", "B")[: len(shape)], shape)
        mask = mask[:, None] if unbatched else _time_first(link, mask)
    return Steps.plan(count, batch, lengths, mask, None, reverse=False).real
