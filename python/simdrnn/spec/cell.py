"""What the front end and the engines must know about a cell: names, counts, what gates do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

__all__ = ["CellInfo", "compiled_cells"]


class OwnParameter(NamedTuple):
    """What a cell has beside weights and biases: a value per unit, or one for all of them."""

    name: str
    shared: bool
    initial: tuple[float, float] | None
    positive: bool = False

    @classmethod
    def parse(cls, text: str) -> OwnParameter:
        """Read one word of `CellInfo.parameters`."""
        name, _, value = text.partition("=")
        low, _, high = value.partition("..")
        initial = (float(low), float(high or low)) if value else None
        plain = name.removesuffix(":1").removesuffix(">0")
        return cls(plain, name.endswith(":1"), initial, name.endswith(">0"))

    @property
    def is_bias(self) -> bool:
        """Whether it is left out where a layer has no biases."""
        return self.name.startswith("bias_")


class CellState(NamedTuple):
    """What a cell carries from step to step; `positive`: it means something only above 0."""

    name: str
    positive: bool

    @classmethod
    def parse(cls, text: str) -> CellState:
        """Read one word of `CellInfo.state_names`."""
        return cls(text.removesuffix(">0"), text.endswith(">0"))


# What is said of a gate beside name and activation: csrc/abi/cell_info.hpp says it in words.
TRAITS = (
    "keeps", "writes", "candidate", "apart", "input_only", "second_phase", "sees_h", "fixed",
)  # fmt: skip


def _last(gates: Sequence[Sequence[str]], trait: str) -> int:
    """Return the last gate of which something is said; -1 where there is none."""
    return max((index for index, gate in enumerate(gates) if trait in gate[2:]), default=-1)


@dataclass(frozen=True, slots=True)
class CellInfo:
    """Counts that describe a cell to code that is generic over cells.

    A cell declares its gates one by one and gets them from `described`.

    Parameters
    ----------
    name : name of the cell, e.g. ``"lstm"``.
    gates : blocks of H rows in ``weight_ih`` and ``weight_hh``, but for those left out.
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
        uniformly in [0, 1), others as biases do. ``"name>0"`` means something only above 0, so that
        no noise is added to it. A ``"bias_..."`` is left out with the biases.
    activations : names of the activations, one per gate, ``"-"`` where none can be exchanged;
        behind a ``"/"`` what squashes a state on its way to h.
    input_only : how many of the last gates, of the first phase where there are two, have no
        recurrent product; ``weight_hh`` and ``bias_hh`` have no rows for them.
    second_sees_h : whether the gate of the second phase sees h instead of x; ``weight_ih`` and
        ``bias_ih`` have no rows for it, and the last block of ``weight_hh`` takes its operand.
    biases : whether there are ``bias_ih`` and ``bias_hh``.
    step_inputs : 0 or 1: numbers that the cell takes of every step and row beside x, the same for
        all units.
    state_names : names of the states, separated by blanks, of which the first `states` count;
        ``"n>0"`` is one that must be positive to mean something.
    heads : whether ``weight_hh`` may be cut into blocks, one for each head: `Options.num_heads`.
    normalise : the state that layer normalisation acts on, too; -1 where it acts on the
        pre-activations alone.
    noisy : whether its equations have a place for `Options.state_noise`.

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
    input_only: int = 0
    second_sees_h: bool = False
    biases: bool = True
    step_inputs: int = 0
    state_names: str = "h c"
    heads: bool = False
    normalise: int = -1
    noisy: bool = False

    @classmethod
    def described(
        cls,
        name: str,
        *gates: Sequence[str],
        saved: int = 0,
        states: int = 1,
        second_activation: str = "",
        squash: str = "",
        **rest: Any,
    ) -> CellInfo:
        """Return what follows from a cell's gates, each given as name, activation and traits.

        Parameters
        ----------
        name, saved, states : as above.
        gates : in the order of their blocks of rows; what else is said of them are `TRAITS`.
        second_activation : of a second gate that is made of the same sums.
        squash : what squashes a state on its way to h.
        rest : what else `CellInfo` has.

        Examples
        --------
        >>> z, n = ("z", "sigmoid", "keeps"), ("n", "tanh", "candidate", "apart")
        >>> gru = CellInfo.described("gru", ("r", "sigmoid"), z, n, saved=4)
        >>> gru.gates, gru.separate, gru.keep, gru.candidate, gru.activations
        (3, 1, 1, 2, 'sigmoid sigmoid tanh')
        """
        if unknown := {trait for gate in gates for trait in gate[2:]} - {*TRAITS}:
            raise ValueError(f"gates: expected traits among {', '.join(TRAITS)}, got {unknown}")

        def count(trait: str) -> int:
            return sum(trait in gate[2:] for gate in gates)

        kinds = ["-" if "fixed" in gate[2:] else gate[1] for gate in gates]
        kinds += [second_activation] if second_activation else []
        kinds += ["/", squash] if squash else []
        return cls(
            name,
            gates=len(gates),
            separate=count("apart"),
            states=states,
            saved=saved,
            phases=2 if count("second_phase") else 1,
            gate_names=tuple(gate[0] for gate in gates),
            keep=_last(gates, "keeps"),
            write=_last(gates, "writes"),
            candidate=_last(gates, "candidate"),
            activations=" ".join(kinds),
            input_only=count("input_only"),
            second_sees_h=count("sees_h") > 0,
            **rest,
        )

    @property
    def own(self) -> tuple[OwnParameter, ...]:
        """The cell's own parameters.

        Examples
        --------
        >>> CellInfo("fast", 1, 0, 1, 1, parameters="alpha:1=-3 weight_c").own[0]
        OwnParameter(name='alpha', shared=True, initial=(-3.0, -3.0), positive=False)
        """
        return tuple(map(OwnParameter.parse, self.parameters.split()))

    @property
    def carried(self) -> tuple[CellState, ...]:
        """The states, h first.

        Examples
        --------
        >>> CellInfo("lstm", gates=4, separate=0, states=2, saved=5).carried[1]
        CellState(name='c', positive=False)
        """
        return tuple(map(CellState.parse, self.state_names.split()[: self.states]))

    @property
    def params(self) -> int:
        """Values per unit beside weights and biases."""
        return len(self.own)

    @property
    def default_activations(self) -> tuple[str, ...]:
        """Names by place: the gates, then what squashes a state."""
        return tuple(self.activations.replace("/", " ").split())

    @property
    def gate_activations(self) -> int:
        """How many of the activations are gates'."""
        return len(self.activations.partition("/")[0].split())

    @property
    def input_blocks(self) -> int:
        """Blocks of H rows in ``weight_ih`` and ``bias_ih``."""
        return self.gates - self.second_sees_h

    @property
    def recurrent_gates(self) -> int:
        """Blocks of H rows in ``bias_hh``: the gates with a recurrent product."""
        return self.gates - self.input_only

    @property
    def recurrent_blocks(self) -> int:
        """Blocks of H rows in ``weight_hh``.

        Examples
        --------
        >>> CellInfo("ran", 3, 0, states=2, saved=4, input_only=1).recurrent_blocks
        2
        """
        return self.recurrent_gates + self.second_sees_h

    @property
    def sums_alone(self) -> bool:
        """Whether its gates are all sums of W x, R h and biases, and it takes nothing else."""
        return self.recurrent_blocks == self.input_blocks == self.gates and (
            self.biases and self.step_inputs == 0
        )

    @property
    def normalisable(self) -> bool:
        """Whether layer normalisation is there for it: such gates, all formed at once."""
        return self.sums_alone and self.phases == 1 and not self.heads

    @property
    def joint(self) -> int:
        """How many of the first gates are sums of W x and R h, in the first phase."""
        return self.recurrent_gates - self.separate - (self.phases - 1)

    @property
    def recurrent_names(self) -> tuple[str, ...]:
        """What the blocks of ``weight_hh`` belong to: gates, by name where they have one.

        Examples
        --------
        >>> info = CellInfo("minimal", 2, 0, states=1, saved=2, phases=2, gate_names=("z", "u"),
        ...                 input_only=1, second_sees_h=True)
        >>> info.recurrent_names
        ('u', 'u of its operand')
        """
        names = self.gate_names or tuple(f"gate {number}" for number in range(self.gates))
        behind = names[self.gates - (self.recurrent_gates - self.joint) :]
        operand = tuple(f"{name} of its operand" for name in behind) if self.second_sees_h else ()
        return (*names[: self.joint], *behind, *operand)

    def bias_slices(self, gate: int, hidden: int) -> dict[str, slice]:
        """Return where a gate's biases are: name of the array -> slice, the first one first.

        Examples
        --------
        >>> CellInfo("ugrnn", gates=2, separate=0, states=1, saved=2).bias_slices(1, 8)
        {'bias_ih': slice(8, 16, None), 'bias_hh': slice(8, 16, None)}
        """
        first = self.gates - (self.phases - 1) - self.input_only  # with a product, in phase 0
        late = self.phases == 2 and gate == self.gates - 1
        blocks = {}
        if self.biases and gate < self.input_blocks:
            blocks["bias_ih"] = gate
        if self.biases and (late or gate < first):
            blocks["bias_hh"] = self.recurrent_gates - 1 if late else gate
        return {name: slice(b * hidden, (b + 1) * hidden) for name, b in blocks.items()}

    @property
    def pre(self) -> int:
        """Rows of H pre-activations that the cell's equations receive."""
        return self.gates + self.separate


@cache
def compiled_cells() -> dict[str, CellInfo]:
    """Return the cells of the compiled engine by name, as that engine describes them."""
    from simdrnn import _core

    cells = [
        CellInfo.described(entry.pop("name"), *entry.pop("gates"), **entry)
        for entry in _core.cells()
    ]
    return {info.name: info for info in cells}
