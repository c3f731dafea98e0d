"""What the front end and the engines must know about a cell: names, counts, what gates do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

__all__ = ["CellInfo", "compiled_cells"]


class OwnParameter(NamedTuple):
    """What a cell has beside weights and biases: a value per unit, or one for all of them."""

    name: str
    shared: bool
    initial: tuple[float, float] | None

    @classmethod
    def parse(cls, text: str) -> OwnParameter:
        """Read one word of `CellInfo.parameters`."""
        name, _, value = text.partition("=")
        low, _, high = value.partition("..")
        initial = (float(low), float(high or low)) if value else None
        return cls(name.removesuffix(":1"), name.endswith(":1"), initial)


@dataclass(frozen=True, slots=True)
class CellInfo:
    """Counts that describe a cell to code that is generic over cells.

    Parameters
    ----------
    name : name of the cell, e.g. ``"lstm"``.
    gates : blocks of H rows in ``weight_ih`` and ``weight_hh``.
    separate : how many of the last gates keep their input part and their recurrent part apart.
    states : arrays carried from step to step, h first.
    saved : values per unit that the forward pass keeps for the backward pass.
    phases : recurrent products per step; with 2, the last gate's product waits for the others.
    layer : name of the public layer made of it, e.g. ``"LSTM"``; None where it is an option of
        another cell's layer.
    gate_names : symbols of the gates, in the order of the blocks of rows.
    keep : the gate whose bias sets how long a unit remembers; -1 where there is none.
    write : the gate that multiplies what is added to the state; -1 where there is none, or where
        that is 1 minus what `keep` gives.
    common : whether it is compiled without options too, which is a few per cent faster.
    candidate : the gate that is written to the state, or -1: candidate dropout acts on it.
    parameters : what the cell has per unit beside weights and biases: names separated by blanks.
        ``"name:1"`` is one number that all units share; ``"name=-3"`` begins at -3, ``"name=0..1"``
        uniformly in [0, 1), others as biases do.
    activations : names of the activations, one per gate, ``"-"`` where none can be exchanged;
        behind a ``"/"`` what squashes a state on its way to h.
    normalise : the state that layer normalisation acts on, too; -1 where it acts on the
        pre-activations alone.

    Examples
    --------
    >>> CellInfo("gru", gates=3, separate=1, states=1, saved=4).pre
    4
    """

    name: str
    gates: int
    separate: int
    states: int
    saved: int
    phases: int = 1
    layer: str | None = None
    gate_names: tuple[str, ...] = ()
    keep: int = -1
    write: int = -1
    common: bool = False
    candidate: int = -1
    parameters: str = ""
    activations: str = ""
    normalise: int = -1

    @property
    def own(self) -> tuple[OwnParameter, ...]:
        """The cell's own parameters.

        Examples
        --------
        >>> CellInfo("fast", 1, 0, 1, 1, parameters="alpha:1=-3 weight_c").own[0]
        OwnParameter(name='alpha', shared=True, initial=(-3.0, -3.0))
        """
        return tuple(map(OwnParameter.parse, self.parameters.split()))

    @property
    def params(self) -> int:
        """Values per unit beside weights and biases."""
        return len(self.own)

    @property
    def default_activations(self) -> tuple[str, ...]:
        """Names by place: the gates, then what squashes a state."""
        return tuple(self.activations.replace("/", " ").split())

    @property
    def pre(self) -> int:
        """Rows of H pre-activations that the cell's equations receive."""
        return self.gates + self.separate


@cache
def compiled_cells() -> dict[str, CellInfo]:
    """Return the cells of the compiled engine by name, as that engine describes them."""
    from simdrnn import _core

    entries = _core.cells()
    for entry in entries:
        entry["gate_names"] = tuple(entry["gate_names"].split())
    return {entry["name"]: CellInfo(**entry) for entry in entries}
