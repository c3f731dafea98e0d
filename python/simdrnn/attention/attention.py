"""`simdrnn.Attention`: what of a memory a query is answered with."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.attention.affine import Maps
from simdrnn.attention.arguments import Asked, as_memory, as_queries
from simdrnn.attention.kinds import KINDS, Kind
from simdrnn.attention.tape import AttentionTape
from simdrnn.attention.version import Attended, AttentionVersion
from simdrnn.engine.packing import Packing
from simdrnn.layers.parametrised import Parametrised
from simdrnn.spec.parameters import check_memory
from simdrnn.validate import (
    Array,
    as_bool,
    as_dtype,
    as_finite_number,
    as_positive,
    as_seed,
    as_threads,
    check_choice,
)

__all__ = ["Attention", "version_of"]


class Attention(Parametrised):
    """Weights of the positions of a memory for each query, and their weighted sum.

    With queries q (Q) and positions m (M) of a memory of S, the weights are the softmax over the
    positions of a score:

    | `kind` | score | parameters |
    |---|---|---|
    | ``"dot"`` | scale * (q . m), so that Q = M | none |
    | ``"general"`` | scale * (W q) . m | ``weight`` W |
    | ``"additive"`` | v . tanh(W q + U m + b) | ``weight_query`` W, ``weight_memory`` U, b, v |

    Parameters
    ----------
    kind : see above.
    query_size, memory_size : Q and M. ``"dot"`` does without; for the others M is Q if not given.
    attention_size : A, for ``"additive"`` alone; Q if not given.
    scale : what products are multiplied by: None is ``1 / sqrt(Q)`` for ``"dot"``, as in PyTorch's
        `scaled_dot_product_attention`, and 1 for ``"general"``; Luong's dot product has 1.
    batch_first : whether queries, memory and results have the batch before the steps.
    dtype : float32 or float64, of parameters, arguments and results.
    seed : non-negative integer that fixes the initial values, or None for different ones.

    Attributes
    ----------
    weight : W (M, Q) of ``"general"``.
    weight_query, weight_memory, bias, weight_score : W (A, Q), U (A, M), b (A,) and v (A,) of
        ``"additive"``. All start uniform in ``±1 / sqrt(n)``, n the length of a row; b as W.

    Notes
    -----
    A position that `lengths` or `mask` leaves out has the weight 0, exactly, and what stands there
    is not looked at; a row without any other gets zeros. The bits of a row's results depend on no
    other row, on no padding and on no threads, as those of layers.

    References
    ----------
    Bahdanau, Cho and Bengio 2015, arXiv:1409.0473 (additive); Luong, Pham and Manning 2015,
    arXiv:1508.04025 (dot, general); Vaswani et al. 2017, arXiv:1706.03762 (the scale).

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> attention = sr.Attention("general", query_size=4, memory_size=6, seed=0)
    >>> query, memory = np.ones((3, 2, 4), "float32"), np.ones((5, 2, 6), "float32")
    >>> tape = attention.record(query, memory, lengths=[5, 2])
    >>> tape.output.shape, tape.weights.shape
    ((3, 2, 6), (3, 2, 5))
    >>> tape.weights[0, 1]
    array([0.5, 0.5, 0. , 0. , 0. ], dtype=float32)
    >>> grads = tape.backward(np.ones_like(tape.output))
    >>> grads.x.shape, grads.memory.shape, grads.params["weight"].shape
    ((3, 2, 4), (5, 2, 6), (6, 4))
    """

    __module__ = "simdrnn"

    kind: str
    query_size: int | None
    memory_size: int | None
    attention_size: int | None
    scale: float | None
    batch_first: bool

    _fixed = frozenset(
        {"kind", "query_size", "memory_size", "attention_size", "scale", "batch_first"}
    )
    _made = frozenset({"_kind", "_packing"})

    def __init__(
        self,
        kind: str = "dot",
        query_size: int | None = None,
        memory_size: int | None = None,
        attention_size: int | None = None,
        *,
        scale: float | None = None,
        batch_first: bool = False,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        check_choice("kind", kind, KINDS)
        self.kind, of_kind = kind, KINDS[kind]
        self.query_size, self.memory_size = _sizes(of_kind, query_size, memory_size)
        self.attention_size = _attention_size(of_kind, attention_size, self.query_size)
        self.scale = _scale(of_kind, scale)
        self.batch_first = as_bool("batch_first", batch_first)
        self.dtype = as_dtype(dtype)
        self._kind = made = of_kind(
            self.query_size or 0, self.memory_size or 0, self.attention_size or 0,
            of_kind.usual_scale if self.scale is None else self.scale,
        )  # fmt: skip
        for spec in made.specs():
            check_memory(math.prod(spec.shape), query_size=made.query_size)
        rng, bounds = np.random.default_rng(as_seed(seed)), made.bounds()
        specs = made.specs()
        self._own_parameters(
            specs,
            lambda: {
                spec.name: rng.uniform(-bounds[spec.name], bounds[spec.name], spec.shape)
                for spec in specs
            },
        )
        maps = partial(made.maps, self._own.arrays)
        self._packing = Packing(Maps(self.dtype, len(maps())), self._own, maps)

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, less the seed of the initial values."""
        sizes = {"query_size": self.query_size, "memory_size": self.memory_size}
        return {
            "kind": self.kind, **sizes, "attention_size": self.attention_size,
            "scale": self.scale, "batch_first": self.batch_first, "dtype": self.dtype.name,
        }  # fmt: skip

    def __setattr__(self, name: str, value: object) -> None:
        """Check and copy what is assigned to a parameter."""
        own = self.__dict__.get("_own")
        if own is not None and name in {"weight", "bias"} and name not in own.specs:
            raise AttributeError(
                f"{name}: expected a parameter of kind {self.kind!r}, which has {list(own.specs)}"
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        """Show the constructor's arguments that are not the default."""
        told = self._configuration()
        shown = [repr(told.pop("kind"))]
        usual = {"batch_first": False, "dtype": "float32"}
        shown += [f"{n}={v!r}" for n, v in told.items() if v is not None and v != usual.get(n)]
        return f"Attention({', '.join(shown)})"

    def __call__(
        self,
        query: npt.ArrayLike,
        memory: npt.ArrayLike,
        *,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> tuple[Array, Array]:
        """Return the weighted sums of the memory, and the weights.

        Parameters
        ----------
        query : (T, B, Q), or (B, Q) for one query of each row; with ``batch_first`` (B, T, Q).
        memory : (S, B, M), the outputs of an encoder; with ``batch_first`` (B, S, M). Without a
            batch (S, M), and `query` (T, Q) or (Q,).
        lengths : (B,) integers in [0, S], how many positions of each row are real.
        mask : (S, B) bool, laid out like `memory`: True where a position is real.
        num_threads : as in calls of layers: None leaves the choice to the engine.

        Returns
        -------
        (context, weights): (T, B, M) and (T, B, S), laid out like `query`.

        Raises
        ------
        TypeError, ValueError : an argument does not fit.
        """
        asked, attended = self._attend(query, memory, lengths, mask, num_threads)
        return asked.caller(attended.context), asked.caller(attended.weights)

    def record(
        self,
        query: npt.ArrayLike,
        memory: npt.ArrayLike,
        *,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> AttentionTape:
        """Run forward and keep what back-propagation needs.

        Parameters
        ----------
        query, memory, lengths, mask, num_threads : as when calling. The tape refers to `query` and
            `memory`: leave them as they are until the last ``backward``, which notices if one of
            them was written to.

        Returns
        -------
        AttentionTape with ``output``, ``weights`` and ``backward``.
        """
        asked, attended = self._attend(query, memory, lengths, mask, num_threads)
        return AttentionTape(self, asked, attended)

    def _attend(
        self, query: object, memory: object, lengths: object, mask: object, threads: object
    ) -> tuple[Asked, Attended]:
        """Check the arguments of a call and run it."""
        given = as_memory(self, memory, lengths, mask)
        asked = as_queries(self, query, given)
        return asked, self._answer(asked, as_threads(threads))

    def _answer(self, asked: Asked, threads: int) -> Attended:
        """Answer queries with the present parameters."""
        version, memory = self._version(), asked.memory
        return version.attend(asked.query, version.ready(memory.values, memory.real, threads))

    def _version(self) -> AttentionVersion:
        """Return the attention with its present parameters."""
        return AttentionVersion(self._kind, self._packing.ready())


def version_of(attention: Attention) -> AttentionVersion:
    """Return an attention with its present parameters."""
    return attention._version()


def _sizes(
    kind: type[Kind], query_size: int | None, memory_size: int | None
) -> tuple[int | None, int | None]:
    """Return Q and M, as far as they are known."""
    query = None if query_size is None else as_positive("query_size", query_size)
    memory = None if memory_size is None else as_positive("memory_size", memory_size)
    if "query_size" in kind.sizes:
        if query is None:
            raise ValueError(
                f"query_size: expected a positive integer for kind {kind.name!r}, got None"
            )
        return query, query if memory is None else memory
    if query is not None and memory is not None and query != memory:
        raise ValueError(
            f"memory_size: expected query_size = {query} for kind {kind.name!r}, got {memory}"
        )
    size = memory if query is None else query
    return size, size


def _attention_size(kind: type[Kind], value: int | None, query_size: int | None) -> int | None:
    """Return A, where the kind has such."""
    if kind.scaled:
        if value is not None:
            raise ValueError(f"attention_size: expected None for kind {kind.name!r}, got {value!r}")
        return None
    return query_size if value is None else as_positive("attention_size", value)


def _scale(kind: type[Kind], value: float | None) -> float | None:
    """Return the scale given."""
    if value is None:
        return None
    if not kind.scaled:
        raise ValueError(f"scale: expected None for kind {kind.name!r}, got {value!r}")
    return as_finite_number("scale", value)
