"""Layers of different kinds, sizes and options, one on top of the other."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.engine.packing import Counter
from simdrnn.engine.protocol import PackedNetwork
from simdrnn.engine.random_words import call_key
from simdrnn.engine.streaming import Nodes, Stage
from simdrnn.layers.bound import bound_layer
from simdrnn.layers.parametrised import parameters_of
from simdrnn.layers.recurrent import RecurrentLayer, at_version
from simdrnn.layers.stream_parts import Frozen, Group, StreamLayer, Vectors
from simdrnn.layers.streaming import (
    Stream,
    check_causal,
    check_settled,
    copy_of_version,
    member_of,
    open_stream,
)
from simdrnn.layers.tape import Tape
from simdrnn.stack.call import StackCall, each
from simdrnn.stack.container import Container, held, versions_of
from simdrnn.stack.highway import HighwayGate
from simdrnn.stack.levels import Levels
from simdrnn.stack.skips import Highway
from simdrnn.stack.tape import StackTape
from simdrnn.validate import Array, as_bool, as_positive, as_probability, as_seed

__all__ = ["Stack"]


class Stack(Container):
    """Layers of different kinds, sizes and options, one on top of the other.

    Layer i is given u_i and makes f_i(u_i); it hands on y_i; x is the stack's input:

    | `skip` | u_i, i > 0 | y_i | output |
    |---|---|---|---|
    | None | y_{i-1} | f_i(u_i) | that of the last layer |
    | ``"residual"`` | y_{i-1} | f_i(u_i) + u_i | that of the last layer |
    | ``"highway"`` | y_{i-1} | g * f_i(u_i) + (1 - g) * u_i | that of the last layer |
    | ``"concat"`` | (x, y_{i-1}) | f_i(u_i) | (y_0, y_1, ...) |

    with u_0 = x and g = sigmoid(W_i u_i + b_i), learned. Residuals and highways are where u_i and
    f_i(u_i) have the same size, and at real steps; elsewhere y_i = f_i(u_i). Dropout acts on what a
    layer hands to the next one.

    Parameters
    ----------
    layers : recurrent layers of one dtype and layout. Each takes inputs of the size of u_i. They
        stay what they are: the stack reads and trains their parameters.
    skip : None, ``"residual"``, ``"highway"`` or ``"concat"``.
    dropout : probability, between layers, while recording for training.
    seed : of dropout and of the highway gates; None draws one.

    Raises
    ------
    TypeError, ValueError : a layer is none, comes twice, or does not fit the one below.

    Notes
    -----
    Parameters are named ``{i}.{name}``, those of gates ``{i}.gate.weight`` (F, F) and
    ``{i}.gate.bias`` (F,), which starts at -1. A state is a tuple of the layers' states. What a
    layer promises about bits, the stack does.

    References
    ----------
    Graves 2013, arXiv:1308.0850 (concat); He et al. 2016, arXiv:1512.03385 (residual); Srivastava
    et al. 2015, arXiv:1505.00387, and Zilly et al. 2017, arXiv:1607.03474 (highway).

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layers = [sr.LSTM(3, 8, bidirectional=True, merge="sum", seed=0), sr.GRU(8, 8, seed=1)]
    >>> stack = sr.Stack(layers, skip="residual", seed=2)
    >>> tape = stack.record(np.ones((5, 2, 3), "float32"), lengths=[5, 2])
    >>> tape.output.shape, len(tape.state)
    ((5, 2, 8), 2)
    >>> grads = tape.backward(d_output=np.ones_like(tape.output))
    >>> sr.optim.Adam(stack, lr=1e-3).step(grads)
    >>> sorted(grads.params)[:2]
    ['0.bias_hh_l0', '0.bias_hh_l0_reverse']
    """

    __module__ = "simdrnn"
    _made = frozenset({"_levels", "_dropout", "_seed", "_calls", "_members", "_frozen_copy"})

    def __init__(
        self,
        layers: Sequence[RecurrentLayer],
        skip: str | None = None,
        dropout: float = 0.0,
        *,
        seed: int | None = None,
    ) -> None:
        self._levels = Levels.check(layers, skip)
        self._dropout = as_probability("dropout", dropout)
        if self._dropout > 0 and len(self) == 1:
            warnings.warn(
                "dropout: acts between layers, and one layer has no such place", stacklevel=2
            )
        self._seed = as_seed(seed)
        self._calls = Counter()
        self._members = {str(index): layer for index, layer in enumerate(self.layers)}
        connections = self._levels.skip
        if isinstance(connections, Highway):
            rng = np.random.default_rng(self._seed)
            for index in connections.places:
                bound = self._levels.bounds[index]
                gate = HighwayGate(bound.engine, bound.sizes.input_size, bound.dtype, rng)
                connections.gates[index] = self._members[f"{index}.gate"] = gate

    @property
    def layers(self) -> tuple[RecurrentLayer, ...]:
        """The layers, the first one at the bottom."""
        return self._levels.layers

    @property
    def skip(self) -> str | None:
        """How the layers are connected."""
        return self._levels.name

    @property
    def dropout(self) -> float:
        """Probability of dropout between layers."""
        return self._dropout

    @property
    def seed(self) -> int:
        """Seed of dropout and of the highway gates."""
        return self._seed

    @property
    def dtype(self) -> np.dtype[Any]:
        """Floating-point type of all arrays."""
        return self._levels.dtype

    @property
    def input_size(self) -> int:
        """I, of the first layer."""
        return self.layers[0].input_size

    @property
    def output_size(self) -> int:
        """F, the size of the output."""
        return self._levels.skip.output_size()

    def _stepped(self) -> dict[str, Any]:
        """Return what it is to those who step it."""
        return self._levels.stepped()

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self._levels)

    def __getitem__(self, index: int) -> RecurrentLayer:
        """Return one of the layers."""
        return self.layers[index]

    def __repr__(self) -> str:
        """Show the constructor's arguments that are not the default."""
        shown = [f"[{', '.join(map(repr, self.layers))}]"]
        shown += [] if self.skip is None else [f"skip={self.skip!r}"]
        shown += [f"dropout={self._dropout}"] if self._dropout else []
        return f"Stack({', '.join(shown)})"

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
        reset_state: object = None,
        return_all_states: bool = False,
    ) -> tuple[Any, ...]:
        """Run the stack for inference: no dropout, nothing saved.

        Parameters
        ----------
        x : (T, B, I), (B, T, I) with ``batch_first``, or unbatched (T, I).
        state : a tuple with the state of each layer, in its form, or None for what it begins with.
        lengths, mask, reset, num_threads : as when calling a layer.
        masked_output : as when calling a layer; what is held is what the layers make, without
            what skips add.
        reset_state : what `reset` goes to in every layer, ``"zero"``, ``"learned"`` or
            ``"given"``, or a tuple with one of these, a state or None for each; None is what each
            layer does by itself: what it has learned, else zeros.
        return_all_states : whether to return the states over time, too.

        Returns
        -------
        output : (T, B, F), laid out like `x`.
        state : a tuple with the state of each layer.
        all_states : if asked for, a tuple with those of each layer.
        """
        keep = as_bool("return_all_states", return_all_states)
        call = self._check(x, state, lengths, mask, reset, masked_output, num_threads, reset_state)
        states, over_time, versions = [], [], self._versions()

        def run(index: int, given: Array) -> Array:
            options = call.options(index)
            made, *after = at_version(self[index]).call(
                versions[str(index)], given, call.states[index], return_all_states=keep, **options
            )
            states.append(after[0])
            over_time.extend(after[1:])
            return made  # type: ignore[no-any-return]

        output = call.climb(self._levels.skip, len(self), run, versions).output
        return (output, tuple(states), tuple(over_time)) if keep else (output, tuple(states))

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
        num_threads: int | None = None,
        reset_state: object = None,
        copy: bool = False,
    ) -> StackTape:
        """Run the stack and keep what back-propagation needs.

        Parameters
        ----------
        training : whether dropout is on, between the layers and in them.
        checkpoint_every : k steps between checkpoints in every layer: see `simdrnn.LSTM.record`.
        x, state, lengths, mask, reset, masked_output, num_threads, reset_state : as when calling
            the stack. The tape refers to them: leave them as they are until the last
            `StackTape.backward`, which notices if one of them was written to.
        copy : whether the tape keeps copies of them instead.

        Returns
        -------
        StackTape with ``output``, ``state`` and ``backward``.
        """
        kept: dict[str, Any] = {"training": as_bool("training", training)}
        kept["copy"] = as_bool("copy", copy)
        if checkpoint_every is not None:
            kept["checkpoint_every"] = as_positive("checkpoint_every", checkpoint_every)
        call = self._check(x, state, lengths, mask, reset, masked_output, num_threads, reset_state)
        if copy:
            call = replace(call, run=call.run._replace(x=call.run.x.copy(order="C")))
        if training:
            key = call_key(self._seed, self._calls.take())
            if len(self) > 1:
                call = replace(call, dropout=self._dropout, key=key)
        if training and any(bound.changes_weights for bound in self._levels.bounds):
            with held(self._members):  # weights are changed when their layer's turn comes
                return self._recorded_call(call, kept)
        return self._recorded_call(call, kept)

    def _recorded_call(self, call: StackCall, kept: dict[str, Any]) -> StackTape:
        """Record a call whose arguments have been checked; `kept` is what only records take."""
        tapes: list[Tape] = []
        versions = self._versions(recorded=True)

        def run(index: int, given: Array) -> Array:
            options = call.options(index)
            tape = at_version(self[index]).record(
                versions[str(index)], given, call.states[index], **kept, **options
            )
            tapes.append(tape)
            return tape.output

        output, joints = call.climb(self._levels.skip, len(self), run, versions)
        return StackTape(self._levels, self._members, versions, call, output, tapes, joints)

    def stream(self, batch_size: int = 1, num_threads: int = 1) -> Stream:
        """Return a stream: the stack as it is now, fed as its input arrives.

        Parameters
        ----------
        batch_size : B, rows whose states the stream keeps.
        num_threads : how many threads a call of the stream may use. Never changes the result.

        Returns
        -------
        Stream; its `state` is a tuple with the state of each layer.

        Raises
        ------
        ValueError : a layer is bidirectional or reversed: its outputs depend on what has not
            arrived yet.
        """
        for index, bound in enumerate(self._levels.bounds):
            check_causal(f"layers[{index}]", bound.structure, bound.sizes.num_directions)
        with held(self._members):
            stage, members = self._stream_stage()
            owner = copy_of_version(self, versions_of(self), deepcopy)
        form = Group("layer", tuple(range(len(members))))
        inputs = Vectors(self.dtype, self.input_size)
        checks = self._levels.bounds[0].checks
        frozen = Frozen(
            owner, [stage], members, form, checks.layout, self.dtype, inputs, self.output_size,
            checks,
        )  # fmt: skip
        return open_stream(frozen, batch_size, num_threads)

    def _stream_stage(self) -> tuple[Stage, tuple[StreamLayer, ...]]:
        """Return what it is in a stream; writers are kept out."""
        for owner in self._members.values():
            check_settled(parameters_of(owner))
        versions = self._ready_members()
        nodes, skip = Nodes(self.input_size), self._levels.skip
        joined: list[int] = []
        members: list[StreamLayer] = []
        for index, bound in enumerate(self._levels.bounds):
            given = skip.stream_give(nodes, joined[-1]) if joined else 0
            made, member = member_of(nodes, bound, versions[str(index)], given)
            gate = versions.get(f"{index}.gate")
            joined.append(skip.stream_join(nodes, index, given, made, gate))
            members.append(member)
        skip.stream_output(nodes, joined)
        return Stage("graph", nodes.made), tuple(members)

    def _versions(self, *, recorded: bool = False) -> dict[str, PackedNetwork]:
        """Return the version of every member's parameters, such as were there at one time."""
        found = self._ready_members(recorded)
        for prefix, member in self._members.items():
            if parameters_of(member).settled() != found[prefix].version:
                break
        else:
            return found
        with held(self._members):  # somebody wrote in between
            return self._ready_members(recorded)

    def _ready_members(self, recorded: bool = False) -> dict[str, PackedNetwork]:
        """Return the present version of each member's parameters."""
        return {
            prefix: member.ready(recorded)
            if isinstance(member, HighwayGate)
            else bound_layer(member).ready(recorded)
            for prefix, member in self._members.items()
        }

    def _check(
        self, x: object, state: object, lengths: object, mask: object, reset: object,
        masked_output: str, num_threads: int | None, reset_state: object,
    ) -> StackCall:  # fmt: skip
        """Check the arguments of a call for every layer."""
        return StackCall.check(
            self._levels.bounds, x, state, reset_state, lengths=lengths, mask=mask, reset=reset,
            masked_output=masked_output, num_threads=num_threads,
        )  # fmt: skip

    def last_output(self, state: object) -> Array:
        """Return the output at each row's last real step, of each direction.

        Parameters
        ----------
        state : final state of a call, as that returned it.

        Returns
        -------
        (B, F), unbatched (F,): see `simdrnn.LSTM.last_output`.

        Raises
        ------
        ValueError : the stack has residuals or highways: its output is more than its state.
        """
        self._levels.check_last()
        if state is None:
            raise TypeError("state: expected the state that a call returned, got None")
        states = each("state", state, len(self))
        skip = self._levels.skip
        shown = skip.shown()
        return skip.output([self[index].last_output(states[index]) for index in shown])

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, less the layers."""
        return {"skip": self.skip, "dropout": self.dropout, "seed": self.seed}

    def _rebuild(self, layers: Sequence[RecurrentLayer], configuration: Mapping[str, Any]) -> None:
        """Build it as the constructor does, of what it was told then."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Stack.__init__(self, layers, **configuration)
