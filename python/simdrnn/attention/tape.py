"""A recorded call of attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simdrnn.attention.arguments import Asked
from simdrnn.attention.version import Attended, Back
from simdrnn.engine.borrowed import Borrowed
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.parameters import this_thread
from simdrnn.layers.parametrised import Parametrised, parameters_of
from simdrnn.layers.recording import check_same, check_unchanged
from simdrnn.validate import Array, as_array, check_shape

__all__ = ["AttentionGradients", "AttentionTape"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AttentionGradients(Gradients):
    """Gradients of one recorded call of attention, or of a decoder with it.

    Attributes
    ----------
    x : gradient for the queries, in their shape; of a decoder None, whose tokens have none.
    memory : gradient for the memory, in its shape: what the encoder is to be given as its
        ``d_output``; 0 at positions that are not real.
    params : gradients for the parameters, by name.
    state : of a decoder, the gradient for the state given; else None.
    """

    __module__ = "simdrnn"

    memory: Array


class AttentionTape:
    """One recorded call; made by ``attention.record``.

    Attributes
    ----------
    output : (T, B, M), laid out like the queries: the weighted sums.
    weights : (T, B, S), read-only, because `backward` reads them; exactly 0 at positions that are
        not real.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> tape = sr.Attention().record(np.ones((2, 4), "float32"), np.ones((3, 2, 4), "float32"))
    >>> grads = tape.backward(d_output=np.ones((2, 4), "float32"))
    >>> grads.memory[:, 0, 0]
    array([0.33333334, 0.33333334, 0.33333334], dtype=float32)
    """

    __slots__ = (
        "_asked", "_attended", "_borrowed", "_module", "_thread", "_version", "output", "weights",
    )  # fmt: skip

    def __init__(self, module: Parametrised, asked: Asked, attended: Attended) -> None:
        self._module, self._asked, self._attended = module, asked, attended
        self._version, self._thread = attended.version.packed.version, this_thread()
        ready = attended.ready
        named = {"query": asked.query, "memory": ready.memory.values}
        self._borrowed = Borrowed(named, ready.threads)
        attended.weights.flags.writeable = False
        self.output: Array = asked.caller(attended.context)
        self.weights: Array = asked.caller(attended.weights.view())

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle what was given; what was packed is packed again."""
        return _again, (self._module, self._asked, self._attended.ready.threads, self._version)

    def backward(self, d_output: object = None, d_weights: object = None) -> AttentionGradients:
        """Return the gradients; may be called more than once.

        Parameters
        ----------
        d_output : dL/d(output), of its shape; None is zero.
        d_weights : dL/d(weights), of their shape; None is zero. At positions that are not real it
            is not looked at.

        Returns
        -------
        Gradients with ``x``, for the queries, ``memory`` and ``params``.

        Raises
        ------
        ValueError : the thread that recorded it has changed the parameters since; or `query` or
            `memory` changed, which the tape refers to.
        """
        asked, attended = self._asked, self._attended
        check_unchanged(parameters_of(self._module), self._thread, self._version)
        self._borrowed.check()
        d_context = self._given("d_output", d_output, attended.context, "M")
        d_found = None
        if d_weights is not None:
            d_found = self._given("d_weights", d_weights, attended.weights, "S")
        back = Back(attended, asked.query)
        d_query = back.step(slice(None), d_context, d_found)
        d_memory, params = back.finish()
        own = {name: params[name] for name in self._module.parameters()}
        return AttentionGradients(
            asked.caller(d_query), None, own, memory=asked.memory.caller(d_memory)
        )

    def _given(self, name: str, value: object, like: Array, letter: str) -> Array:
        """Check a gradient and view it as (N, B, ...)."""
        if value is None:
            return np.zeros_like(like)
        array = as_array(name, value, like.dtype)
        letters, shape = self._asked.letters(letter), self._asked.shape(like.shape[-1])
        check_shape(name, array, letters, shape)
        return self._asked.steps_first(array)


def _again(module: Any, asked: Asked, threads: int, version: int | None) -> AttentionTape:
    """Record a call again, of the same version of the parameters."""
    check_same(parameters_of(module).version, version)
    memory = asked.memory
    mask = None if memory.real is None else memory.caller(memory.real)
    query, values = asked.caller(asked.query), memory.caller(memory.values)
    tape: AttentionTape = module.record(query, values, mask=mask, num_threads=threads or None)
    return tape
