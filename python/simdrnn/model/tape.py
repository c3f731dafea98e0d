"""A recorded call of a chain of parts, from which gradients are propagated back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simdrnn.layers.gradients import Gradients
from simdrnn.model.chain import Link, Options, pool_link, real_mask, record_link
from simdrnn.model.parts import Parts
from simdrnn.training.modules import Embedding
from simdrnn.validate import Array, as_array, check_shape

__all__ = ["ModelGradients", "ModelTape"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelGradients(Gradients):
    """Gradients of one recorded call of a `Model`.

    Attributes
    ----------
    x : gradient for the input; None where that is integers.
    state, reset_state : of the recurrent part, in its form; a tuple where there are several.
    params : by the model's names, of what is not frozen; tied parameters have the sum.
    parts : name -> what that part's tape returned, frozen parameters among them.
    """

    parts: dict[str, Gradients] = field(default_factory=dict, kw_only=True)


class ModelTape:
    """One recorded call of a `Model`; made by ``model.record``.

    Attributes
    ----------
    output : of the last part.
    state : final state of the recurrent part, in its form; a tuple where there are several.
    tapes : name -> tape of that part.
    mask : which steps of `output` are real, (T, B) laid out like ``x``, as losses take it; None
        where all are, or a `Pooling` has made one vector of them.
    """

    __slots__ = ("_links", "_options", "_parts", "_pooled", "mask", "output", "state", "tapes")

    def __init__(
        self, links: Sequence[Link], x: Any, states: Mapping[str, Any], options: Options,
        parts: Parts,
    ) -> None:  # fmt: skip
        self._links, self._options, self._parts = links, options, parts
        self._pooled: dict[str, Callable[[Array], Array]] = {}
        self.tapes: dict[str, Any] = {}
        self.mask: Array | None = None
        given = x
        for link in links:
            tape = record_link(link, given, states.get(link.name), options)
            self.tapes[link.name] = tape
            given = self._handed_on(link, tape)
        self.output: Array = given
        self.state = options.joined(
            {n: t.state for n, t in self.tapes.items() if hasattr(t, "state")}
        )

    def _handed_on(self, link: Link, tape: Any) -> Array:
        """Return what the next part is given, and note how its gradient comes back."""
        output: Array = tape.output
        if link.recurrent:
            self.mask = None if link.pooling else real_mask(link, output, self._options)
        if link.pooling is None:
            return output
        if link.pooling.kind == "last":
            return tape.last_output  # type: ignore[no-any-return]
        pooled = pool_link(link, output, self._options)
        self._pooled[link.name] = pooled.back
        return pooled.output

    @property
    def nbytes(self) -> int:
        """Bytes that the tapes of recurrent parts keep for `backward`."""
        return sum(getattr(tape, "nbytes", 0) for tape in self.tapes.values())

    def backward(self, d_output: object = None, d_state: object = None) -> ModelGradients:
        """Propagate gradients back through the recorded call. May be called again.

        Parameters
        ----------
        d_output : dL/d(output), of its shape; None is zero.
        d_state : dL/d(state), in its form; None is zero.

        Returns
        -------
        ModelGradients. The first part's are not made where all its parameters are frozen and its
        input is integers.

        Raises
        ------
        ValueError : the thread that recorded it has changed a part's parameters since, or an
            argument of the call was written to.
        """
        options = self._options
        if d_output is None:
            below: Any = np.zeros_like(self.output)
        else:
            below = as_array("d_output", d_output, self.output.dtype)
            check_shape("d_output", below, ("...",), self.output.shape)
        d_states = options.each("d_state", d_state)
        grads: dict[str, Gradients] = {}
        for link in reversed(self._links):
            tape = self.tapes[link.name]
            if isinstance(link.part, Embedding) and self._parts.idle(link.name):
                grads[link.name] = Gradients(None, None, {})
            elif not link.recurrent:
                grads[link.name] = tape.backward(below)
            elif link.pooling is None:
                grads[link.name] = tape.backward(below, d_states[link.name])
            elif link.name in self._pooled:
                d_steps = np.ascontiguousarray(self._pooled[link.name](below))
                grads[link.name] = tape.backward(d_steps, d_states[link.name])
            else:
                grads[link.name] = tape.backward(None, d_states[link.name], below)
            below = grads[link.name].x
        recurrent = [link.name for link in self._links if link.recurrent]
        resets = {name: grads[name].reset_state for name in recurrent}
        given = any(one is not None for one in resets.values())
        attention: Array | None = None
        for name in recurrent:
            own = grads[name].attention
            attention = own if attention is None or own is None else attention + own
        return ModelGradients(
            below,
            options.joined({name: grads[name].state for name in recurrent}),
            self._parts.gradients(grads),
            reset_state=options.joined(resets) if given else None, attention=attention,
            parts=grads,
        )  # fmt: skip
