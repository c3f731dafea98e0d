"""The kinds of layers: what their constructors take, and their documentation.

No class here is bound to an engine; `simdrnn.layers.compiled` and `simdrnn.reference.layers` do
that. RNN, LSTM and GRU follow PyTorch's classes.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from simdrnn.layers.constructors import defaults_of, gru_cell, lstm_cell, rnn_cell
from simdrnn.layers.recurrent import RecurrentLayer

__all__ = ["AnyLayer", "GRULayer", "LSTMLayer", "RNNLayer"]


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

    nonlinearity: str

    _switches = ("nonlinearity",)
    _cell = staticmethod(rnn_cell)

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
        self._construct(locals())

    _defaults = {"nonlinearity": "tanh"} | defaults_of(__init__)


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

    proj_size: int
    peephole: bool
    coupled_input_forget: bool | str

    _switches = ("peephole", "coupled_input_forget")
    _cell = staticmethod(lstm_cell)

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
        self._construct(locals())

    _defaults = defaults_of(__init__)


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

    reset_after: bool

    _switches = ("reset_after",)
    _cell = staticmethod(gru_cell)

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
        self._construct(locals())

    _defaults = defaults_of(__init__)


class AnyLayer(RecurrentLayer):
    """A layer of the cell that a subclass names, of the table.

    Parameters
    ----------
    input_size, hidden_size, num_layers : I, H, L.
    bias : whether there are biases.
    batch_first : whether sequences are (B, T, ...); states never are.
    dropout : probability, between layers, while recording for training.
    bidirectional : whether every layer also runs backwards in time; outputs are concatenated.
    dtype : ``"float32"`` or ``"float64"``.
    seed : of the initial parameters and of dropout; None draws one.
    initializer : ``"uniform"`` (PyTorch's), ``"glorot"`` or ``"orthogonal"``.
    forget_bias : initial bias of the gate that keeps the state, over both biases.
    options : see `simdrnn.spec.options.Options`.
    """

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
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        initializer: str = "uniform",
        forget_bias: float | None = None,
        **options: Any,
    ) -> None:
        self._construct(locals())

    _defaults = defaults_of(__init__)
