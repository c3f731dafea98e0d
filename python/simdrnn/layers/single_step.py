"""Single cells: one step per call, PyTorch's ``*Cell`` names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from simdrnn.engine.protocol import CheckedCall, State
from simdrnn.layers.arguments import Layout
from simdrnn.layers.bound import BoundLayer
from simdrnn.layers.constructors import (
    Binding,
    Setup,
    bind,
    configuration,
    configuration_of_0_1,
    shown,
)
from simdrnn.layers.parametrised import Parametrised
from simdrnn.spec.options import Options
from simdrnn.spec.parameters import Sizes
from simdrnn.spec.structure import Structure
from simdrnn.validate import Array, as_array, as_bool, readable

__all__ = ["RecurrentCell"]


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


class RecurrentCell(Parametrised):
    """One step of a recurrent layer, on the engine that its class names.

    Use its subclasses: ``RNNCell``, ``LSTMCell``, ``GRUCell``.
    """

    _binding: ClassVar[Binding]
    # The arguments that choose the cell, and what does.
    _switches: ClassVar[tuple[str, ...]] = ()
    _fixed = Parametrised._fixed | {"input_size", "hidden_size", "seed", "options", "structure"}
    _made = _fixed | {"bias", "_bound", "_ready"}

    input_size: int
    hidden_size: int
    bias: bool
    seed: int
    options: Options
    structure: Structure
    _bound: BoundLayer

    _configuration = configuration
    _configuration_of_0_1 = classmethod(configuration_of_0_1)
    __repr__ = shown

    @classmethod
    def _cell(cls, **switches: Any) -> str:
        """Name the cell that arguments choose."""
        raise NotImplementedError

    def _construct(self, given: dict[str, Any]) -> None:
        """Check what a constructor was given, in the order of its signature, and build it."""
        switches = {name: given[name] for name in self._switches}
        cell = self._cell(**switches)
        for name, value in switches.items():
            setattr(self, name, value if isinstance(value, str) else bool(value))
        options = given["options"]
        if "proj_size" in options:
            raise ValueError(
                "proj_size: expected the layer LSTM, which alone has projections, "
                f"got {options['proj_size']!r} for a single cell"
            )
        bias = as_bool("bias", given["bias"])
        sizes = Sizes.check(given["input_size"], given["hidden_size"], 1, False, bias)
        self._bound = bind(self, Setup(
            cell, sizes, Structure(), given["dtype"], given["seed"], given["initializer"],
            given.get("forget_bias"), options, suffixes=False,
        ))  # fmt: skip
        self._ready = self._bound.ready

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
