"""One direction of one layer between two dialects: its blocks of gates, under no dialect's name.

Reading makes views, writing copies each number once into the array it belongs to. On the way,
biases are summed or parted, z is negated where its meaning differs, and what a package adds to the
forget gate when it runs is put into the bias, or taken out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from simdrnn.dialects.slots import Layout, Piece, Slot
from simdrnn.validate import Array, check_shape

__all__ = ["Allocate", "Direction", "Named", "read_direction", "write_direction"]

# Makes the array of a slot from its name and shape.
Allocate = Callable[[str, tuple[int, ...]], Array]


class Named(NamedTuple):
    """An array, and what messages call it."""

    label: str
    array: Array


class Direction(NamedTuple):
    """The weights of one direction of one layer.

    Parameters
    ----------
    blocks : by part and gate; weights (H, I), (H, P) or (P, H), all else (H,).
    hidden_size, input_size, output_size : H, I, and P with a projection, else H.
    layout : of the package that they were read from.
    """

    blocks: dict[Piece, Array]
    hidden_size: int
    input_size: int
    output_size: int
    layout: Layout

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of every array."""
        return next(iter(self.blocks.values())).dtype

    @property
    def has_bias(self) -> bool:
        """Whether there are biases."""
        return any(part.endswith("bias") for part, _ in self.blocks)


def _rows(slot: Slot, named: Named) -> Array:
    """Return the array with gates along its first axis; only the number of axes is checked."""
    label, array = named
    axes = 1 if slot.is_bias or slot.pieces[0][0] == "peephole" else 2
    if array.ndim != axes + slot.stacked:
        raise ValueError(f"{label}: expected {axes + slot.stacked} axes, got shape {array.shape}")
    if slot.folded:
        return unfolded(array, slot.gates)
    return array.T if slot.transposed else array


def unfolded(columns: Array, gates: int) -> Array:
    """Return the rows (G*H, N) that the memory of each gate's columns, of (N, G*H), holds.

    What does not part into so many gates is left to whoever checks shapes.
    """
    if columns.shape[1] % gates:
        return columns.T
    blocks = np.split(columns, gates, 1)
    return np.concatenate([block.reshape(block.shape[::-1]) for block in blocks])


def _fold(columns: Array, rows: Array, gates: int) -> None:
    """Do the opposite."""
    blocks = zip(np.split(columns, gates, 1), np.split(rows, gates), strict=True)
    for block, own in blocks:
        block[...] = own.reshape(block.shape)


def _hidden_size(slot: Slot, named: Named) -> int:
    """Return H as an array of weights shows it."""
    length: int = _rows(slot, named).shape[0]
    hidden, rest = divmod(length, slot.gates)
    if rest or not hidden:
        axis = "columns" if slot.transposed else "rows"
        raise ValueError(
            f"{named.label}: expected {_times(slot.gates, 'H')} {axis}, got shape "
            f"{named.array.shape}"
        )
    return hidden


def _times(count: int, letter: str) -> str:
    """Write a multiple of a letter."""
    return letter if count == 1 else f"{count}*{letter}"


