"""What the engine would do with a call, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from simdrnn.engine.compiled import Packed, thread_runtime
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.validate import as_count, as_lengths, as_threads

__all__ = ["Explanation", "PassPlan", "explain", "explained"]

# What each schedule of the engine does; csrc/engine/plan.cpp chooses.
_SCHEDULES = {
    "one_thread": "one thread runs everything",
    "rows": "{threads} threads, each with rows of its own over all steps, meeting nobody",
    "units": "{threads} threads share the hidden units of all rows and meet at every step",
    "directions": "both directions side by side, a thread each",
    "layers": "a pipeline on {threads} threads: each layer {chunk} steps behind the one below",
}
_REASONS = {
    "one_allowed": "one thread is allowed (num_threads, set_num_threads, OMP_NUM_THREADS, CPUs)",
    "little_work": "there is too little work to be worth waking a second thread",
    "little_step": "a step is too short for threads to meet in it",
    "many_rows": "there are rows enough for every thread",
    "few_rows": "rows are few, and each thread then reads only its share of the weights",
    "heavy_weights": "the weights outgrow a core's caches: each thread reads only its share",
    "uneven_rows": "lengths differ too much for a cut by rows that keeps every thread busy",
    "several_passes": "this keeps the threads busier than sharing one step would",
}


@dataclass(frozen=True, slots=True)
class PassPlan:
    """How forward or backward is cut into work.

    Attributes
    ----------
    schedule : ``"one_thread"``, ``"rows"``, ``"units"``, ``"directions"`` or ``"layers"``.
    why : why it was chosen: a key, as `schedule` is.
    threads : how many threads it keeps busy.
    hoisted_steps : forward: for how many steps the input product W x is formed at once; 0 where it
        is part of every step.
    chunk : steps between two looks at Ctrl-C; in backward, steps whose gate gradients are kept.
    """

    schedule: str
    why: str
    threads: int
    hoisted_steps: int
    chunk: int

    def __str__(self) -> str:
        """Say it in a sentence."""
        what = _SCHEDULES[self.schedule].format(threads=self.threads, chunk=self.chunk)
        return f"{what}, because {_REASONS[self.why]}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What `explain` found out; ``print`` it.

    Attributes
    ----------
    call : the layer and the sizes, in words.
    isa : instruction set of the kernels.
    threads : whose threads a second one would be: see `simdrnn.set_threading`.
    tile : rows and columns of the register tile: so many rows of the batch, and gates of hidden
        units, are computed at once.
    forward, backward : how each is cut into work.
    packed_bytes : the weights in the order the kernels read them, kept until they change: what
        forward reads, and once a call was recorded about as much for backward.
    workspace_bytes : working memory of a call besides arguments, results and tape.
    weights : how calls find out that packed weights are the present ones; empty for layers of our
        own, whose parameters cannot be written to unseen.
    """

    call: str
    isa: str
    threads: str
    tile: tuple[int, int]
    forward: PassPlan
    backward: PassPlan
    packed_bytes: int
    workspace_bytes: int
    weights: str = ""

    def __str__(self) -> str:
        """Lay everything out on a few lines."""
        rows, columns = self.tile
        hoisted = self.forward.hoisted_steps
        product = f"for {hoisted} steps at once" if hoisted else "within every step"
        return "\n".join(
            (
                self.call,
                f"  forward   {_broken(self.forward)}",
                f"            input product {product}",
                f"  backward  {_broken(self.backward)}",
                f"            weight gradients once in {self.backward.chunk} steps",
                f"  threads   {self.threads}",
                f"  kernels   {self.isa}, register tile {rows} rows x {columns} columns",
                f"  memory    {_size(self.packed_bytes)} packed weights, "
                f"{_size(self.workspace_bytes)} workspace",
                *([f"  weights   {self.weights}"] if self.weights else []),
            )
        )


