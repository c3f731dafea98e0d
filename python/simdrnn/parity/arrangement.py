"""Putting what another package returns into the form of ours, and gradients into that of theirs."""

from __future__ import annotations

import numpy as np

from simdrnn.validate import Array

__all__ = ["Arranged"]


class Arranged:
    """Their results by the names of ours, and the way back for gradients.

    Attributes
    ----------
    results : name -> array, shaped as ours where that can be done. An output of the last step
        only is named ``"last output"``.
    notes : what could not be matched.
    """

    def __init__(
        self, raw: list[Array], ours: dict[str, Array], swap: bool, directions: int
    ) -> None:
        """Match them.

        Parameters
        ----------
        raw : the output, and what came with it.
        ours : output and states by name; the output has the axes of our layer.
        swap : whether their batch axis is where our time axis is.
        directions : D.
        """
        self.results: dict[str, Array] = {}
        self.notes: list[str] = []
        self._raw, self._swap, self._directions = raw, swap, directions
        self._names = [name for name in ours if name.startswith("state")]
        self._shapes = {name: ours[name].shape for name in self._names}
        self._take_output(ours["output"])
        self._form = self._take_states()

    def _take_output(self, ours: Array) -> None:
        """Read the first result."""
        output = self._raw[0]
        if output.ndim == 4 and output.shape[1] == self._directions:  # ONNX: (T, D, B, H)
            T, D, B, H = output.shape
            output = output.swapaxes(1, 2).reshape(T, B, D * H)
        elif output.ndim == 3 and self._swap:
            output = output.swapaxes(0, 1)
        last = output.ndim == 2 and ours.ndim == 3
        self.results["last output" if last else "output"] = output

    def _take_states(self) -> str:
        """Read the rest; return the form that they have."""
        rest = self._raw[1:]
        if not rest:
            return "none"
        shapes = [one.shape for one in rest]
        if shapes == [*self._shapes.values()]:
            self.results |= dict(zip(self._names, rest, strict=True))
            return "stacked"
        split = [self._shapes[n][1:] for _ in range(self._directions) for n in self._names]
        layers = {shape[0] for shape in self._shapes.values()}
        if shapes == split and layers == {self._directions}:  # Keras: by direction, then h and c
            count = len(self._names)
            for k, name in enumerate(self._names):
                self.results[name] = np.stack(rest[k::count])
            return "split"
        self.notes.append(
            "states: not compared, as theirs come as "
            f"{', '.join(map(str, shapes))} and ours as "
            f"{', '.join(map(str, self._shapes.values()))}"
        )
        return "unknown"

    def d_results(self, d_output: Array, d_states: tuple[Array, ...]) -> list[Array | None]:
        """Return gradients of the loss by what they returned, from those by our results."""
        swapped = d_output.swapaxes(0, 1) if self._swap else d_output
        rest: list[Array | None] = [None] * (len(self._raw) - 1)
        if self._form == "stacked":
            rest = [*d_states]
        elif self._form == "split":
            rest = [one[d] for d in range(self._directions) for one in d_states]
        return [np.ascontiguousarray(swapped), *rest]

    @property
    def has_states(self) -> bool:
        """Whether states are compared."""
        return self._form in ("stacked", "split")
