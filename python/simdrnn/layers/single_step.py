"""Single cells: one step per call, PyTorch's ``*Cell`` names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from simdrnn.engine.protocol import CheckedCall, PackedNetwork, State
from simdrnn.layers.arguments import Layout
from simdrnn.layers.bound import BoundLayer
from simdrnn.layers.constructors import (
    Binding,
    configuration,
    construct_cell,
    defaults_of,
    gru_cell,
    lstm_cell,
    rnn_cell,
    shown,
)
from simdrnn.layers.parametrised import Parametrised
from simdrnn.spec.options import Options
from simdrnn.spec.structure import Structure
from simdrnn.validate import Array, as_array, readable

__all__ = ["AnyCell", "GRUCellLayer", "LSTMCellLayer", "RNNCellLayer", "RecurrentCell"]


class _CellLayout(Layout):
    """Layout of a cell's states: (B, H), or (H,) unbatched."""

    __slots__ = ()

    def state_shape(self, rows: Any, batch: Any, hidden: Any) -> tuple[Any, ...]:
        """Give the sizes, or the letters, of a caller's state."""
        return (batch, hidden) if self.batched else (hidden,)

    def layered(self, state: Array) -> Array:
        """View a caller's state as (1, B, H)."""
        return state[None] if self.batched else state[None, None]

    def caller_state(self, states: tuple[Array, ...]) -> State:
        """Give states (1, B, H) the caller's form."""
        views = tuple([state[0] if self.batched else state[0, 0] for state in states])
        return views if len(views) > 1 else views[0]


_BATCHED, _UNBATCHED = _CellLayout(), _CellLayout(batched=False)


class RecurrentCell(Parametrised):
    """One step of a recurrent layer, on the engine that its class names.

    Use its subclasses: ``RNNCell``, ``LSTMCell``, ``GRUCell``.
    """

    _binding: ClassVar[Binding]
    # The arguments that choose the cell, and what names it when given them.
    _switches: ClassVar[tuple[str, ...]] = ()
    _cell: ClassVar[Callable[..., str]]
    _fixed = frozenset({"input_size", "hidden_size", "seed", "options", "structure"})
    _made = _fixed | {"bias", "_bound", "_ready"}

    input_size: int
    hidden_size: int
    bias: bool
    seed: int
    options: Options
    structure: Structure
    _bound: BoundLayer
    _ready: Callable[[], PackedNetwork]

    _construct = construct_cell
    _configuration = configuration
    __repr__ = shown

    def __call__(
        self, x: npt.ArrayLike, state: object = None, *, attention: npt.ArrayLike | None = None
    ) -> State:
        """Take one step.

        Parameters
        ----------
        x : (B, I), or unbatched (I,).
        state : h (B, H), or the tuple (h, c) for LSTMCell; unbatched (H,). None is zeros.
        attention : (B,), unbatched one number: for cells that take one, and needed there.

        Returns
        -------
        state after the step, in the form of the argument.
        """
        engine = self._ready()
        if attention is None:
            plain = engine.plain_cell(x, state)
            if plain is not None:
                return plain
        checks = self._bound.checks
        array = as_array("x", x, self.dtype)
        if array.ndim not in (1, 2) or array.shape[-1] != self.input_size:
            size = self.input_size
            raise ValueError(f"x: expected shape (B, {size}) or ({size},), got {array.shape}")
        layout = _BATCHED if array.ndim == 2 else _UNBATCHED
        rows = readable(array if layout.batched else array[None])
        batch = len(rows)
        numbers = checks.attention(attention, ("B",)[: array.ndim - 1], array.shape[:-1])
        states = checks.zeros(batch)
        if state is not None:
            states = checks.states("state", state, batch, layout)
        final = tuple([np.empty_like(initial) for initial in states])
        output = np.empty((1, batch, self.hidden_size), self.dtype)
        run = CheckedCall(rows[None], states)
        if numbers is not None:
            run = run._replace(attention=np.ascontiguousarray(numbers).reshape(1, batch))
        engine.forward(run, output, final, tape=None)
        return layout.caller_state(final)


class RNNCellLayer(RecurrentCell):
    """One step of an Elman network, as ``torch.nn.RNNCell``: ``h = cell(x, h)``.

    Parameters
    ----------
    input_size, hidden_size : I, H.
    bias : whether there are biases.
    nonlinearity : ``"tanh"`` or ``"relu"``.
    dtype, seed, initializer, options : as for ``RNN``.
    """

    nonlinearity: str

    _switches = ("nonlinearity",)
    _cell = staticmethod(rnn_cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        initializer: str = "uniform",
        **options: Any,
    ) -> None:
        self._construct(locals())

    _defaults = defaults_of(__init__)


class LSTMCellLayer(RecurrentCell):
    """One step of an LSTM, as ``torch.nn.LSTMCell``: ``h, c = cell(x, (h, c))``.

    Parameters
    ----------
    input_size, hidden_size : I, H.
    bias : whether there are biases.
    peephole, coupled_input_forget, dtype, seed, initializer, forget_bias, options : as for
        ``LSTM``.
    """

    peephole: bool
    coupled_input_forget: bool | str

    _switches = ("peephole", "coupled_input_forget")
    _cell = staticmethod(lstm_cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
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


class GRUCellLayer(RecurrentCell):
    """One step of a GRU, as ``torch.nn.GRUCell``: ``h = cell(x, h)``.

    Parameters
    ----------
    input_size, hidden_size : I, H.
    bias : whether there are biases.
    reset_after : whether the reset gate acts after the recurrent product.
    dtype, seed, initializer, options : as for ``GRU``.
    """

    reset_after: bool

    _switches = ("reset_after",)
    _cell = staticmethod(gru_cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        reset_after: bool = True,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        initializer: str = "uniform",
        **options: Any,
    ) -> None:
        self._construct(locals())

    _defaults = defaults_of(__init__)


class AnyCell(RecurrentCell):
    """One step of the layer, as PyTorch's cells: ``state = cell(x, state)``.

    Parameters
    ----------
    input_size, hidden_size : I, H.
    bias : whether there are biases.
    dtype, seed, initializer, forget_bias, options : as for the layer.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: npt.DTypeLike = "float32",
        seed: int | None = None,
        initializer: str = "uniform",
        forget_bias: float | None = None,
        **options: Any,
    ) -> None:
        self._construct(locals())

    _defaults = defaults_of(__init__)
