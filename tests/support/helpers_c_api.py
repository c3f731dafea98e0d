"""The functions in C, called from Python through the table that extension modules get."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from simdrnn import _core

OK, ARGUMENT, READ, FORMAT, MEMORY, BUSY = range(6)
Rows = POINTER(c_int64)


class Info(ctypes.Structure):
    """simdrnn_info."""

    _fields_ = (
        ("input_size", c_int64), ("output_size", c_int64), ("state_size", c_int64),
        ("dtype", c_int32), ("takes_attention", c_int32),
    )  # fmt: skip


class Call(ctypes.Structure):
    """simdrnn_call_f32 and simdrnn_call_f64, whose pointers are of one size."""

    _fields_ = (
        ("x", c_void_p), ("y", c_void_p), ("steps", c_int64), ("rows", Rows),
        ("row_count", c_int64), ("attention", c_void_p),
    )  # fmt: skip


def _both(name: str, *arguments: Any) -> list[tuple[str, Any, tuple[Any, ...]]]:
    return [(f"{name}_{kind}", c_int32, arguments) for kind in ("f32", "f64")]


# In the order of simdrnn_api: name, result, arguments.
FUNCTIONS = [
    ("last_error", c_char_p, ()),
    ("isa", c_char_p, ()),
    ("use_isa", c_int32, (c_char_p,)),
    ("model_open", c_int32, (c_char_p, POINTER(c_void_p))),
    ("model_open_memory", c_int32, (c_char_p, c_size_t, POINTER(c_void_p))),
    ("model_info", c_int32, (c_void_p, POINTER(Info))),
    ("model_close", None, (c_void_p,)),
    ("stream_open", c_int32, (c_void_p, c_int64, c_int32, POINTER(c_void_p))),
    ("stream_clone", c_int32, (c_void_p, POINTER(c_void_p))),
    ("stream_info", c_int32, (c_void_p, POINTER(Info), POINTER(c_int64))),
    ("stream_close", None, (c_void_p,)),
    *_both("step", c_void_p, c_void_p, c_void_p),
    *_both("feed", c_void_p, c_int64, c_void_p, c_void_p),
    *_both("run", c_void_p, POINTER(Call)),
    ("reset", c_int32, (c_void_p, Rows, c_int64)),
    *_both("state_get", c_void_p, c_int64, c_void_p),
    *_both("state_set", c_void_p, c_int64, c_void_p),
    ("set_flush_denormals", c_int32, (c_void_p, c_int32)),
]


class Table(ctypes.Structure):
    """simdrnn_api."""

    _fields_ = (
        ("version", ctypes.c_uint32),
        ("size", ctypes.c_uint32),
        *((name, ctypes.CFUNCTYPE(result, *given)) for name, result, given in FUNCTIONS),
    )


def pointer_in(capsule: object, name: bytes) -> int:
    """Return what a capsule points to."""
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = c_void_p, (ctypes.py_object, c_char_p)
    return int(get(capsule, name))


def table() -> Any:
    """Return the functions."""
    return Table.from_address(pointer_in(_core._C_API, b"simdrnn._core._C_API"))


class CError(Exception):
    """A call whose status was not OK."""

    def __init__(self, status: int) -> None:
        super().__init__(table().last_error().decode())
        self.status = status


def checked(status: int) -> None:
    """Raise what a status stands for."""
    if status != OK:
        raise CError(status)


def address(array: Any) -> int:
    return int(array.ctypes.data)


def rows_of(rows: Sequence[int] | None) -> tuple[Any, int]:
    if rows is None:
        return None, 0
    return (c_int64 * len(rows))(*rows), len(rows)


class CModel:
    """simdrnn_model: of a file, of its bytes, or in what ``c_handle()`` returned."""

    def __init__(self, source: object) -> None:
        self.api, self.handle = table(), None
        self.pointer = c_void_p()
        self.owned = not hasattr(source, "c_handle")
        if isinstance(source, bytes):
            checked(self.api.model_open_memory(source, len(source), byref(self.pointer)))
        elif isinstance(source, (str, Path)):
            checked(self.api.model_open(str(source).encode(), byref(self.pointer)))
        else:
            self.handle = source.c_handle()  # type: ignore[attr-defined]
            self.pointer = c_void_p(pointer_in(self.handle, b"simdrnn_model"))
        self.info = Info()
        checked(self.api.model_info(self.pointer, byref(self.info)))

    def __del__(self) -> None:
        if self.owned:
            self.api.model_close(self.pointer)

    def stream(self, batch: int = 1, threads: int = 1) -> CStream:
        pointer = c_void_p()
        checked(self.api.stream_open(self.pointer, batch, threads, byref(pointer)))
        return CStream(pointer, batch, self.info)


class CStream:
    """simdrnn_stream."""

    def __init__(self, pointer: c_void_p, batch: int, info: Info) -> None:
        self.api, self.pointer, self.batch, self.info = table(), pointer, batch, info
        self.kind = "f64" if info.dtype else "f32"
        self.dtype = np.dtype("float64" if info.dtype else "float32")

    def __del__(self) -> None:
        self.api.stream_close(self.pointer)

    def call(self, name: str, *arguments: Any) -> None:
        checked(getattr(self.api, f"{name}_{self.kind}")(self.pointer, *arguments))

    def new(self, *shape: int) -> Any:
        return np.full(shape, np.nan, self.dtype)

    def step(self, x: Any) -> Any:
        x, y = np.ascontiguousarray(x), self.new(self.batch, self.info.output_size)
        assert x.shape == (self.batch, self.info.input_size)
        assert x.dtype == self.dtype
        self.call("step", address(x), address(y))
        return y

    def feed(self, x: Any) -> Any:
        x, y = np.ascontiguousarray(x), self.new(len(x), self.batch, self.info.output_size)
        assert x.shape[1:] == (self.batch, self.info.input_size)
        assert x.dtype == self.dtype
        self.call("feed", len(x), address(x), address(y))
        return y

    def run(self, x: Any, rows: Sequence[int] | None = None, attention: Any = None) -> Any:
        x, count = np.ascontiguousarray(x), self.batch if rows is None else len(rows)
        y = self.new(len(x), count, self.info.output_size)
        given = None if attention is None else np.ascontiguousarray(attention, self.dtype)
        pointer, many = rows_of(rows)
        call = Call(address(x), address(y), len(x), pointer, many,
                    None if given is None else address(given))  # fmt: skip
        self.call("run", byref(call))
        return y

    def reset(self, rows: Sequence[int] | None = None) -> None:
        checked(self.api.reset(self.pointer, *rows_of(rows)))

    @property
    def state(self) -> Any:
        """(B, state_size)."""
        found = self.new(self.batch, self.info.state_size)
        for row in range(self.batch):
            self.call("state_get", row, address(found[row]))
        return found

    def set_state(self, row: int, state: Any) -> None:
        given = np.ascontiguousarray(state, self.dtype)
        assert given.shape == (self.info.state_size,)
        self.call("state_set", row, address(given))

    def clone(self) -> CStream:
        pointer = c_void_p()
        checked(self.api.stream_clone(self.pointer, byref(pointer)))
        return CStream(pointer, self.batch, self.info)


def state_rows(state: Any) -> Any:
    """Return a layer's state, S arrays (L, B, H), as rows of the functions in C."""
    members = state if isinstance(state, tuple) else (state,)
    layers, batch = members[0].shape[:2]
    return np.stack(
        [
            np.concatenate([member[layer, row] for layer in range(layers) for member in members])
            for row in range(batch)
        ]
    )
