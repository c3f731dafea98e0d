"""The kinds of layers: their constructors' arguments, not yet bound to an engine."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import numpy.typing as npt

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.validate import as_bool, check_choice

__all__ = [
    "GRULayer",
    "LSTMLayer",
    "RNNLayer",
    "documented_as",
    "gru_cell",
    "lstm_cell",
    "rnn_cell",
]

_Class = TypeVar("_Class", bound=type)


def documented_as(kind: type) -> Callable[[_Class], _Class]:
    """Decorate a class bound to an engine: put the documentation of its kind before its own."""

    def decorate(bound: _Class) -> _Class:
        texts = [inspect.cleandoc(cls.__doc__) for cls in (kind, bound) if cls.__doc__]
        bound.__doc__ = "\n\n".join(texts)  # nothing of it under python -OO
        return bound

    return decorate


def rnn_cell(nonlinearity: str) -> str:
    """Name the cell of an RNN."""
    check_choice("nonlinearity", nonlinearity, ("tanh", "relu"))
    return f"rnn_{nonlinearity}"


def gru_cell(reset_after: bool) -> str:
    """Name the cell of a GRU."""
    return "gru" if as_bool("reset_after", reset_after) else "gru_reset_before"


def lstm_cell(peephole: bool, coupled_input_forget: bool | str) -> str:
    """Name the cell of an LSTM."""
    name = "lstm_peephole" if as_bool("peephole", peephole) else "lstm"
    if isinstance(coupled_input_forget, str):
        check_choice("coupled_input_forget", coupled_input_forget, ("input", "forget"))
        return f"{name}_coupled_{coupled_input_forget}"
    coupled = as_bool("coupled_input_forget", coupled_input_forget)
    return f"{name}_coupled_input" if coupled else name


class RNNLayer(RecurrentLayer):
    """Elman network, as ``torch.nn.RNN``.

    ``h' = nonlinearity(W x + b_ih + R h + b_hh)``

    Parameters
    ----------
    input_size, hidden_size, num_layers : I, H, L.
    nonlinearity : ``"tanh"`` or ``"relu"``.
    bias : whether there are biases.
    batch_first : whether sequences are (B, T, ...); states never are.
    dropout : probability, between layers, while recording for training.
    bidirectional : whether every layer also runs backwards in time; `merge` says how outputs join.
    dtype : ``"float32"`` or ``"float64"``.
    seed : of the initial parameters and of dropout; None draws one.
    initializer : ``"uniform"`` (PyTorch's), ``"glorot"`` or ``"orthogonal"``.
    options : see `simdrnn.spec.options.Options` and `simdrnn.spec.structure.Structure`.
    """

    _defaults = {"nonlinearity": "tanh"} | RecurrentLayer._defaults

    nonlinearity: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        initializer: str = "uniform",
        **options: Any,
    ) -> None:
        cell = rnn_cell(nonlinearity)
        self.nonlinearity = nonlinearity
        self._setup_layer(
            cell, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            dtype=dtype, seed=seed, initializer=initializer, options=options,
        )  # fmt: skip


class LSTMLayer(RecurrentLayer):
    """Long short-term memory, as ``torch.nn.LSTM``.

    With gates i, f, g, o of ``W x + b_ih + R h + b_hh``:
    ``c' = sigmoid(f) * c + sigmoid(i) * tanh(g)`` and ``h' = sigmoid(o) * tanh(c')``.

    Parameters
    ----------
    input_size, hidden_size, num_layers : I, H, L.
    bias : whether there are biases.
    batch_first : whether sequences are (B, T, ...); states never are.
    dropout : probability, between layers, while recording for training.
    bidirectional : whether every layer also runs backwards in time; `merge` says how outputs join.
    proj_size : P, less than H; 0 is none. The h that is output and carried is then the projection
        ``weight_hr_l0 @ h'``, (P,) instead of (H,), without bias: Sak, Senior and Beaufays 2014,
        arXiv:1402.1128. ``weight_hh`` is (4*H, P), and layers above take D*P inputs.
    peephole : whether the gates see c, through a weight for each unit: i and f the old one, o the
        new one. They are the parameters ``weight_ci_l0``, ``weight_cf_l0``, ``weight_co_l0``.
    coupled_input_forget : ``"input"`` or True for f = 1 - i, as ONNX's ``input_forget``;
        ``"forget"`` for i = 1 - f, as TensorFlow Lite's CIFG. The weights then have three gates:
        i, g, o or f, g, o.
    dtype : ``"float32"`` or ``"float64"``.
    seed : of the initial parameters and of dropout; None draws one.
    initializer : ``"uniform"`` (PyTorch's), ``"glorot"`` or ``"orthogonal"``.
    forget_bias : initial bias of the forget gate, over both biases.
    options : see `simdrnn.spec.options.Options` and `simdrnn.spec.structure.Structure`.
    """

    _defaults = RecurrentLayer._defaults | {
        "proj_size": 0,
        "peephole": False,
        "coupled_input_forget": False,
    }

    proj_size: int
    peephole: bool
    coupled_input_forget: bool | str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        peephole: bool = False,
        coupled_input_forget: bool | str = False,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        initializer: str = "uniform",
        forget_bias: float | None = None,
        **options: Any,
    ) -> None:
        cell = lstm_cell(peephole, coupled_input_forget)
        self.peephole, self.coupled_input_forget = bool(peephole), coupled_input_forget
        self._setup_layer(
            cell, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            dtype=dtype, seed=seed, initializer=initializer, forget_bias=forget_bias,
            proj_size=proj_size, options=options,
        )  # fmt: skip
        self.proj_size = self._sizes.projected_size


class GRULayer(RecurrentLayer):
    """Gated recurrent unit, as ``torch.nn.GRU``.

    With ``r, z = sigmoid(...)``: ``n = tanh(W_n x + b_in + r * (R_n h + b_hn))`` and
    ``h' = n + z * (h - n)``. With ``reset_after=False``, ONNX's default,
    ``n = tanh(W_n x + b_in + R_n (r * h) + b_hn)``.

    Parameters
    ----------
    input_size, hidden_size, num_layers : I, H, L.
    bias : whether there are biases.
    batch_first : whether sequences are (B, T, ...); states never are.
    dropout : probability, between layers, while recording for training.
    bidirectional : whether every layer also runs backwards in time; `merge` says how outputs join.
    reset_after : whether the reset gate acts after the recurrent product.
    dtype : ``"float32"`` or ``"float64"``.
    seed : of the initial parameters and of dropout; None draws one.
    initializer : ``"uniform"`` (PyTorch's), ``"glorot"`` or ``"orthogonal"``.
    options : see `simdrnn.spec.options.Options` and `simdrnn.spec.structure.Structure`.
    """

    _defaults = RecurrentLayer._defaults | {"reset_after": True}

    reset_after: bool

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        initializer: str = "uniform",
        **options: Any,
    ) -> None:
        cell = gru_cell(reset_after)
        self.reset_after = bool(reset_after)
        self._setup_layer(
            cell, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional,
            dtype=dtype, seed=seed, initializer=initializer, options=options,
        )  # fmt: skip
