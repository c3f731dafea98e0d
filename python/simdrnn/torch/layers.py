"""PyTorch's recurrent layers, run by our engine."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from simdrnn.layers.explanation import Explanation
from simdrnn.torch.by_steps import marked_layers
from simdrnn.torch.calls import Arguments
from simdrnn.torch.dispatch import fits, run
from simdrnn.torch.flat_weights import FlatWeights
from simdrnn.torch.marks import Marks, Sizes, marks_of
from simdrnn.torch.modes import Mode, mode, transformed
from simdrnn.torch.packed import forget
from simdrnn.torch.plain import plain_copy
from simdrnn.torch.promise import FrozenWeights
from simdrnn.torch.quantisation import Noticed
from simdrnn.torch.ragged import is_packed
from simdrnn.torch.second_order import without_onednn
from simdrnn.torch.spec import CELLS, Spec

__all__ = ["GRU", "LSTM", "RNN"]

_PADDING = (
    "a PackedSequence is exported: should pad_packed_sequence fail, which PyTorch cannot export "
    "for any length, then give the layer padded rows and lengths= instead"
)


class _Layer(FrozenWeights, FlatWeights):
    """What the layers share, in front of PyTorch's class in the order of resolution."""

    qconfig = Noticed()

    def forward(
        self,
        input: Any,
        hx: Any = None,
        *none: None,
        lengths: Any = None,
        mask: Any = None,
        reset: Any = None,
        reset_state: str | None = None,
    ) -> Any:
        """Run the layer: by the engine, or where that cannot, as PyTorch does.

        The keywords are beyond PyTorch's: tensors, or whatever NumPy reads. Gradients are exact
        with them; what is at steps that are not real is not read.

        Parameters
        ----------
        input : (T, B, I), (B, T, I) with ``batch_first``, (T, I), or a PackedSequence.
        hx : initial state (L*D, B, H), a pair of them for an LSTM; without B where the input has
            none. None is zero.
        *none : nothing. PyTorch's older exporter to ONNX hands in defaults of keywords by position.
        lengths : (B,) integers in [0, T]: how many steps of each row are real. Steps behind put out
            0, and final states are those after the last real step. Not with a PackedSequence.
        mask : (T, B) bool, laid out like `input`: True where a step is real. Others put out 0 and
            carry the state over.
        reset : (T, B) bool, laid out like `input`: True where a new episode begins, that is, where
            the state is replaced before the step is taken.
        reset_state : what `reset` goes to: ``"zero"``, which None stands for, or ``"given"``, `hx`.

        Returns
        -------
        output and final state, in the form of the arguments.

        Raises
        ------
        TypeError, ValueError : a keyword does not fit, or is given by position. Other errors are
            PyTorch's.

        Examples
        --------
        >>> layer, done = GRU(3, 4), torch.tensor([[False], [False], [True], [False]])
        >>> output, h = layer(torch.ones(4, 1, 3), torch.ones(1, 1, 4), reset=done)
        >>> torch.allclose(output[2:], layer(torch.ones(2, 1, 3))[0], atol=1e-6)
        True
        """
        if any(value is not None for value in none):
            raise TypeError(
                f"{type(self).__name__}.forward() takes from 2 to 3 positional arguments but "
                f"{3 + len(none)} were given"
            )
        how = mode()
        packed = isinstance(input, PackedSequence)
        spec, marks = self._spec(packed=packed), None
        if not (lengths is None and mask is None and reset is None and reset_state is None):
            marks = self._marks(input, how, lengths, mask, reset, reset_state)
        given = None
        if how is not Mode.FOREIGN:
            given = self._packed(input, hx, how) if packed else self._padded(input, hx, marks)
        results = None
        if given is not None:
            results = run(spec, given, how, training=self.training, frozen=self.frozen_weights)
        if results is None and marks is not None:
            results = self._by_steps(spec, input, hx, marks)
        if results is None:  # PyTorch does it, or says what is wrong with the arguments
            if how is Mode.FOREIGN and not torch.compiler.is_compiling() and transformed():
                with without_onednn():
                    return super().forward(input, hx)
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

        Calls notice by themselves that a parameter was exchanged or written to. With
        ``frozen_weights`` those that want no gradients have to be told of what PyTorch does not
        see: writes through ``parameter.data``, NumPy or another process.
        """
        super().flatten_parameters()
        forget(self._flat_weights)

    def explain(
        self,
        T: int,
        B: int,
        *,
        lengths: npt.ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> Explanation:
        """Say how the engine would run a call, and how calls check the weights.

        Parameters
        ----------
        T, B, lengths, num_threads : as for `simdrnn.explain`; None takes as many threads as
            PyTorch and `simdrnn.set_num_threads` both allow.

        Returns
        -------
        Explanation, whose ``weights`` say how these are checked.

        Raises
        ------
        TypeError : the weights are none that the engine runs.

        Examples
        --------
        >>> print(LSTM(3, 4).explain(T=5, B=2).weights)
        compared at every call with those that are packed
        """
        return self._explained(
            self._spec(packed=False), self._weights(), T, B, lengths, num_threads
        )

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

    def _marks(
        self, x: Any, how: Mode, lengths: Any, mask: Any, reset: Any, reset_state: Any
    ) -> Marks | None:
        """Return the checked keywords; None where there are none, or PyTorch will refuse x."""
        if isinstance(x, PackedSequence):
            given = {"lengths": lengths, "mask": mask, "reset": reset, "reset_state": reset_state}
            name = next(name for name, value in given.items() if value is not None)
            raise ValueError(
                f"{name}: expected None with a PackedSequence, which says itself how long its rows "
                f"are, got {type(given[name]).__name__}; pass padded rows instead"
            )
        if not isinstance(x, torch.Tensor) or x.dim() not in (2, 3):
            return None
        steps, batch = _sizes(x, self.batch_first)
        sizes = Sizes(steps, batch, self.batch_first, x.dim() == 3)
        traced = how is Mode.TRACED
        return marks_of(x, sizes, lengths, mask, reset, reset_state, traced=traced)

    def _by_steps(
        self, spec: Spec, x: Any, hx: Any, marks: Marks
    ) -> tuple[torch.Tensor, list[torch.Tensor]] | None:
        """Run a call with keywords by PyTorch's operators; None where PyTorch will refuse it."""
        weights, count = self._weights(), 2 if self.mode == "LSTM" else 1
        steps, batch = _sizes(x, self.batch_first)
        states = (hx,) if count == 1 else hx
        if hx is None:
            states = [x.new_zeros(shape) for shape in self._state_shapes(batch)]
        elif not isinstance(states, (tuple, list)) or len(states) != count:
            return None
        elif x.dim() == 2:
            if any(state.dim() != 2 for state in states):
                return None
            states = [state.unsqueeze(1) for state in states]
        if steps == 0:
            return None
        if x.dim() == 2:
            x = x.unsqueeze(0 if self.batch_first else 1)
        self.check_forward_args(x, tuple(states) if count == 2 else states[0], None)
        return marked_layers(spec, marks, x, states, weights, training=self.training)

    def _padded(self, x: Any, hx: Any, marks: Marks | None) -> Arguments | None:
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
        steps, batch = _sizes(x, self.batch_first)
        if states is None or steps == 0 or x.shape[2] != self.input_size:
            return None
        if not self._agree(states, batch):
            return None
        return Arguments(x, states, weights, marks=marks)

    def _packed(self, sequence: PackedSequence, hx: Any, how: Mode) -> Arguments | None:
        """Do the same for a call with a PackedSequence."""
        weights, x, batch_sizes = self._weights(), sequence.data, sequence.batch_sizes
        if not fits(x, weights) or x.dim() != 2 or x.shape[1] != self.input_size:
            return None
        if how is Mode.EAGER and not is_packed(batch_sizes, len(x)):
            return None
        batch = _rows_of(sequence, how)
        states: Sequence[Any] | None
        if hx is None and batch is None:
            return Arguments(x, (), weights, batch_sizes)
        if hx is None:
            states = [
                torch.zeros(*shape, dtype=x.dtype, device=x.device)
                for shape in self._state_shapes(batch)
            ]
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

    def _state_shapes(self, batch: Any) -> list[tuple[int, Any, int]]:
        """Return the shapes of the states, h first."""
        rows = self.num_layers * (2 if self.bidirectional else 1)
        h = (rows, batch, self.proj_size or self.hidden_size)
        return [h, (rows, batch, self.hidden_size)] if self.mode == "LSTM" else [h]

    def _agree(self, states: Sequence[Any], batch: Any) -> bool:
        """Tell whether states, if there are any, have their shapes."""
        if batch is None:
            batch = states[0].shape[1] if states[0].dim() == 3 else 0
        return len(states) == 0 or all(
            state.shape == shape
            for state, shape in zip(states, self._state_shapes(batch), strict=True)
        )


def _sizes(x: torch.Tensor, batch_first: bool) -> tuple[Any, Any]:
    """Return T and B of padded rows; B is 1 where there is no batch axis."""
    if x.dim() == 2:
        return x.shape[0], 1
    return (x.shape[1], x.shape[0]) if batch_first else (x.shape[0], x.shape[1])


def _rows_of(sequence: PackedSequence, how: Mode) -> Any:
    """Return B of packed rows, for who traces something that is another one in other calls.

    None leaves it to the operator, which sees the batch sizes.
    """
    if how is Mode.EAGER:
        return int(sequence.batch_sizes[0])
    if torch.compiler.is_exporting():
        warnings.warn(_PADDING, stacklevel=4)
    if sequence.sorted_indices is not None:
        return sequence.sorted_indices.shape[0]
    return sequence.batch_sizes[0] if torch.jit.is_tracing() else None


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
