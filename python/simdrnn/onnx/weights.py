"""The arrays W, R, B and P of a node, and the parameters of a layer that they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from simdrnn.onnx.operators import PEEPHOLES, Operator
from simdrnn.validate import Array, check_shape

__all__ = ["NodeWeights", "ends", "read_weights", "write_weights"]


class NodeWeights(NamedTuple):
    """W (D, G*H, I), R (D, G*H, H), B (D, 2*G*H) and P (D, 3*H) of one node; None are absent."""

    W: Array
    R: Array
    B: Array | None = None
    P: Array | None = None

    @property
    def hidden_size(self) -> int:
        """H."""
        return int(self.R.shape[2])

    @property
    def input_size(self) -> int:
        """I."""
        return int(self.W.shape[2])

    def part(self, direction: int) -> NodeWeights:
        """Return the arrays of one direction, as those of a node of its own."""
        part = slice(direction, direction + 1)
        B, P = (one if one is None else one[part] for one in (self.B, self.P))
        return NodeWeights(self.W[part], self.R[part], B, P)

    def beside(self, other: NodeWeights) -> NodeWeights:
        """Return the arrays of one node whose directions are this one's and another's.

        Both have a B, or none; both have a P, or none.
        """
        B, P = (
            None if one is None or two is None else np.concatenate([one, two])
            for one, two in ((self.B, other.B), (self.P, other.P))
        )
        W, R = np.concatenate([self.W, other.W]), np.concatenate([self.R, other.R])
        return NodeWeights(W, R, B, P)

    def check(self, label: str, operator: Operator, directions: int, size: int | None) -> None:
        """Raise ValueError unless the arrays are those of such a node.

        Parameters
        ----------
        label : of the node.
        operator : what it runs.
        directions : D.
        size : the attribute ``hidden_size``, or None.
        """
        dtype, gates = self.R.dtype, len(operator.gates)
        if dtype not in (np.float32, np.float64):
            raise ValueError(f"{label}: R: expected float32 or float64, got {dtype}")
        for name, array in zip(("W", "R"), self, strict=False):
            if array is None or array.ndim != 3 or 0 in array.shape:
                shape = None if array is None else array.shape
                raise ValueError(f"{label}: {name}: expected three axes, none empty, got {shape}")
        hidden = self.hidden_size
        if size is not None and size != hidden:
            raise ValueError(
                f"{label}: hidden_size: expected {hidden}, as R {self.R.shape} has, got {size}"
            )
        rows, text = gates * hidden, "H" if gates == 1 else f"{gates}*H"
        letters = {
            "W": (("D", text, "I"), (directions, rows, self.input_size)),
            "R": (("D", text, "H"), (directions, rows, hidden)),
            "B": (("D", f"{2 * gates}*H"), (directions, 2 * rows)),
            "P": (("D", "3*H"), (directions, len(PEEPHOLES) * hidden)),
        }
        for (name, (axes, shape)), array in zip(letters.items(), self, strict=True):
            if array is not None:
                check_shape(f"{label}: {name}", array, axes, shape)
                if array.dtype != dtype:
                    raise ValueError(f"{label}: {name}: expected {dtype}, as R, got {array.dtype}")


def ends(directions: int, layer: int = 0) -> tuple[str, ...]:
    """Return the ends of the names of a layer's parameters, one for each direction."""
    return tuple(f"_l{layer}{end}" for end in ("", "_reverse")[:directions])


def read_weights(
    weights: NodeWeights, operator: Operator, gates: Sequence[str]
) -> dict[str, Array]:
    """Return the parameters of a layer of one network layer, by name.

    Parameters
    ----------
    weights : of the node, checked.
    operator : what it runs.
    gates : of our cell, in its order. What it does not have is left out: a coupled LSTM's f.
    """
    names = ["weight_ih", "weight_hh"]
    arrays = [weights.W, weights.R]
    if weights.B is not None:
        names += ["bias_ih", "bias_hh"]
        arrays += np.split(weights.B, 2, axis=1)
    directions = ends(len(weights.R))
    found = {}
    for name, array in zip(names, arrays, strict=True):
        for end, one in zip(directions, array, strict=True):
            blocks = dict(zip(operator.gates, np.split(one, len(operator.gates)), strict=True))
            found[f"{name}{end}"] = np.concatenate([blocks[gate] for gate in gates])
    if weights.P is not None:
        for end, one in zip(directions, weights.P, strict=True):
            for gate, block in zip(PEEPHOLES, np.split(one, len(PEEPHOLES)), strict=True):
                if gate in gates:
                    found[f"weight_c{gate}{end}"] = block
    return found


def write_weights(
    parameters: Mapping[str, Array], operator: Operator, gates: Sequence[str], names: Sequence[str]
) -> dict[str, Array]:
    """Return W and R, and B and P where there are such parameters, as a node has them.

    Parameters
    ----------
    parameters : of the layer, by name.
    operator : that the node will run.
    gates : of our cell, in its order. What ONNX has besides becomes zeros.
    names : the ends of the parameters' names, one for each direction.
    """

    def reorder(array: Array) -> Array:
        blocks = dict(zip(gates, np.split(array, len(gates)), strict=True))
        absent = np.zeros_like(blocks[gates[0]])
        return np.concatenate([blocks.get(gate, absent) for gate in operator.gates])

    def stack(*kinds: str) -> Array:
        directions = [[reorder(parameters[f"{kind}{end}"]) for kind in kinds] for end in names]
        return np.stack([np.concatenate(blocks) for blocks in directions])

    found = {"W": stack("weight_ih"), "R": stack("weight_hh")}
    if f"bias_ih{names[0]}" in parameters:
        found["B"] = stack("bias_ih", "bias_hh")
    if f"weight_co{names[0]}" in parameters:
        absent = np.zeros_like(parameters[f"weight_co{names[0]}"])
        found["P"] = np.stack(
            [
                np.concatenate([parameters.get(f"weight_c{g}{end}", absent) for g in PEEPHOLES])
                for end in names
            ]
        )
    return found
