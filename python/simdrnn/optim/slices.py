"""Gradients of several workers with the bits of one.

A sum in floating point depends on its order. Here a batch is cut into slices, as many for any
number of workers, and their gradients are added along one binary tree: a worker adds those of its
own slices, which are a branch of it, and the workers add their branches two by two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from simdrnn.layers.gradients import Gradients
from simdrnn.training.trainable import as_floats
from simdrnn.validate import Array, array_of, as_iterable, as_positive

__all__ = ["Exchange", "TreeMean"]

Exchange: TypeAlias = Callable[[Array, int], Array]


class TreeMean:
    """The mean over the slices of a batch, whose bits do not depend on how many workers share them.

    An optimiser takes it as ``all_reduce``. Each worker records its slices one by one, hands their
    gradients to `sum` in that order, and the sum to `Optimizer.step`.

    Parameters
    ----------
    slices : S, a power of two: how many slices a batch is cut into. Training with another S gives
        other bits, training with another number of workers does not: except with dropout or noise,
        which is drawn by the number of the call, and a worker calls once for each of its slices.
    rank, ranks : which worker this is, of how many; `ranks` is a power of two and at most S.
    exchange : ``exchange(buffer, partner)`` sends a flat contiguous array to the worker `partner`,
        which sends its own at that time, and returns what came, an array of the same shape and
        dtype. It is called log2(ranks) times for each buffer, and is not needed for one worker.

    Raises
    ------
    ValueError, TypeError : a number is no power of two or does not fit the others, or `exchange` is
        missing.

    Examples
    --------
    Alone; `examples/data_parallel_mpi.py` has an exchange.

    >>> import numpy as np, simdrnn as sr
    >>> layer, x = sr.GRU(3, 4, seed=0), np.ones((5, 8, 3), "float32")
    >>> mean = sr.optim.TreeMean(4)
    >>> optimizer = sr.optim.SGD(layer, lr=0.1, all_reduce=mean)
    >>> def gradients(rows):
    ...     tape = layer.record(x[:, rows])
    ...     return tape.backward(np.ones_like(tape.output))
    >>> optimizer.step(mean.sum(gradients(rows) for rows in mean.rows(8)))
    """

    __module__ = "simdrnn.optim"

    def __init__(
        self, slices: int, *, rank: int = 0, ranks: int = 1, exchange: Exchange | None = None
    ) -> None:
        self._slices = _power_of_two("slices", slices)
        self._ranks = _power_of_two("ranks", ranks)
        if self._ranks > self._slices:
            raise ValueError(f"ranks: expected at most slices={slices}, got {ranks}")
        if isinstance(rank, bool) or not isinstance(rank, (int, np.integer)):
            raise TypeError(f"rank: expected an integer, got {type(rank).__name__}")
        if not 0 <= rank < self._ranks:
            raise ValueError(f"rank: expected 0 <= rank < ranks={ranks}, got {rank}")
        if exchange is None and self._ranks > 1:
            raise ValueError(f"exchange: expected a callable for {ranks} ranks, got None")
        if exchange is not None and not callable(exchange):
            raise TypeError(f"exchange: expected a callable, got {type(exchange).__name__}")
        self._rank = int(rank)
        self._exchange = exchange

    def __repr__(self) -> str:
        """Show the numbers."""
        return f"TreeMean({self._slices}, rank={self._rank}, ranks={self._ranks})"

    def rows(self, batch_size: int) -> list[slice]:
        """Return which rows of a batch are the slices of this worker.

        Parameters
        ----------
        batch_size : B, of all workers together, a multiple of the number of slices.

        Returns
        -------
        Slices of the axis B, in the order in which `sum` takes their gradients.

        Raises
        ------
        ValueError : B is no multiple.
        """
        size, rest = divmod(as_positive("batch_size", batch_size), self._slices)
        if rest:
            raise ValueError(
                f"batch_size: expected a multiple of slices={self._slices}, got {batch_size}"
            )
        own = self._slices // self._ranks
        first = self._rank * own
        return [slice(n * size, (n + 1) * size) for n in range(first, first + own)]

    def sum(self, grads: Iterable[Any]) -> Any:
        """Return the sum of the gradients of this worker's slices.

        Parameters
        ----------
        grads : for each of `rows`, in that order, what `Optimizer.step` takes. A generator will do:
            no more than log2 of their number are kept.

        Returns
        -------
        Gradients in the same structure, dicts in place of `Gradients`. New arrays.

        Raises
        ------
        ValueError, TypeError : they are not as many as `rows`, or of different structures.
        """
        branches: list[tuple[int, Any]] = []  # (how many are in it, their sum), larger ones first
        count = 0
        for one in as_iterable("grads", grads, "gradients of several slices"):
            branch = (1, _arrays(one))
            while branches and branches[-1][0] == branch[0]:
                size, earlier = branches.pop()
                branch = (2 * size, _add(earlier, branch[1]))
            branches.append(branch)
            count += 1
        if count != self._slices // self._ranks:
            expected = self._slices // self._ranks
            raise ValueError(f"grads: expected one for each of {expected} slices, got {count}")
        return branches[0][1]

    def __call__(self, buffer: Array) -> None:
        """Replace the sum over this worker's slices by the mean over all, in place.

        Parameters
        ----------
        buffer : flat, contiguous, of floats: all gradients of a dtype; or a loss, summed likewise.

        Raises
        ------
        ValueError : `exchange` returned an array of another shape or dtype.
        """
        stride = 1
        while self._exchange is not None and stride < self._ranks:
            partner = self._rank ^ stride
            other = array_of("exchange", self._exchange(buffer, partner), "an array of it")
            if other.shape != buffer.shape or other.dtype != buffer.dtype:
                raise ValueError(
                    f"exchange: expected shape {buffer.shape} of {buffer.dtype} from worker "
                    f"{partner}, got {other.shape} of {other.dtype}"
                )
            # In the order of ranks, and not in place: a sum of two NaNs has the bits of one of
            # them, which both partners have to agree on.
            pair = (buffer, other) if self._rank < partner else (other, buffer)
            with np.errstate(all="ignore"):
                buffer[...] = np.add(*pair)
            stride *= 2
        buffer *= buffer.dtype.type(1.0 / self._slices)


def _power_of_two(name: str, value: object) -> int:
    """Return `value` if it is a power of two."""
    number = as_positive(name, value)
    if number & (number - 1):
        raise ValueError(f"{name}: expected a power of two, got {number}")
    return number


def _arrays(grads: Any) -> Any:
    """Return gradients in their structure, with dicts for what backward returned."""
    if isinstance(grads, Gradients):
        return _arrays(grads.params)
    if isinstance(grads, Mapping):
        return {name: as_floats(f"grads[{name!r}]", one) for name, one in grads.items()}
    if isinstance(grads, (list, tuple)):
        return [_arrays(one) for one in grads]
    return np.array(as_floats("grads", grads))


def _add(one: Any, other: Any) -> Any:
    """Return the sum of two structures of arrays."""
    if type(one) is not type(other):
        names = f"{type(one).__name__}, got {type(other).__name__}"
        raise TypeError(f"grads: expected the structure of the first slice, {names}")
    if isinstance(one, dict):
        if one.keys() != other.keys():
            raise ValueError(f"grads: expected names {sorted(one)}, got {sorted(other)}")
        return {name: _add(one[name], other[name]) for name in one}
    if isinstance(one, list):
        if len(one) != len(other):
            raise ValueError(f"grads: expected a list of {len(one)}, got {len(other)}")
        return [_add(*pair) for pair in zip(one, other, strict=True)]
    if one.shape != other.shape or one.dtype != other.dtype:
        raise ValueError(
            f"grads: expected shape {one.shape} of {one.dtype}, got {other.shape} of {other.dtype}"
        )
    with np.errstate(all="ignore"):  # what is not finite stays so, silently, as in `step`
        return np.asarray(one + other)