def explain(
    layer: RecurrentLayer,
    T: int,
    B: int,
    *,
    lengths: npt.ArrayLike | None = None,
    num_threads: int | None = None,
) -> Explanation:
    """Say how a call of a layer would be run, and why.

    Nothing is run. The schedule never changes a bit of any result.

    Parameters
    ----------
    layer : `RNN`, `LSTM` or `GRU` of the compiled engine, or a layer of `simdrnn.torch`.
    T, B : steps and batch size of the call.
    lengths : (B,) integers, as in the call: rows of different lengths may be shared differently.
    num_threads : as in the call; None leaves the choice to the engine.

    Returns
    -------
    Explanation

    Raises
    ------
    TypeError : `layer` is not a layer of the compiled engine.
    ValueError : a size is negative, `lengths` does not fit, or the layer's structure makes it run
        its layers one by one.

    Examples
    --------
    >>> import simdrnn as sr
    >>> found = sr.explain(sr.LSTM(64, 256), T=100, B=32, num_threads=1)
    >>> found.forward.schedule, found.forward.why
    ('one_thread', 'one_allowed')
    >>> print(found.forward)  # doctest: +ELLIPSIS
    one thread runs everything, because one thread is allowed ...
    """
    if not isinstance(layer, RecurrentLayer) and callable(getattr(layer, "explain", None)):
        found: Explanation = layer.explain(T, B, lengths=lengths, num_threads=num_threads)
        return found
    _check(layer)
    engine = bound_layer(layer).ready() if isinstance(layer, RecurrentLayer) else None
    if not isinstance(engine, Packed):
        raise TypeError(
            "layer: expected an RNN, LSTM or GRU of the compiled engine, got "
            f"{_kind(layer)}{_within(layer)}"
        )
    workspace = layer.workspace_bytes(T, B)  # refuses sizes no call could have
    return explained(engine, repr(layer), T, B, lengths, as_threads(num_threads), workspace)


def explained(
    engine: Packed,
    layer: str,
    T: int,
    B: int,
    lengths: npt.ArrayLike | None,
    threads: int,
    workspace: int,
    weights: str = "",
) -> Explanation:
    """Say it of an engine that holds the weights of a layer; `threads` = 0 leaves it the choice."""
    steps, batch = as_count("T", T), as_count("B", B)
    rows = None if lengths is None else as_lengths(lengths, steps, batch)
    passes = [PassPlan(**engine.explain(steps, batch, way, threads, rows)) for way in (True, False)]
    return Explanation(
        call=f"{layer}, T={steps}, B={batch}",
        isa=engine.isa(),
        threads=thread_runtime(),
        tile=engine.tile(),
        forward=passes[0],
        backward=passes[1],
        packed_bytes=engine.packed_bytes(),
        workspace_bytes=workspace,
        weights=weights,
    )


def _check(layer: object) -> None:
    """Raise if more than one engine runs the layer."""
    structure = getattr(layer, "structure", None)
    if structure is not None and structure.composed:
        raise ValueError(
            "layer: expected one that its engine runs as a whole, without merge, residual and "
            f"reverse, got {layer!r}"
        )


def _broken(plan: PassPlan) -> str:
    """Put the reason on a line of its own."""
    return str(plan).replace(", because", ",\n            because")


def _within(value: Any) -> str:
    """Say which parts of a model would do."""
    parts = getattr(value, "parts", None)
    known = parts.items() if isinstance(parts, Mapping) else ()
    found = [f"model.{name}" for name, part in known if isinstance(part, RecurrentLayer)]
    return f"; give it {' or '.join(found)}" if found else ""


def _kind(value: Any) -> str:
    """Name what came, with the module where that tells engines apart."""
    kind = type(value)
    return f"{kind.__module__}.{kind.__qualname__}"


def _size(count: int) -> str:
    """Return bytes in the unit that people would use."""
    for unit, bytes_ in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= bytes_:
            return f"{count / bytes_:.1f} {unit}"
    return f"{count} bytes"
