"""Seeing gradients vanish and explode: what a recorded run tells about a layer.

`recorded.py` views a tape, `measures.py`, `dynamics.py` and `nonfinite.py` measure, `report.py`
holds what was found, `words.py` and `plot.py` show it, `cures.py` says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, overload

import numpy as np

from simdrnn.diagnosis.dynamics import jacobian_radii, lyapunov_exponent, sampled
from simdrnn.diagnosis.findings import LayerDiagnosis
from simdrnn.diagnosis.measures import (
    clip_shares,
    driven_on_the_way,
    gradient_norms,
    gradient_slope,
    input_moments,
    keeping_gate,
    saturation,
)
from simdrnn.diagnosis.nonfinite import first_nonfinite
from simdrnn.diagnosis.recorded import Recorded, in_full
from simdrnn.diagnosis.report import Diagnosis, NetworkDiagnosis, part_name
from simdrnn.diagnosis.spectrum import radius_of_matrices
from simdrnn.layers.recording import Recording, Seen, watched
from simdrnn.layers.tape import Tape, recording_of
from simdrnn.training.chunk_tape import ChunkTape
from simdrnn.training.recurrent_parts import layer_tapes
from simdrnn.validate import Array, as_count, as_seed

__all__ = ["diagnose"]


@overload
def diagnose(
    tape: Tape,
    d_output: object = None,
    d_state: object = None,
    *,
    rows: int = 3,
    steps: int = 12,
    seed: int | None = 0,
) -> Diagnosis: ...
@overload
def diagnose(
    tape: Any,
    d_output: object = None,
    d_state: object = None,
    *,
    rows: int = 3,
    steps: int = 12,
    seed: int | None = 0,
) -> Diagnosis | NetworkDiagnosis: ...
def diagnose(
    tape: Any,
    d_output: object = None,
    d_state: object = None,
    *,
    rows: int = 3,
    steps: int = 12,
    seed: int | None = 0,
) -> Diagnosis | NetworkDiagnosis:
    """Tell how gradients fare on their way back through a recorded run, and what to try.

    Costs one `Tape.backward` that keeps what it carries, (S + 1) * H numbers per step, row, layer
    and direction; and on the NumPy twin, Jacobians of a few steps and rows, whose cost does not
    grow with T or B, and products of a few rows with up to 2000 of them.

    Parameters
    ----------
    tape : made by ``record`` of a layer, a stack or a model, or a chunk of `tbptt`.
    d_output, d_state : gradient of your loss, as for `Tape.backward`. With neither, the loss is the
        last layer's final h along a random unit vector, for each row and direction: norms then
        begin with 1, and show which share of a gradient is left at each step.
    rows : how many rows, evenly spaced over the batch, are looked at for Jacobians and the Lyapunov
        exponent; 0 leaves these out.
    steps : at how many steps, evenly spaced, the radius of the Jacobian is taken.
    seed : of the random vectors.

    Returns
    -------
    `Diagnosis`, or of a stack or model a `NetworkDiagnosis` with one for each level in ``parts``;
    with per layer and direction: norms of dL/dh_t and dL/dc_t, shares of saturated gate
    values and of values at a clip, spectral radii of recurrent matrices and step Jacobians, the
    largest Lyapunov exponent; the first value that is not finite; ``verdict``, ``suggestions``,
    ``str()`` and ``plot()``.

    Raises
    ------
    TypeError : `tape` is no tape.
    ValueError : an argument does not fit, or the parameters changed after recording.

    References
    ----------
    Hochreiter 1991, "Untersuchungen zu dynamischen neuronalen Netzen"; Bengio, Simard and Frasconi
    1994, "Learning long-term dependencies with gradient descent is difficult"; Pascanu, Mikolov and
    Bengio 2013, arXiv:1211.5063. What each measure follows is said where it is made.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> rnn = sr.init.apply(
    ...     sr.RNN(3, 8, nonlinearity="relu", seed=0), weight_hh=sr.init.identity(0.5), seed=0
    ... )
    >>> found = sr.diagnose(rnn.record(np.ones((40, 2, 3), "float32")))
    >>> found.verdict, found.layers[0].gradient["h"].shape
    ('vanish', (40, 2))
    >>> stack = sr.Stack([rnn, sr.LSTM(8, 8, seed=1)])
    >>> sr.diagnose(stack.record(np.ones((40, 2, 3), "float32"))).troubles
    {'0': ('vanish',), '1': ('vanish',)}
    """
    recorded: Any = tape.recorded if isinstance(tape, ChunkTape) else tape
    tapes = layer_tapes(recorded)
    if not tapes:
        raise TypeError(
            "tape: expected a Tape, made by layer.record, or that of a stack, a model or a chunk, "
            f"got {type(tape).__name__}"
        )
    most_rows, most_steps = as_count("rows", rows), as_count("steps", steps)
    rng = np.random.default_rng(as_seed(seed))
    if d_output is None and d_state is None:
        d_state = _default_gradient(recorded, rng)
    with np.errstate(all="ignore"), watched() as seen:  # NaN and infinity are what is looked for
        recorded.backward(d_output, d_state)  # checks both
    found = {
        name: _diagnosis(recording_of(own), seen, part_name(name), most_rows, most_steps, rng)
        for name, own in tapes.items()
    }
    if isinstance(recorded, Tape):
        return found[""]
    return NetworkDiagnosis(found)


def _diagnosis(
    recording: Recording,
    seen: dict[int, Seen],
    part: str,
    rows: int,
    steps: int,
    rng: np.random.Generator,
) -> Diagnosis:
    """Tell what was found in one layer, which may have layers and directions of its own."""
    bound, way = recording.bound, seen[id(recording)]
    recording = in_full(recording)
    directions = [Recorded.of(recording, index) for index in range(len(bound.passes))]
    given = {"d_output": [way.d_output], "d_state": way.d_final}
    layers = tuple(
        _examine(recorded, part, way.traces[recorded.index], way.d_output, rows, steps, rng)
        for recorded in directions
    )
    first = first_nonfinite(recording, directions, given, way.traces, way.grads)
    if first is not None:
        first = replace(first, part=part)
    projected = bool(bound.sizes.projected_size)
    return Diagnosis(bound.info.name, bound.options, layers, first, projected)


def _default_gradient(tape: Any, rng: np.random.Generator) -> object:
    """Draw d_state: a unit vector for each row's final h in the directions of the last layer."""
    if not isinstance(tape, Tape):
        inner = tape.tapes
        inner = list(inner.values()) if isinstance(inner, Mapping) else list(inner)
        inner = [own for own in inner if layer_tapes(own)]
        last = _default_gradient(inner[-1], rng)
        alone = len(inner) == 1 and isinstance(tape.tapes, Mapping)  # a model's only part
        return last if alone else (*(None for _ in inner[:-1]), last)
    recording = recording_of(tape)
    bound = recording.bound
    states = [np.zeros(state.shape, bound.dtype) for state in recording.run.states]
    top = slice(-bound.sizes.num_directions, None)
    drawn = rng.standard_normal(states[0][top].shape)
    states[0][top] = drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)
    return recording.layout.caller_state(tuple(states))


