"""RNNoise's sparse GRUs: arrays and functions of the shared library that pyrnnoise brings."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import simdrnn as sr
from helpers_models import check_layer, check_stream, distance, model_file, sigmoid

pytestmark = pytest.mark.models


class _Array(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p), ("type", ctypes.c_int), ("size", ctypes.c_int),
        ("data", ctypes.c_void_p),
    )  # fmt: skip


class _Linear(ctypes.Structure):
    """What the library calls LinearLayer; without int8 weights it takes those of float32."""

    _fields_ = (
        ("bias", ctypes.c_void_p), ("subias", ctypes.c_void_p), ("weights", ctypes.c_void_p),
        ("float_weights", ctypes.c_void_p), ("weights_idx", ctypes.c_void_p),
        ("diag", ctypes.c_void_p), ("scale", ctypes.c_void_p),
        ("inputs", ctypes.c_int), ("outputs", ctypes.c_int),
    )  # fmt: skip


@functools.cache
def _rnnoise() -> tuple[Any, dict[str, Any]]:
    """Return the library, and its arrays by name."""
    library = ctypes.CDLL(str(model_file("pyrnnoise", "pyrnnoise/librnnoise.so")))
    found: dict[str, Any] = {}
    place = ctypes.addressof(_Array.in_dll(library, "rnnoise_arrays"))
    while (one := _Array.from_address(place)).name:
        dtype = {0: "float32", 1: "int32", 3: "int8"}[one.type]
        raw = (ctypes.c_char * one.size).from_address(one.data)
        found[one.name.decode()] = np.frombuffer(raw, dtype)
        place += ctypes.sizeof(_Array)
    return library, found


def _dense(flat: Any, places: Any, rows: int, columns: int) -> Any:
    """Spread blocks of eight rows and four columns, as the sparse product reads them."""
    made, blocks = np.zeros((rows, columns), "float32"), iter(flat.reshape(-1, 4, 8))
    numbers = iter(places.tolist())
    for top in range(0, rows, 8):
        for _ in range(next(numbers)):
            left = next(numbers)
            made[top : top + 8, left : left + 4] = next(blocks).T
    return made


def _rnnoise_matrix(arrays: Mapping[str, Any], name: str) -> tuple[Any, Any, Any]:
    """Return the dense matrix, the bias, and the struct that the library multiplies with."""
    bias, diagonal = arrays[f"{name}_bias"], arrays.get(f"{name}_weights_diag")
    flat, places = arrays[f"{name}_weights_float"], arrays[f"{name}_weights_idx"]
    struct_ = _Linear(
        bias=bias.ctypes.data, float_weights=flat.ctypes.data, weights_idx=places.ctypes.data,
        diag=None if diagonal is None else diagonal.ctypes.data, inputs=384, outputs=bias.size,
    )  # fmt: skip
    matrix = _dense(flat, places, bias.size, 384)
    if diagonal is not None:  # each gate's own weight of each unit's own state
        matrix[np.arange(bias.size), np.arange(bias.size) % 384] += diagonal
    return matrix, bias, struct_


def _activation_error(library: Any) -> float:
    """Return how far the library's sigmoid and tanh are from the functions, at most."""
    x = np.linspace(-12, 12, 20001, dtype="float32")
    made, worst = np.empty_like(x), 0.0
    for code, true in ((1, sigmoid(x.astype("float64"))), (2, np.tanh(x.astype("float64")))):
        library.rnn_compute_activation_c(_pointer(made), _pointer(x), x.size, code)
        worst = max(worst, float(np.abs(made - true).max()))
    return worst


def _disturbed(x: Any, W: Any, b: Any, R: Any, b_h: Any, error: float, seed: int) -> Any:
    """Return a GRU in float64 whose activations are off by an error, up or down at random."""
    rng = np.random.default_rng(seed)
    h, output = np.zeros(384), []
    for one in x.astype("float64"):
        z_x, r_x, n_x = np.split(W @ one + b, 3)
        z_h, r_h, n_h = np.split(R @ h + b_h, 3)
        wrong = error * rng.choice((-1, 1), (3, 384))
        z, r = sigmoid(z_x + z_h) + wrong[0], sigmoid(r_x + r_h) + wrong[1]
        h = z * h + (1 - z) * (np.tanh(n_x + r * n_h) + wrong[2])
        output.append(h)
    return np.stack(output)[:, None]


def _pointer(array: Any) -> Any:
    return array.ctypes.data_as(ctypes.c_void_p)


@pytest.mark.parametrize("name", ["gru1", "gru2", "gru3"])
def test_rnnoise(agree: Any, name: str) -> None:
    """Three sparse GRUs of 384 units against the library's own function, with its float32 weights.

    Its tanh and sigmoid are rational functions with a reciprocal from a table: off by at most what
    is measured at 20,001 points, and not smooth. What comes of it is, of three runs in float64 with
    activations off by that much up or down at random, the largest difference.
    """
    library, arrays = _rnnoise()
    W, b, input_struct = _rnnoise_matrix(arrays, f"{name}_input")
    R, b_h, recurrent_struct = _rnnoise_matrix(arrays, f"{name}_recurrent")
    z, r, n = (slice(k * 384, (k + 1) * 384) for k in range(3))
    layer = sr.GRU(384, 384)
    layer.load_state_dict({
        key: np.concatenate([array[r], array[z], array[n]])
        for key, array in (
            ("weight_ih_l0", W), ("weight_hh_l0", R), ("bias_ih_l0", b), ("bias_hh_l0", b_h),
        )
    })  # fmt: skip
    x = np.tanh(np.random.default_rng(2).standard_normal((30, 384))).astype("float32")

    state, output = np.zeros(384, "float32"), []
    for one in x:
        library.rnn_compute_generic_gru(
            ctypes.byref(input_struct), ctypes.byref(recurrent_struct), _pointer(state),
            _pointer(np.ascontiguousarray(one)), 0,
        )  # fmt: skip
        output.append(state.copy())

    error = _activation_error(library)
    exact, *wrong = (
        _disturbed(x, W, b, R, b_h, size, seed) for seed, size in enumerate((0.0, *3 * (error,)))
    )
    besides = max(distance(one, exact) for one in wrong)
    theirs = {"output": np.stack(output)[:, None]}
    check_layer(agree, layer, x[:, None], theirs, besides=besides)
    check_stream(layer, x[:, None])
