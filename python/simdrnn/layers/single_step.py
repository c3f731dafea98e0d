"""Single cells: one step per call, PyTorch's ``*Cell`` names; not yet bound to an engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.engine.protocol import Run, State
from simdrnn.layers.arguments import Layout
from simdrnn.layers.bound import EngineUser
from simdrnn.layers.constructors import gru_cell, lstm_cell, rnn_cell
from simdrnn.spec.parameters import Sizes
from simdrnn.validate import Array, as_array, as_bool, readable

__all__ = ["GRUCellLayer", "LSTMCellLayer", "RNNCellLayer", "RecurrentCell"]


@dataclass(frozen=True, slots=True)
class _CellLayout(Layout):
    """Layout of a cell's states: (B, H), or (H,) unbatched."""

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


class RecurrentCell(EngineUser):
    """One step of a recurrent layer, on whatever engine is bound.

    Use its subclasses: ``RNNCell``, ``LSTMCell``, ``GRUCell``.
    """

    def _setup_cell(
        self, cell: str, input_size: int, hidden_size: int, bias: bool, **setup: Any
    ) -> None:
        """Check the arguments all cells share."""
        if "proj_size" in setup["options"]:
            raise ValueError(
                "proj_size: expected the layer LSTM, which alone has projections, "
                f"got {setup['options']['proj_size']!r} for a single cell"
            )
        sizes = Sizes.check(input_size, hidden_size, 1, False, as_bool("bias", bias))
        self._setup(cell, sizes, suffixes=False, **setup)

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
        array = as_array("x", x, self.dtype)
        if array.ndim not in (1, 2) or array.shape[-1] != self.input_size:
            size = self.input_size
            raise ValueError(f"x: expected shape (B, {size}) or ({size},), got {array.shape}")
        layout = _BATCHED if array.ndim == 2 else _UNBATCHED
        rows = readable(array if layout.batched else array[None])
        batch = len(rows)
        scores = self._call.attention(attention, ("B",)[: array.ndim - 1], array.shape[:-1])
        states = self._call.zeros(batch)
        if state is not None:
            states = self._call.states("state", state, batch, layout)
        final = tuple([np.empty_like(initial) for initial in states])
        output = np.empty((1, batch, self.hidden_size), self.dtype)
        run = Run(rows[None], states)
        if scores is not None:
            run = run._replace(attention=np.ascontiguousarray(scores).reshape(1, batch))
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

    _defaults = RecurrentCell._defaults | {"nonlinearity": "tanh"}

    nonlinearity: str

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
        **options: float | None,
    ) -> None:
        cell = rnn_cell(nonlinearity)
        self.nonlinearity = nonlinearity
        self._setup_cell(
            cell, input_size, hidden_size, bias,
            dtype=dtype, seed=seed, initializer=initializer, options=options,
        )  # fmt: skip


class LSTMCellLayer(RecurrentCell):
    """One step of an LSTM, as ``torch.nn.LSTMCell``: ``h, c = cell(x, (h, c))``.

    Parameters
    ----------
    input_size, hidden_size : I, H.
    bias : whether there are biases.
    peephole, coupled_input_forget, dtype, seed, initializer, forget_bias, options : as for
        ``LSTM``.
    """

    _defaults = RecurrentCell._defaults | {"peephole": False, "coupled_input_forget": False}

    peephole: bool
    coupled_input_forget: bool | str

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
        **options: float | None,
    ) -> None:
        cell = lstm_cell(peephole, coupled_input_forget)
        self.peephole, self.coupled_input_forget = bool(peephole), coupled_input_forget
        self._setup_cell(
            cell, input_size, hidden_size, bias, dtype=dtype, seed=seed,
            initializer=initializer, forget_bias=forget_bias, options=options,
        )  # fmt: skip


class GRUCellLayer(RecurrentCell):
    """One step of a GRU, as ``torch.nn.GRUCell``: ``h = cell(x, h)``.

    Parameters
    ----------
    input_size, hidden_size : I, H.
    bias : whether there are biases.
    reset_after : whether the reset gate acts after the recurrent product.
    dtype, seed, initializer, options : as for ``GRU``.
    """

    _defaults = RecurrentCell._defaults | {"reset_after": True}

    reset_after: bool

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
        **options: float | None,
    ) -> None:
        cell = gru_cell(reset_after)
        self.reset_after = bool(reset_after)
        self._setup_cell(
            cell, input_size, hidden_size, bias,
            dtype=dtype, seed=seed, initializer=initializer, options=options,
        )  # fmt: skip
