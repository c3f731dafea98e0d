"""The front end of recurrent layers: checks arguments, allocates results, calls the engine."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from simdrnn.checkpoints import TapeSpec
from simdrnn.engine import EngineUser
from simdrnn.run import Run, State
from simdrnn.tape import Tape
from simdrnn.validate import Array, as_bool, as_count, as_probability
from simdrnn.weights import Sizes

__all__ = ["RecurrentLayer"]

# Weyl increment, 2**64 / golden ratio: spreads the keys of successive calls (docs/engines.md).
_KEY_STEP = 0x9E3779B97F4A7C15
_KEY_MASK = 2**64 - 1

_MOST_ROWS = 2**31 - 1  # of a batch: the engine numbers rows with 32 bits
_MOST_STEPS = 2**45  # of all rows: no input of as many fits in the address space


class RecurrentLayer(EngineUser):
    """A stack of recurrent layers, in one direction or two, on whatever engine is bound.

    Use its subclasses: ``RNN``, ``LSTM``, ``GRU``.
    """

    _defaults: ClassVar[dict[str, object]] = {
        "num_layers": 1,
        "bias": True,
        "batch_first": False,
        "dropout": 0.0,
        "bidirectional": False,
    }

    num_layers: int
    batch_first: bool
    dropout: float
    bidirectional: bool

    def _setup_layer(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        **setup: Any,
    ) -> None:
        """Check the arguments all layers share, in the order of their signatures."""
        self.batch_first = as_bool("batch_first", batch_first)
        self.dropout = as_probability("dropout", dropout)
        self.bidirectional = as_bool("bidirectional", bidirectional)
        sizes = Sizes.check(
            input_size, hidden_size, num_layers, self.bidirectional, as_bool("bias", bias)
        )
        self.num_layers = sizes.num_layers
        if self.dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout: acts between layers, and num_layers=1 has no such place", stacklevel=3
            )
        self._recorded = 0
        self._width = sizes.num_directions * sizes.hidden_size
        self._setup(cell, sizes, batch_first=self.batch_first, dropout=self.dropout, **setup)

    def __call__(
        self,
        x: npt.ArrayLike,
        state: object = None,
        *,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        reset: npt.ArrayLike | None = None,
        masked_output: str = "zero",
        num_threads: int | None = None,
        out: Array | None = None,
    ) -> tuple[Array, State]:
        """Run the layer for inference: no dropout, nothing saved.

        Parameters
        ----------
        x : (T, B, I), (B, T, I) with ``batch_first``, or unbatched (T, I). Any strides.
        state : h_0 (L*D, B, H), or the tuple (h_0, c_0) for LSTM; unbatched without B.
            None is zeros.
        lengths : (B,) integers in [0, T]: how many steps of each row are real.
        mask : (T, B) bool, laid out like `x`: True where the step is real. At other steps every
            state is carried over.
        reset : (T, B) bool, laid out like `x`: True where the state is replaced by the initial
            one before the step is consumed.
        masked_output : ``"zero"`` or ``"hold"``: what a step that is not real outputs, 0 or the
            carried hidden state.
        num_threads : None leaves the choice to the engine. Never changes the result.
        out : where the output is written; it must not overlap `x` or `state`.

        Returns
        -------
        output : (T, B, D*H), laid out like `x`.
        state : in the form of the argument: after the last step of each row.
        """
        engine = self._ready()
        if (
            lengths is None
            and mask is None
            and reset is None
            and num_threads is None
            and out is None
            and masked_output == "zero"
            and not self.batch_first
        ):
            plain = engine.plain_layer(x, state)
            if plain is not None:
                return plain
        run, layout = self._call.run(x, state, lengths, mask, reset, masked_output, num_threads)
        steps, batch = run.x.shape[:2]
        if out is None:
            output = np.empty((steps, batch, self._width), self.dtype)
        else:
            output = layout.time_first(self._call.out(out, run, layout, self._width))
        final = tuple([np.empty_like(initial) for initial in run.states])
        engine.forward(run, output, final, tape=None)
        return layout.caller(output) if out is None else out, layout.caller_state(final)

    def record(
        self,
        x: npt.ArrayLike,
        state: object = None,
        *,
        training: bool = True,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        reset: npt.ArrayLike | None = None,
        masked_output: str = "zero",
        checkpoint_every: int | None = None,
        memory_budget: int | None = None,
        num_threads: int | None = None,
    ) -> Tape:
        """Run the layer and keep what back-propagation needs.

        Parameters
        ----------
        training : whether dropouts and zoneout are drawn at random.
        checkpoint_every : k steps: instead of what every step saves, keep h of every step and the
            other states of every k-th; `Tape.backward` makes the rest again, at least k steps at a
            time in one layer and direction. Same gradients, bit for bit; one more forward pass.
        memory_budget : bytes for ``tape.peak_nbytes``: keeps everything where that fits, else
            chooses the spacing of least memory. Not together with `checkpoint_every`.
        x, state, lengths, mask, reset, masked_output, num_threads : as when calling the layer.
            The tape refers to `x`, `state`, `mask` and `reset`: leave them as they are until the
            last `Tape.backward`.

        Returns
        -------
        Tape with ``output``, ``state`` and ``backward``.

        Raises
        ------
        TypeError, ValueError : an argument does not fit; `memory_budget` is too small, and the
            message names the smallest that would do.

        Examples
        --------
        >>> import numpy as np, simdrnn as sr
        >>> layer = sr.LSTM(8, 32, seed=0)
        >>> x = np.ones((10_000, 4, 8), "float32")
        >>> plain, less = layer.record(x), layer.record(x, checkpoint_every=100)
        >>> bool(plain.peak_nbytes > 4 * less.peak_nbytes)
        True
        >>> np.array_equal(less.backward(less.output).x, plain.backward(plain.output).x)
        True
        """
        as_bool("training", training)
        run, layout = self._call.run(x, state, lengths, mask, reset, masked_output, num_threads)
        every = self._spacing(run, checkpoint_every, memory_budget)
        if training:
            key = (self.seed + _KEY_STEP * self._recorded) & _KEY_MASK
            self._recorded += 1
            run = run._replace(training=True, key=key)
        arrays = self._tape.allocate(self.dtype, len(run.x), run.x.shape[1], every)
        output = arrays.hidden[-1]
        final = tuple([np.empty_like(initial) for initial in run.states])
        self._ready().forward(run, output, final, tape=arrays)
        return Tape(self, run, layout, arrays, output, final)

    @property
    def _saved_width(self) -> int:
        """Values per unit that a step leaves on a tape."""
        return self._info.saved + self.options.saved_states(self._info.states)

    @property
    def _tape(self) -> TapeSpec:
        """What decides the sizes of tapes."""
        return TapeSpec(self._info, self._sizes, self._saved_width)

    def _spacing(self, run: Run, checkpoint_every: object, memory_budget: object) -> int:
        """Return the steps between a run's checkpoints; 0 without."""
        if memory_budget is None:
            return self._tape.spacing(checkpoint_every, len(run.x))
        if checkpoint_every is not None:
            raise ValueError(
                f"memory_budget: expected None with checkpoint_every, got {memory_budget!r}"
            )
        return self._tape.choose(self._ready(), run, memory_budget)

    def workspace_bytes(
        self, T: int, B: int, training: bool = True, checkpoint_every: int | None = None
    ) -> int:
        """Return how many bytes a call allocates besides arguments, results and tape.

        Parameters
        ----------
        T, B : steps and batch size of the call. ``lengths``, ``mask`` and ``reset`` add a few
            bytes per step and row, and to training up to four times the gate gradients kept at
            once where threads share rows of different lengths; dropout adds a chunk of its input.
        training : of `record` and `Tape.backward`; else of calling the layer.
        checkpoint_every : as given to `record`: backward then makes saved values again.
        """
        steps, batch = as_count("T", T), as_count("B", B)
        if batch > _MOST_ROWS:
            raise ValueError(f"B: expected at most {_MOST_ROWS}, got {batch}")
        if steps * max(batch, 1) > _MOST_STEPS:
            raise ValueError(f"T: expected T * B of at most {_MOST_STEPS}, got {steps} * {batch}")
        every = self._tape.spacing(checkpoint_every, steps)
        return self._engine.workspace_bytes(steps, batch, as_bool("training", training), every)