class _Reader:
    """Takes the arrays of one direction apart, and checks that their sizes agree.

    H is read off the first array, P off the projection, I off the first weights on x.
    """

    def __init__(self, arrays: Mapping[str, Named], layout: Layout) -> None:
        self.layout, self.arrays = layout, arrays
        self.slots = [slot for slot in layout.slots if slot.name in arrays]
        first = self.slots[0]
        self.first = arrays[first.name]
        self.hidden = _hidden_size(first, self.first)
        self.outputs, self.letter = self.hidden, "H"
        self.inputs = 0
        for slot in self.slots:
            if slot.pieces[0][0] == "projection":
                self.outputs, self.letter = _rows(slot, arrays[slot.name]).shape[0], "P"

    def width(self, slot: Slot, rows: Array, label: str) -> tuple[str, int] | None:
        """Return what is expected of the second axis, or None if there is none."""
        part = slot.pieces[0][0]
        if part == "projection":
            return "H", self.hidden
        if part == "recurrent":
            return self.letter, self.outputs
        if part not in ("input", "fused"):
            return None
        beside = self.outputs if part == "fused" else 0
        text = f"I + {self.letter}" if beside else "I"
        self.inputs = self.inputs or rows.shape[1] - beside
        if self.inputs < 1:
            raise ValueError(f"{label}: expected {text} > {beside}, got {rows.shape[1]}")
        return text, self.inputs + beside

    def blocks(self, slot: Slot) -> dict[Piece, Array]:
        """Return views of one array's blocks."""
        label, array = named = self.arrays[slot.name]
        if array.dtype != self.first.array.dtype:
            raise ValueError(
                f"{label}: expected dtype {self.first.array.dtype} as in {self.first.label}, got "
                f"{array.dtype}"
            )
        rows = _rows(slot, named)
        lengths = [(_times(slot.gates, "H"), slot.gates * self.hidden)]
        if slot.stacked:
            count = len(slot.pieces)
            each = slot.gates // count
            lengths = [(str(count), count), (_times(each, "H"), each * self.hidden)]
        elif not slot.gates:
            lengths = [(self.letter, self.outputs)]
        width = self.width(slot, rows, label)
        lengths += [] if width is None else [width]
        letters, shape = zip(*(lengths[::-1] if slot.transposed else lengths), strict=True)
        check_shape(label, array, letters, shape)
        pieces = [(part, gate) for part, gates in slot.pieces for gate in gates or ("",)]
        if slot.stacked:
            split = [b for row in rows for b in np.split(row, len(pieces) // len(rows))]
        else:
            split = np.split(rows, len(pieces))
        return dict(zip(pieces, split, strict=True))

    def read(self) -> Direction:
        """Return all blocks."""
        found: dict[Piece, Array] = {}
        for slot in self.slots:
            for (part, gate), block in self.blocks(slot).items():
                if part == "fused":
                    found["input", gate] = block[:, : self.inputs]
                    found["recurrent", gate] = block[:, self.inputs :]
                else:
                    found[part, gate] = block
        return Direction(found, self.hidden, self.inputs, self.outputs, self.layout)


def read_direction(arrays: Mapping[str, Named], layout: Layout) -> Direction:
    """Check the arrays of one direction and take them apart.

    Parameters
    ----------
    arrays : by name of the slot: all of the layout's, but the optional ones, and all biases or
        none.
    layout : of the package.

    Returns
    -------
    views of all blocks.

    Raises
    ------
    ValueError
        If a shape does not fit, or dtypes differ.
    """
    return _Reader(arrays, layout).read()


def _wide(dtype: np.dtype[Any]) -> type[Any]:
    """Return a type in which sums are exact enough to be rounded once."""
    return np.longdouble if dtype.itemsize >= 8 else np.float64


def _put_bias(out: Array, direction: Direction, piece: Piece, shift: float) -> None:
    """Write one block of biases; `shift` is to be added to the gate's argument."""
    part, gate = piece
    blocks = direction.blocks
    first = blocks.get(("bias", gate), blocks.get(("input_bias", gate)))
    second = blocks.get(("recurrent_bias", gate))
    if part == "input_bias":
        np.copyto(out, 0.0 if first is None else first)
        return
    wide = _wide(direction.dtype)
    # The two constants meet first: what was put beside a bias comes off again without a trace.
    rest: Any = shift if second is None else second.astype(wide) + wide(shift)
    if part == "recurrent_bias" or first is None:
        out[...] = rest
    elif not np.any(rest):
        np.copyto(out, first)  # keeps the sign of zeros
    else:
        out[...] = first.astype(wide) + rest


def _shape(slot: Slot, direction: Direction) -> tuple[int, ...]:
    """Return the shape of a slot's array."""
    part, length = slot.pieces[0][0], slot.gates * direction.hidden_size
    if slot.stacked:
        return len(slot.pieces), length // len(slot.pieces)
    if slot.is_bias or part == "peephole":
        return (length,)
    widths = {
        "input": direction.input_size,
        "recurrent": direction.output_size,
        "fused": direction.input_size + direction.output_size,
        "projection": direction.hidden_size,
    }
    shape = (length or direction.output_size, widths[part])
    return shape[::-1] if slot.transposed else shape


def _put(out: Array, direction: Direction, layout: Layout, piece: Piece) -> None:
    """Write one block of rows."""
    (part, gate), blocks = piece, direction.blocks
    if part.endswith("bias"):
        shift = direction.layout.forget_bias - layout.forget_bias if gate == "f" else 0.0
        _put_bias(out, direction, piece, shift)
    elif part == "fused":
        inputs = direction.input_size
        np.copyto(out[:, :inputs], blocks["input", gate])
        np.copyto(out[:, inputs:], blocks["recurrent", gate])
    else:
        np.copyto(out, blocks[piece])
    if gate == "z" and direction.layout.z_flipped != layout.z_flipped:
        np.negative(out, out=out)


def write_direction(
    direction: Direction, layout: Layout, needs_bias: bool, allocate: Allocate
) -> dict[str, Array]:
    """Put the arrays of one direction together as another package has them.

    Parameters
    ----------
    direction : what `read_direction` returned.
    layout : of the other package.
    needs_bias : whether there have to be biases: zeros, if there are none.
    allocate : makes the array of a slot from its name and shape.

    Returns
    -------
    dict name of the slot -> array.

    Raises
    ------
    ValueError
        If the package has no place for what was read.
    """
    places = {part for slot in layout.slots for part, _ in slot.pieces}
    for part in ("peephole", "projection"):
        if part not in places and any(kind == part for kind, _ in direction.blocks):
            raise ValueError(f"target: expected a dialect that has {part} weights, as source has")
    for gate in layout.apart:
        if np.any(direction.blocks.get(("recurrent_bias", gate), 0.0)):
            raise ValueError(
                f"target: expected a dialect that has a recurrent bias of {gate}, which is not "
                "zero in source"
            )
    found = {}
    for slot in layout.slots:
        pieces = [(part, gate) for part, gates in slot.pieces for gate in gates or ("",)]
        if slot.is_bias:
            wanted = needs_bias or direction.has_bias
        else:
            wanted = not slot.optional or pieces[0] in direction.blocks
        if not wanted:
            continue
        array = found[slot.name] = allocate(slot.name, _shape(slot, direction))
        rows = array.T if slot.transposed else array.reshape(-1) if slot.stacked else array
        rows = np.empty(rows.shape, rows.dtype) if slot.folded else rows
        for block, piece in zip(np.split(rows, len(pieces)), pieces, strict=True):
            _put(block, direction, layout, piece)
        if slot.folded:
            _fold(array, rows, slot.gates)
    return found
