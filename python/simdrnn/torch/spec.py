"""What a recurrent layer is, apart from its weights; and how many of what it has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from simdrnn.engine.protocol import ParameterArrays
from simdrnn.spec.cell import compiled_cells
from simdrnn.validate import Array

__all__ = ["CELLS", "GATES", "Layout", "Spec", "Widths", "layout_of"]

# The engine's cell for each ``mode`` of PyTorch's.
CELLS = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu"}

# Looked up once: compilers follow what is asked during a call.
_INFO = {cell: compiled_cells()[cell] for cell in CELLS.values()}
GATES = {cell: info.gates for cell, info in _INFO.items()}
_STATES = {cell: info.states for cell, info in _INFO.items()}
_SAVED = {cell: info.saved for cell, info in _INFO.items()}


class Widths(NamedTuple):
    """Units of a layer; numbers may be symbolic.

    Parameters
    ----------
    hidden : H, of c and the gates.
    output : of h: P with a projection, else H.
    """

    hidden: Any
    output: Any


class Spec(NamedTuple):
    """A stack of layers, as the arguments of our operators say it; sizes come from the weights.

    Parameters
    ----------
    cell : name of the engine's cell.
    num_layers, bidirectional, dropout : as in `torch.nn.LSTM`.
    has_biases : its ``bias``, under the name that PyTorch's own operators have for it.
    batch_first : whether x and the output are (B, T, ...); not where they are packed.
    projected : whether h is projected, by ``weight_hr``.

    Examples
    --------
    >>> spec = Spec("gru", num_layers=2, bidirectional=True)
    >>> spec.passes, spec.states, spec.weights_each
    (4, 1, 4)
    """

    cell: str
    num_layers: int = 1
    bidirectional: bool = False
    has_biases: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    projected: bool = False

    @property
    def directions(self) -> int:
        """D."""
        return 2 if self.bidirectional else 1

    @property
    def passes(self) -> int:
        """L*D."""
        return self.num_layers * self.directions

    @property
    def states(self) -> int:
        """S: 2 for an LSTM, h and c."""
        return _STATES[self.cell]

    @property
    def weights_each(self) -> int:
        """How many parameters a layer and direction has."""
        return 2 + 2 * self.has_biases + self.projected

    def widths(self, weights: Sequence[Any]) -> Widths:
        """Return the widths of a layer with these parameters."""
        return Widths(weights[0].shape[0] // GATES[self.cell], weights[1].shape[1])

    def weight_shapes(self, input_size: int, widths: Widths) -> list[tuple[int, ...]]:
        """Return the shapes of all parameters, in PyTorch's order."""
        hidden, output = widths
        rows = GATES[self.cell] * hidden
        shapes: list[tuple[int, ...]] = []
        for layer in range(self.num_layers):
            width = input_size if layer == 0 else self.directions * output
            one: list[tuple[int, ...]] = [(rows, width), (rows, output)]
            one += [(rows,), (rows,)] if self.has_biases else []
            one += [(output, hidden)] if self.projected else []
            shapes += one * self.directions
        return shapes

    def state_shapes(self, batch: Any, widths: Widths) -> list[tuple[Any, ...]]:
        """Return the shapes of the states, h first."""
        both = [(self.passes, batch, widths.output), (self.passes, batch, widths.hidden)]
        return both[: self.states]

    def by_pass(self, arrays: Sequence[Array]) -> list[ParameterArrays]:
        """Group parameters, or gradients of them, by layer and direction, as engines take them."""
        groups = []
        for start in range(0, len(arrays), self.weights_each):
            weight_ih, weight_hh, *rest = arrays[start : start + self.weights_each]
            bias_ih, bias_hh = rest[:2] if self.has_biases else (None, None)
            weight_hr = rest[-1] if self.projected else None
            groups.append(ParameterArrays(weight_ih, weight_hh, bias_ih, bias_hh, (), weight_hr))
        return groups

    def batch_of(self, x: Any, states: Sequence[Any], batch_sizes: Any) -> Any:
        """Return B of a call."""
        if states:
            return states[0].shape[1]
        if batch_sizes is not None:
            return batch_sizes[0].item()
        return x.shape[0 if self.batch_first else 1]

    def output_shape(self, steps: Any, batch: Any, widths: Widths) -> tuple[Any, ...]:
        """Return the shape of the output, laid out like x."""
        width = self.directions * widths.output
        return (batch, steps, width) if self.batch_first else (steps, batch, width)

    def reserve_shapes(self, steps: Any, batch: Any, widths: Widths) -> list[tuple[Any, ...]]:
        """Return the shapes of what forward keeps for backward.

        L*D arrays of what steps save; then the output of each layer. The last one's is kept too:
        the caller has a copy, which he may write to.
        """
        saved = _SAVED[self.cell] * widths.hidden
        shapes = [(steps, batch, saved)] * self.passes
        return shapes + [(steps, batch, self.directions * widths.output)] * self.num_layers

    def reserve_size(self, steps: Any, batch: Any, widths: Widths) -> Any:
        """Return how many elements the flat array has that holds all these."""
        shapes = self.reserve_shapes(steps, batch, widths)
        return sum(math.prod(shape) for shape in shapes)


class Layout(NamedTuple):
    """The shapes of what calls of certain sizes make, worked out once.

    Parameters
    ----------
    output, states : their shapes.
    reserve : begin, end and shape of each array of `Spec.reserve_shapes` in one flat array.
    size : of that.

    Examples
    --------
    >>> layout = layout_of(Spec("rnn_tanh", num_layers=2), Widths(4, 4), 5, 2)
    >>> layout.output, layout.states, layout.size
    ((5, 2, 4), ((2, 2, 4),), 80)
    >>> layout.reserve[1:]
    ((0, 0, (5, 2, 0)), (0, 40, (5, 2, 4)), (40, 80, (5, 2, 4)))
    """

    output: tuple[int, ...]
    states: tuple[tuple[int, ...], ...]
    reserve: tuple[tuple[int, int, tuple[int, ...]], ...]
    size: int


@lru_cache(maxsize=256)
def layout_of(spec: Spec, widths: Widths, steps: int, batch: int) -> Layout:
    """Work out the shapes of a call with so many steps and rows."""
    begin, parts = 0, []
    for shape in spec.reserve_shapes(steps, batch, widths):
        parts.append((begin, begin + math.prod(shape), shape))
        begin = parts[-1][1]
    states = tuple(spec.state_shapes(batch, widths))
    return Layout(spec.output_shape(steps, batch, widths), states, tuple(parts), begin)
