"""PyTorch's cells, run by our engine: one step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from simdrnn.torch.calls import Arguments
from simdrnn.torch.dispatch import fits, run
from simdrnn.torch.modes import Mode, mode
from simdrnn.torch.plain import plain_copy
from simdrnn.torch.promise import FrozenWeights
from simdrnn.torch.quantisation import Noticed
from simdrnn.torch.spec import Spec

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class _Cell(FrozenWeights, nn.RNNCellBase):
    """What the cells share, in front of PyTorch's class in the order of resolution."""

    qconfig = Noticed()

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Take one step: by the engine, or where that cannot, as PyTorch does.

        Parameters
        ----------
        input : (B, I), or (I,).
        hx : state before, (B, H) or (H,); a pair of them for an LSTM. None is zero.

        Returns
        -------
        state after, in the same form.
        """
        how = mode()
        given = None if how is Mode.FOREIGN else self._arguments(input, hx)
        results = None
        if given is not None:
            results = run(self._spec(), given, how, frozen=self.frozen_weights)
        if results is None:  # PyTorch does it, or says what is wrong with the arguments
            return super().forward(input, hx)
        states = [state.squeeze(0) for state in results[1]]  # of the only layer
        if input.dim() == 1:
            states = [state.squeeze(0) for state in states]
        return states[0] if len(states) == 1 else tuple(states)

    def __prepare_scriptable__(self) -> nn.Module:
        """Give `torch.jit.script` PyTorch's own cell, with the same parameters."""
        return plain_copy(self)

    def _cell(self) -> str:
        """Return the engine's name of the cell."""
        raise NotImplementedError

    def _spec(self) -> Spec:
        """Return the cell as a layer of one step."""
        return Spec(self._cell(), has_biases=self.bias)

    def _arguments(self, x: Any, hx: Any) -> Arguments | None:
        """Return the arguments of a call; None where the engine cannot have them."""
        weights = self._weights()
        if not fits(x, weights) or x.dim() not in (1, 2) or x.shape[-1] != self.input_size:
            return None
        count = 2 if self._cell() == "lstm" else 1
        states: Sequence[Any] = () if hx is None else hx if count == 2 else (hx,)
        shape = (*x.shape[:-1], self.hidden_size)
        if hx is not None and (
            not isinstance(states, (tuple, list))
            or len(states) != count
            or any(not fits(state, weights) or state.shape != shape for state in states)
        ):
            return None
        if x.dim() == 1:
            x, states = x.unsqueeze(0), [state.unsqueeze(0) for state in states]
        return Arguments(x.unsqueeze(0), [state.unsqueeze(0) for state in states], weights)

    def _weights(self) -> list[Any]:
        """Return the parameters, in PyTorch's order."""
        names = _WEIGHTS if self.bias else _WEIGHTS[:2]
        parameters = self._parameters
        try:
            return [parameters[name] for name in names]
        except KeyError:  # parametrised or pruned: an attribute, or a property
            return [getattr(self, name, None) for name in names]


class RNNCell(_Cell, nn.RNNCell):
    """Elman's cell: `torch.nn.RNNCell`, run by our engine.

    Examples
    --------
    >>> import torch
    >>> RNNCell(3, 4)(torch.zeros(2, 3)).shape
    torch.Size([2, 4])
    """

    def _cell(self) -> str:
        return f"rnn_{self.nonlinearity}"

    def _arguments(self, x: Any, hx: Any) -> Arguments | None:
        known = self.nonlinearity in ("tanh", "relu")
        return super()._arguments(x, hx) if known else None


class LSTMCell(_Cell, nn.LSTMCell):
    """The LSTM's cell: `torch.nn.LSTMCell`, run by our engine.

    Examples
    --------
    >>> import torch
    >>> h, c = LSTMCell(3, 4)(torch.zeros(2, 3))
    >>> h.shape, c.shape
    (torch.Size([2, 4]), torch.Size([2, 4]))
    """

    def _cell(self) -> str:
        return "lstm"


class GRUCell(_Cell, nn.GRUCell):
    """The GRU's cell: `torch.nn.GRUCell`, run by our engine.

    Examples
    --------
    >>> import torch
    >>> GRUCell(3, 4)(torch.zeros(3), torch.zeros(4)).shape
    torch.Size([4])
    """

    def _cell(self) -> str:
        return "gru"
