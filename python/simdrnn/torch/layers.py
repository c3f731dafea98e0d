"""PyTorch's recurrent layers, run by our engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from simdrnn.torch.calls import Arguments
from simdrnn.torch.dispatch import fits, run
from simdrnn.torch.modes import Mode, mode
from simdrnn.torch.packed import forget
from simdrnn.torch.plain import plain_copy
from simdrnn.torch.ragged import is_packed
from simdrnn.torch.spec import CELLS, Spec

__all__ = ["GRU", "LSTM", "RNN"]


class _Layer(nn.RNNBase):
    """What the layers share, in front of PyTorch's class in the order of resolution."""

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Run the layer: by the engine, or where that cannot, as PyTorch does.

        Parameters
        ----------
        input : (T, B, I), (B, T, I) with ``batch_first``, (T, I), or a PackedSequence.
        hx : initial state (L*D, B, H), a pair of them for an LSTM; without B where the input has
            none. None is zero.

        Returns
        -------
        output and final state, in the form of the arguments.
        """
        how = mode()
        packed = isinstance(input, PackedSequence)
        given = None
        if how is not Mode.FOREIGN:
            given = self._packed(input, hx, how) if packed else self._padded(input, hx)
        results = None
        if given is not None:
            results = run(self._spec(packed=packed), given, how, training=self.training)
        if results is None:  # PyTorch does it, or says what is wrong with the arguments
            return super().forward(input, hx)
        output: Any = results[0]
        finals = results[1]
        if packed:
            output = PackedSequence(output, *input[1:])
            finals = [_ordered(state, input.unsorted_indices) for state in finals]
        elif input.dim() == 2:
            output = output.squeeze(0 if self.batch_first else 1)
            finals = [state.squeeze(1) for state in finals]
        return output, finals[0] if len(finals) == 1 else tuple(finals)

    def flatten_parameters(self) -> None:
        """Pack the weights anew at the next call; on a GPU, do what PyTorch's method does.

        Calls notice by themselves that a parameter was exchanged or written to, except where a few
        of its elements were written behind autograd's back: through ``parameter.data``, NumPy or
        another process.
        """
        super().flatten_parameters()
        forget(self._flat_weights)

    def __prepare_scriptable__(self) -> nn.Module:
        """Give `torch.jit.script` PyTorch's own layer, with the same parameters."""
        return plain_copy(self)

    def _weights(self) -> list[Any]:
        """Return the parameters, in PyTorch's order."""
        parameters = self._parameters
        try:
            return [parameters[name] for name in self._flat_weights_names]
        except KeyError:  # parametrised or pruned: an attribute, or a property
            return [getattr(self, name, None) for name in self._flat_weights_names]

    def _spec(self, *, packed: bool) -> Spec:
        """Return what the layer is now: its attributes may be changed at any time."""
        return Spec(
            CELLS[self.mode],
            self.num_layers,
            self.bidirectional,
            self.bias,
            self.batch_first and not packed,
            self.dropout,
            self.proj_size > 0,
        )

    def _padded(self, x: Any, hx: Any) -> Arguments | None:
        """Return the arguments of a call with a tensor; None where the engine cannot have them."""
        weights = self._weights()
        if not fits(x, weights) or x.dim() not in (2, 3):
            return None
        states = self._states(hx, weights)
        if x.dim() == 2:
            x = x.unsqueeze(0 if self.batch_first else 1)
            if any(state.dim() != 2 for state in states or ()):
                return None
            states = states and [state.unsqueeze(1) for state in states]
        batch, steps = x.shape[:2] if self.batch_first else (x.shape[1], x.shape[0])
        if states is None or steps == 0 or x.shape[2] != self.input_size:
            return None
        return Arguments(x, states, weights) if self._agree(states, batch) else None

    def _packed(self, sequence: PackedSequence, hx: Any, how: Mode) -> Arguments | None:
        """Do the same for a call with a PackedSequence."""
        weights, x, batch_sizes = self._weights(), sequence.data, sequence.batch_sizes
        if not fits(x, weights) or x.dim() != 2 or x.shape[1] != self.input_size:
            return None
        if how is Mode.EAGER and not is_packed(batch_sizes, len(x)):
            return None
        batch = int(batch_sizes[0])
        states: Sequence[Any] | None
        if hx is None:
            states = [x.new_zeros(shape) for shape in self._state_shapes(batch)]
        else:
            states = self._states(hx, weights)
            order = sequence.sorted_indices
            states = states and [_ordered(state, order) for state in states]
        if states is None or not self._agree(states, batch):
            return None
        return Arguments(x, states, weights, batch_sizes)

    def _states(self, hx: Any, weights: Sequence[Any]) -> Sequence[Any] | None:
        """Return the initial states that were given; None where they are none for the engine."""
        if hx is None:
            return ()
        count = 2 if self.mode == "LSTM" else 1
        states = (hx,) if count == 1 else hx
        if not isinstance(states, (tuple, list)) or len(states) != count:
            return None
        return states if all(fits(state, weights) for state in states) else None

    def _state_shapes(self, batch: int) -> list[tuple[int, int, int]]:
        """Return the shapes of the states, h first."""
        rows = self.num_layers * (2 if self.bidirectional else 1)
        h = (rows, batch, self.proj_size or self.hidden_size)
        return [h, (rows, batch, self.hidden_size)] if self.mode == "LSTM" else [h]

    def _agree(self, states: Sequence[Any], batch: int) -> bool:
        """Tell whether states, if there are any, have their shapes."""
        return not states or all(
            state.shape == shape
            for state, shape in zip(states, self._state_shapes(batch), strict=True)
        )


def _ordered(state: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    """Put the rows of a state into another order."""
    return state if order is None else state.index_select(1, order)


class RNN(_Layer, nn.RNN):
    """Elman's layers: `torch.nn.RNN`, run by our engine.

    Arguments, parameters, results and errors are those of `torch.nn.RNN`.

    Examples
    --------
    >>> layer = RNN(3, 4, nonlinearity="relu")
    >>> output, h = layer(torch.zeros(5, 2, 3))
    >>> output.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """


class LSTM(_Layer, nn.LSTM):
    """Long short-term memory: `torch.nn.LSTM`, run by our engine.

    Arguments, parameters, results and errors are those of `torch.nn.LSTM`. Masks of dropout are
    drawn from PyTorch's generator, but are other ones.

    Examples
    --------
    >>> layer = LSTM(3, 4, num_layers=2, batch_first=True)
    >>> output, (h, c) = layer(torch.zeros(2, 5, 3))
    >>> output.sum().backward()
    >>> layer.weight_hh_l1.grad.shape
    torch.Size([16, 4])
    """


class GRU(_Layer, nn.GRU):
    """Gated recurrent units: `torch.nn.GRU`, run by our engine.

    Arguments, parameters, results and errors are those of `torch.nn.GRU`, which resets after the
    product.

    Examples
    --------
    >>> layer = GRU(3, 4, bidirectional=True)
    >>> layer.load_state_dict(torch.nn.GRU(3, 4, bidirectional=True).state_dict())
    <All keys matched successfully>
    >>> layer(torch.zeros(5, 3))[0].shape
    torch.Size([5, 8])
    """
