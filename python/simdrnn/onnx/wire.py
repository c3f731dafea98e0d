"""How much memory a file in protobuf's format takes when it is read, told without reading it.

A message of two bytes becomes an object of hundreds: files of nothing else would take a hundred
times their size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["estimated_bytes"]

# Of an object, a text and a number, in the two implementations that read a model: protobuf's for
# Python, and the one that onnx's checker is built with.
_MESSAGE, _TEXT, _NUMBER = 400, 64, 12
# Types of fields: text and bytes, and numbers that are as long in a file as in memory.
_TEXTS, _FIXED = (9, 12), (1, 2, 6, 7, 15, 16)


class _TornError(ValueError):
    """The bytes are no message; whoever reads them says so."""


def estimated_bytes(data: bytes, descriptor: Any, most: int) -> int:
    """Return about how many bytes a message takes, or something above `most`.

    Parameters
    ----------
    data : of the message.
    descriptor : of its type.
    most : where to stop counting.

    Examples
    --------
    >>> from onnx import GraphProto, helper
    >>> graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])] * 1000, "g", [], [])
    >>> size = estimated_bytes(graph.SerializeToString(), GraphProto.DESCRIPTOR, 10**9)
    >>> size > 400 * 1000, len(graph.SerializeToString()) < 20 * 1000
    (True, True)
    """
    total, place, kind, end = len(data) + _MESSAGE, 0, descriptor, len(data)
    around: list[tuple[Any, int]] = []
    try:
        while total <= most:
            if place >= end:
                if place > end or not around:
                    return total
                kind, end = around.pop()
                continue
            tag, place = _varint(data, place, end)
            if tag & 7 != 2:
                total += _NUMBER
                place = _skipped(data, place, end, tag & 7)
                continue
            length, place = _varint(data, place, end)
            if length > end - place:
                return total
            field = kind.fields_by_number.get(tag >> 3)
            if field is not None and field.message_type is not None:
                total += _MESSAGE
                around.append((kind, end))
                kind, end = field.message_type, place + length
                continue
            total += _of_leaf(field, data, place, length)
            place += length
    except _TornError:
        pass
    return total


def _of_leaf(field: Any, data: bytes, place: int, length: int) -> int:
    """Return what a text takes, or several numbers."""
    if field is None or field.type in _FIXED:
        return 2 * length
    if field.type in _TEXTS:
        return _TEXT
    return _NUMBER * int(np.count_nonzero(np.frombuffer(data, np.uint8, length, place) < 128))


def _varint(data: bytes, place: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while place < end and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
    raise _TornError


def _skipped(data: bytes, place: int, end: int, form: int) -> int:
    """Return the place behind a number."""
    if form == 0:
        return _varint(data, place, end)[1]
    if form in (1, 5):
        return place + (8 if form == 1 else 4)
    raise _TornError
