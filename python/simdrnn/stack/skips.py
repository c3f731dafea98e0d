"""How the layers of a stack are connected: what each is given, and what becomes of what it makes.

All sequences are time first. `real` is (T, B) bool, or None where every step is real.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, ClassVar

import numpy as np

from simdrnn.engine.protocol import PackedNetwork
from simdrnn.engine.steps import where_real
from simdrnn.engine.streaming import Nodes
from simdrnn.stack.highway import HighwayGate
from simdrnn.validate import Array

__all__ = ["SKIPS", "Concat", "Highway", "Residual", "Skip"]


class Skip:
    """No skips: each layer is given what the one below made.

    Parameters
    ----------
    inputs, outputs : of each layer, its input size and how wide what it makes is.
    """

    # Whether what a layer makes stays as it is, so that its final states are its last output.
    last_is_state: ClassVar[bool] = True

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        self._inputs, self._outputs = tuple(inputs), tuple(outputs)

    @staticmethod
    def given_size(x: int, below: int) -> int:
        """Return how wide the input of a layer above the first is."""
        return below

    def output_size(self) -> int:
        """Return how wide the stack's output is."""
        return self._outputs[-1]

    def shown(self) -> range:
        """Return the layers that the output is made of."""
        return range(len(self._outputs) - 1, len(self._outputs))

    def give(self, x: Array, below: Array) -> Array:
        """Return what a layer above the first is given."""
        return below

    def give_backward(self, d_given: Array) -> tuple[Array | None, Array]:
        """Return the gradients for `x`, where it was used, and for `below`."""
        return None, d_given

    def join(
        self, index: int, given: Array, made: Array, real: Array | None, num_threads: int,
        gate: PackedNetwork | None,
    ) -> tuple[Array, Any]:  # fmt: skip
        """Return what layer `index` hands on, and what `join_backward` needs.

        `gate` is the version of its gate's parameters, where it has a gate.
        """
        return made, None

    def join_backward(
        self, index: int, kept: Any, d_joined: Array
    ) -> tuple[Array | None, Array, dict[str, Array]]:
        """Return gradients for `given`, if it was used, for `made`, and for parameters."""
        return None, d_joined, {}

    def output(self, joined: Sequence[Array]) -> Array:
        """Return the stack's output, from what the layers that are `shown` hand on."""
        return joined[-1]

    def stream_give(self, nodes: Nodes, below: int) -> int:
        """Return what stands in a stream for what a layer above the first is given."""
        return below

    def stream_join(
        self, nodes: Nodes, index: int, given: int, made: int, gate: PackedNetwork | None
    ) -> int:
        """Return what stands in a stream for what layer `index` hands on."""
        return made

    def stream_output(self, nodes: Nodes, joined: Sequence[int]) -> int:
        """Return what stands in a stream for the stack's output."""
        return joined[-1]

    def output_backward(self, d_output: Array) -> list[Array | None]:
        """Return the gradient for what each layer hands on; None is zero."""
        return [None] * (len(self._outputs) - 1) + [d_output]


class Concat(Skip):
    """Each layer above the first is given (x, what the one below made); all layers are put out.

    Graves 2013, "Generating sequences with recurrent neural networks", arXiv:1308.0850, section 2.
    """

    @staticmethod
    def given_size(x: int, below: int) -> int:
        """Return how wide the input of a layer above the first is."""
        return x + below

    def output_size(self) -> int:
        """Return how wide the stack's output is."""
        return sum(self._outputs)

    def shown(self) -> range:
        """Return the layers that the output is made of: all."""
        return range(len(self._outputs))

    def give(self, x: Array, below: Array) -> Array:
        """Return what a layer above the first is given."""
        return np.concatenate([x, below], axis=-1)

    def give_backward(self, d_given: Array) -> tuple[Array | None, Array]:
        """Return the gradients for `x` and for `below`."""
        size = self._inputs[0]
        return d_given[..., :size], d_given[..., size:]

    def output(self, joined: Sequence[Array]) -> Array:
        """Return the stack's output: what the layers hand on, side by side."""
        return np.concatenate(joined, axis=-1)

    def stream_give(self, nodes: Nodes, below: int) -> int:
        """Return what stands in a stream for what a layer above the first is given."""
        return nodes.concat(0, below)

    def stream_output(self, nodes: Nodes, joined: Sequence[int]) -> int:
        """Return what stands in a stream for the stack's output."""
        return reduce(nodes.concat, joined)

    def output_backward(self, d_output: Array) -> list[Array | None]:
        """Return the gradient for what each layer hands on."""
        return list(np.split(d_output, np.cumsum(self._outputs)[:-1], axis=-1))


class Residual(Skip):
    """``y = made + given`` at real steps of layers where both have the same size; else `made`.

    He et al. 2016, arXiv:1512.03385; between recurrent layers Wu et al. 2016, arXiv:1609.08144.
    """

    last_is_state = False

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__(inputs, outputs)
        pairs = list(zip(inputs, outputs, strict=True))
        self.places = [index for index, (size, width) in enumerate(pairs) if size == width]
        if not self.places:
            raise ValueError(
                f"skip: expected a layer whose input and output have the same size, got {pairs}"
            )

    def join(
        self, index: int, given: Array, made: Array, real: Array | None, num_threads: int,
        gate: PackedNetwork | None,
    ) -> tuple[Array, Any]:  # fmt: skip
        """Return what layer `index` hands on."""
        if index not in self.places:
            return made, None
        return made + where_real(real, given), real

    def stream_join(
        self, nodes: Nodes, index: int, given: int, made: int, gate: PackedNetwork | None
    ) -> int:
        """Return what stands in a stream for what layer `index` hands on."""
        return nodes.add(made, given) if index in self.places else made

    def join_backward(
        self, index: int, kept: Any, d_joined: Array
    ) -> tuple[Array | None, Array, dict[str, Array]]:
        """Return gradients for `given` and for `made`."""
        if index not in self.places:
            return None, d_joined, {}
        return where_real(kept, d_joined), d_joined, {}


class Highway(Residual):
    """As `Residual`, mixed by a learned gate: see `HighwayGate`."""

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__(inputs, outputs)
        self.gates: dict[int, HighwayGate] = {}  # by index of the layer, put here by the stack

    def join(
        self, index: int, given: Array, made: Array, real: Array | None, num_threads: int,
        gate: PackedNetwork | None,
    ) -> tuple[Array, Any]:  # fmt: skip
        """Return what layer `index` hands on, and what the gate keeps."""
        if index not in self.gates:
            return made, None
        return self.gates[index].forward(given, made, real, num_threads, gate)

    def stream_join(
        self, nodes: Nodes, index: int, given: int, made: int, gate: PackedNetwork | None
    ) -> int:
        """Return what stands in a stream for what layer `index` hands on."""
        return made if gate is None else nodes.highway(gate, given, made)

    def join_backward(
        self, index: int, kept: Any, d_joined: Array
    ) -> tuple[Array | None, Array, dict[str, Array]]:
        """Return gradients for `given`, for `made`, and for the gate's parameters."""
        if index not in self.gates:
            return None, d_joined, {}
        d_given, d_made, params = self.gates[index].backward(kept, d_joined)
        return d_given, d_made, {f"{index}.gate.{name}": value for name, value in params.items()}


SKIPS: dict[str | None, type[Skip]] = {
    None: Skip,
    "residual": Residual,
    "highway": Highway,
    "concat": Concat,
}