def _examine(
    recorded: Recorded,
    part: str,
    trace: Array,
    d_output: Array,
    rows: int,
    steps: int,
    rng: np.random.Generator,
) -> LayerDiagnosis:
    """Measure one direction of one layer."""
    bound, info = recorded.recording.bound, recorded.info
    h_size = bound.sizes.h_size
    norms, arriving = gradient_norms(recorded, trace)
    slope, span, lost = gradient_slope(recorded, norms)
    d_own = d_output.reshape(*d_output.shape[:2], bound.width)
    if not bound.sizes.merged:  # where directions merge, each is driven by all of it
        d_own = d_own[..., h_size * recorded.reverse : h_size * (recorded.reverse + 1)]
    on_top = recorded.layer == bound.sizes.num_layers - 1
    radii = radius_of_matrices(recorded.recurrent(), rng)
    sample = recorded.sample(sampled(recorded.steps.real, rows))
    times, jacobians = jacobian_radii(sample, steps, rng)
    mean, deviation = input_moments(recorded)
    return LayerDiagnosis(
        layer=recorded.layer,
        reverse=recorded.reverse,
        gradient=norms,
        arriving=arriving,
        slope=slope,
        lost=lost,
        span=span,
        driven=not on_top or driven_on_the_way(recorded, d_own),
        saturation=saturation(recorded),
        recurrent_radius={
            name: float(radius) for name, radius in zip(info.recurrent_names, radii, strict=True)
        },
        jacobian_steps=times,
        jacobian_radius=jacobians,
        lyapunov=lyapunov_exponent(sample, rng),
        clips=clip_shares(recorded, trace[..., -h_size:], bound.options),
        keep=keeping_gate(recorded),
        input_mean=mean,
        input_deviation=deviation,
        part=part,
    )
