"""The front end of recurrent layers: checks arguments, allocates results, calls the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias, overload

import numpy as np
import numpy.typing as npt

from simdrnn.engine.kept_arrays import empty
from simdrnn.engine.packing import Counter
from simdrnn.engine.protocol import PackedNetwork, State
from simdrnn.engine.random_words import call_key
from simdrnn.layers.bound import BoundLayer
from simdrnn.layers.constructors import Binding, configuration, construct_layer, shown
from simdrnn.layers.parametrised import Parametrised
from simdrnn.layers.recording import Recording, Uses, copied
from simdrnn.layers.states import all_states, merged_final
from simdrnn.layers.tape import Tape
from simdrnn.spec.options import Options
from simdrnn.spec.structure import Structure
from simdrnn.validate import MOST_THREADS, Array, as_bool, as_count

if TYPE_CHECKING:
    from simdrnn.layers.streaming import Stream

__all__ = ["AtVersion", "RecurrentLayer", "at_version"]

_Flags: TypeAlias = "npt.ArrayLike | None"

_MOST_ROWS = 2**31 - 1  # of a batch: the engine numbers rows with 32 bits
_MOST_STEPS = 2**45  # of all rows: no input of as many fits in the address space


class AtVersion(NamedTuple):
    """A layer's methods that take a version of its parameters, `BoundLayer.ready` of some moment.

    Behind it come the arguments of a call.
    """

    call: Callable[..., tuple[Any, ...]]
    record: Callable[..., Tape]


class RecurrentLayer(Parametrised):
    """A stack of recurrent layers, in one direction or two, on the engine that its class names.

    Use its subclasses: ``RNN``, ``LSTM``, ``GRU``.
    """

    _binding: ClassVar[Binding]
    # The arguments that choose the cell, and what names it when given them.
    _switches: ClassVar[tuple[str, ...]] = ()
    _cell: ClassVar[Callable[..., str]]
    _fixed = frozenset({"input_size", "hidden_size", "seed", "options", "structure"})
    _made = _fixed | {"bias", "_bound", "_calls", "_frozen_copy", "_ready", "_short"}

    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    batch_first: bool
    dropout: float
    bidirectional: bool
    seed: int
    options: Options
    structure: Structure
    _bound: BoundLayer
    _ready: Callable[..., PackedNetwork]
    _calls: Counter

    @property
    def _recorded(self) -> int:
        """How many training calls were recorded; no two threads have the same."""
        return self._calls.value

    @_recorded.setter
    def _recorded(self, count: int) -> None:
        self._calls = Counter(count)

    _construct = construct_layer
    _configuration = configuration
    __repr__ = shown

    def _stages(self, prefix: str = "") -> list[dict[str, Any]]:
        """Return what it is to those who step it, with names of parameters that begin so."""
        from simdrnn.layers.stepped import graph_of  # for files alone

        return [graph_of(self._bound, prefix)]

    def _stepped(self) -> dict[str, Any]:
        """Return what it is to those who step it."""
        from simdrnn.layers.stepped import chained

        return chained(self.dtype, self.input_size, self._stages())

    @overload
    def __call__(
        self, x: npt.ArrayLike, state: object = None, *, lengths: _Flags = None,
        mask: _Flags = None, reset: _Flags = None, masked_output: str = "zero",
        num_threads: int | None = None, out: Array | None = None, reset_state: object = None,
        return_all_states: Literal[False] = False, attention: _Flags = None,
    ) -> tuple[Array, State]: ...  # fmt: skip
    @overload
    def __call__(
        self, x: npt.ArrayLike, state: object = None, *, lengths: _Flags = None,
        mask: _Flags = None, reset: _Flags = None, masked_output: str = "zero",
        num_threads: int | None = None, out: Array | None = None, reset_state: object = None,
        return_all_states: Literal[True], attention: _Flags = None,
    ) -> tuple[Array, State, State]: ...  # fmt: skip
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
        reset_state: object = None,
        return_all_states: bool = False,
        attention: npt.ArrayLike | None = None,
    ) -> tuple[Array, State] | tuple[Array, State, State]:
        """Run the layer for inference: no dropout, nothing saved.

        Parameters
        ----------
        x : (T, B, I), (B, T, I) with ``batch_first``, or unbatched (T, I). Any strides.
        state : h_0 (L*D, B, H), or the tuple (h_0, c_0) for LSTM; unbatched without B. With
            `proj_size` h_0 is (L*D, B, P), and P takes H's place in `output`, too.
            None is zeros, or with ``learn_initial_state=True`` what was learned.
        lengths : (B,) integers in [0, T]: how many steps of each row are real.
        mask : (T, B) bool, laid out like `x`: True where the step is real. At other steps every
            state is carried over.
        reset : (T, B) bool, laid out like `x`: True where an episode begins: the state is
            replaced before the step is consumed, whatever `state` is, by what was learned with
            ``learn_initial_state=True`` and else by zeros.
        masked_output : ``"zero"`` or ``"hold"``: what a step that is not real outputs, 0 or the
            carried hidden state.
        num_threads : None leaves the choice to the engine. Never changes the result.
        out : where the output is written; it must not overlap `x` or `state`.
        reset_state : what `reset` goes to instead: ``"zero"``; ``"learned"`` with
            ``learn_initial_state=True``; ``"given"``, the state that the call begins with; or a
            state in the form of `state`.
        return_all_states : whether to return the states over time, too. The call then keeps what
            a recorded one does.
        attention : (T, B), laid out like `x`: a number for every step and row, for cells that take
            one, as AUGRU, and needed there.

        Returns
        -------
        output : (T, B, D*H), laid out like `x`; with `merge` (T, B, H) or (T, B, 2, H).
        state : in the form of the argument: after the last step of each row.
        all_states : if asked for, (T, L*D, B, H), or a tuple of such: see `Tape.all_states`.
        """
        engine = self._ready()
        if (
            lengths is None
            and mask is None
            and reset is None
            and (
                num_threads is None
                or (type(num_threads) is int and 0 < num_threads <= MOST_THREADS)
            )
            and out is None
            and reset_state is None
            and return_all_states is False
            and type(masked_output) is str
            and masked_output == "zero"
            and attention is None
            and self._short
        ):
            plain = engine.plain_layer(x, state, num_threads or 0)
            if plain is not None:
                return plain
        return self._call(
            engine, x, state, lengths, mask, reset, masked_output, num_threads, out, reset_state,
            return_all_states, attention,
        )  # fmt: skip

    def _call(
        self, engine: PackedNetwork, x: object, state: object = None, lengths: object = None,
        mask: object = None, reset: object = None, masked_output: str = "zero",
        num_threads: int | None = None, out: Array | None = None, reset_state: object = None,
        return_all_states: bool = False, attention: object = None,
    ) -> tuple[Any, ...]:  # fmt: skip
        """Run the layer with this version of its parameters."""
        recorded = as_bool("return_all_states", return_all_states)
        bound = self._bound
        run, layout = (engine.beside or bound.checks).check(
            x, state, lengths, mask, reset, masked_output, num_threads, reset_state,
            attention,
        )  # fmt: skip
        if out is None:
            output = empty((*run.x.shape[:2], *bound.values.shape), self.dtype)
        else:
            output = layout.time_first(bound.checks.out(out, run, layout, bound.values))
        final = tuple([np.empty_like(initial) for initial in run.states])
        arrays = bound.tapes.allocate(self.dtype, output, 0) if recorded else None
        engine.forward(run, output, final, tape=arrays)
        output = layout.caller(output) if out is None else out
        if arrays is None:
            return output, layout.caller_state(final)
        states = all_states(run, arrays, bound.spec)
        return output, layout.caller_state(final), layout.caller_states(states)

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
        reset_state: object = None,
        attention: npt.ArrayLike | None = None,
        copy: bool = False,
    ) -> Tape:
        """Run the layer and keep what back-propagation needs.

        Parameters
        ----------
        training : whether dropouts, zoneout and noise are drawn at random.
        checkpoint_every : k steps: instead of what every step saves, keep h of every step and the
            other states of every k-th; `Tape.backward` makes the rest again, at least k steps at a
            time in one layer and direction. Same gradients, bit for bit; one more forward pass.
        memory_budget : bytes for ``tape.peak_nbytes``: keeps everything where that fits, else
            chooses the spacing of least memory. Not together with `checkpoint_every`.
        x, state, lengths, mask, reset, masked_output, num_threads, reset_state, attention : as when
            calling the layer. The tape refers to `x`, `state`, `mask`, `reset`, `reset_state` and
            `attention`: leave them as they are until the last `Tape.backward`, which notices if
            one of them was written to.
        copy : whether the tape keeps copies of these instead, so that the caller's arrays may be
            written to, as a buffer that the next batch is read into.

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
        return self._record(
            None, x, state, training, lengths, mask, reset, masked_output, checkpoint_every,
            memory_budget, num_threads, reset_state, attention, as_bool("copy", copy),
        )  # fmt: skip

    def _record(
        self, engine: PackedNetwork | None, x: object, state: object = None,
        training: bool = True, lengths: object = None, mask: object = None, reset: object = None,
        masked_output: str = "zero", checkpoint_every: int | None = None,
        memory_budget: int | None = None, num_threads: int | None = None,
        reset_state: object = None, attention: object = None, copy: bool = False,
    ) -> Tape:  # fmt: skip
        """Record the layer with this version of its parameters, or with the present one."""
        bound = self._bound
        changing = training and bound.changes_weights  # then the version is what is drawn
        if engine is None and not changing:
            engine = self._ready(True)  # once for the whole call
        arguments = (
            x, state, lengths, mask, reset, masked_output, num_threads, reset_state, attention,
        )  # fmt: skip
        checks = bound.checks if engine is None else engine.beside or bound.checks
        run, layout = checks.check(*arguments)
        every = bound.tapes.decide(bound.network, run, checkpoint_every, memory_budget)
        key = call_key(self.seed, self._calls.take()) if training else 0
        changed = None
        if engine is None or changing:
            from simdrnn.layers.weight_noise import ChangedWeights

            changed = ChangedWeights.draw(bound, key)
            engine = changed.bound.ready(True)
            if engine.beside:  # learned states of that very version
                run, layout = engine.beside.check(*arguments)
        run = copied(run) if copy else run
        run = run.drawing(key) if training else run
        output = empty((*run.x.shape[:2], *bound.values.shape), self.dtype)
        arrays = bound.tapes.allocate(self.dtype, output, every)
        final = tuple([np.empty_like(initial) for initial in run.states])
        engine.forward(run, output, final, tape=arrays)
        uses = Uses.of(self.structure.learn_initial_state, state, reset_state)
        return Tape(
            Recording(
                bound, run, layout, arrays, output, final, uses, engine, changed, copies=copy
            )
        )  # fmt: skip

    @property
    def _at_version(self) -> AtVersion:
        """How the layer is called by who has taken a version of its parameters."""
        return AtVersion(self._called, self._record)

    def _called(
        self, engine: PackedNetwork, x: Array, state: object, **options: Any
    ) -> tuple[Any, ...]:
        """Run the layer with this version, by the short way where that will do."""
        plainly = options["masked_output"] == "zero" and all(
            value is None or value is False or name == "masked_output"
            for name, value in options.items()
        )
        if self._short and plainly:
            plain = engine.plain_layer(x, state)
            if plain is not None:
                return plain
        return self._call(engine, x, state, **options)

    def stream(self, batch_size: int = 1, num_threads: int = 1) -> Stream:
        """Return a stream: the layer as it is now, fed as its input arrives.

        Parameters
        ----------
        batch_size : B, rows whose states the stream keeps.
        num_threads : how many threads a call of the stream may use. Never changes the result.

        Returns
        -------
        Stream with `step`, `feed`, `state`, `reset` and `clone`. Later changes of the parameters
        do not reach it. Streams of the same version share its packed weights, and a copy of the
        parameters, which is what is pickled.

        Raises
        ------
        ValueError : the layer is bidirectional or reversed: its outputs depend on what has not
            arrived yet.

        Examples
        --------
        >>> import numpy as np, simdrnn as sr
        >>> stream = sr.LSTM(3, 4, seed=0).stream(batch_size=2)
        >>> x, y = np.ones((2, 3), "float32"), np.empty((2, 4), "float32")
        >>> stream.step(x, out=y) is y
        True
        """
        from simdrnn.layers.streaming import frozen_layer, open_stream

        return open_stream(frozen_layer(self, self._bound), batch_size, num_threads)

    def last_output(self, state: object) -> Array:
        """Return the output at each row's last real step, of each direction, as they merge.

        Parameters
        ----------
        state : final state of a call, as that returned it.

        Returns
        -------
        (B, D*H), or as `merge` has it (B, H) or (B, 2, H); unbatched without B: the merged final h
        of the top layer. It is right whatever `lengths` and `mask` were, and in both directions.

        Raises
        ------
        ValueError : the layer has ``residual=True``: its output is more than its state. Then
            record the call and see `Tape.last_output`.

        Examples
        --------
        >>> import numpy as np
        >>> from simdrnn import reference
        >>> layer = reference.GRU(3, 4, bidirectional=True, seed=0)
        >>> output, state = layer(np.ones((5, 2, 3)), lengths=[5, 2])
        >>> last = layer.last_output(state)
        >>> both = np.concatenate([output[1, 1, :4], output[0, 1, 4:]])  # of row 1: two steps
        >>> bool((last[1] == both).all())
        True
        """
        if self.structure.residual:
            raise ValueError(
                "last_output: expected a layer whose output is its state, got residual=True; "
                "record the call and use tape.last_output"
            )
        states, layout = self._bound.checks.any_states("state", state)
        last = merged_final(self._bound.spec, states[0])
        return last if layout.batched else last[0]

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
        every = self._bound.tapes.spacing(checkpoint_every, steps)
        return self._bound.network.workspace_bytes(
            steps, batch, as_bool("training", training), every
        )


def at_version(layer: RecurrentLayer) -> AtVersion:
    """Return how a layer is called by who has taken a version of its parameters."""
    return layer._at_version
