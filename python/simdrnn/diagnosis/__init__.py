"""Seeing gradients vanish and explode: what a recorded run tells about a layer.

`recorded.py` views a tape, `measures.py`, `dynamics.py` and `nonfinite.py` measure, `report.py`
holds what was found, `words.py` and `plot.py` show it.
"""

from __future__ import annotations

import numpy as np

from simdrnn.diagnosis.dynamics import jacobian_radii, lyapunov_exponent, sampled
from simdrnn.diagnosis.findings import LayerDiagnosis
from simdrnn.diagnosis.measures import (
    clip_shares,
    driven_on_the_way,
    gradient_norms,
    gradient_slope,
    saturation,
)
from simdrnn.diagnosis.nonfinite import first_nonfinite
from simdrnn.diagnosis.recorded import Recorded
from simdrnn.diagnosis.report import Diagnosis
from simdrnn.diagnosis.spectrum import radius_of_matrices
from simdrnn.layers.recording import Recording
from simdrnn.layers.tape import Tape, recording_of
from simdrnn.validate import Array, as_count, as_seed

__all__ = ["diagnose"]


def diagnose(
    tape: Tape,
    d_output: object = None,
    d_state: object = None,
    *,
    rows: int = 3,
    steps: int = 12,
    seed: int | None = 0,
) -> Diagnosis:
    """Tell how gradients fare on their way back through a recorded run, and what to try.

    Costs one `Tape.backward` that keeps what it carries, (S + 1) * H numbers per step, row, layer
    and direction; and on the NumPy twin, Jacobians of a few steps and rows, whose cost does not
    grow with T or B, and products of a few rows with up to 2000 of them.

    Parameters
    ----------
    tape : made by ``layer.record``, on either engine.
    d_output, d_state : gradient of your loss, as for `Tape.backward`. With neither, the loss is the
        last layer's final h along a random unit vector, for each row and direction: norms then
        begin with 1, and show which share of a gradient is left at each step.
    rows : how many rows, evenly spaced over the batch, are looked at for Jacobians and the Lyapunov
        exponent; 0 leaves these out.
    steps : at how many steps, evenly spaced, the radius of the Jacobian is taken.
    seed : of the random vectors.

    Returns
    -------
    `Diagnosis` with per layer and direction: norms of dL/dh_t and dL/dc_t, shares of saturated gate
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
    ...     sr.RNN(3, 8, nonlinearity="relu"), weight_hh=sr.init.identity(0.5), seed=0
    ... )
    >>> found = sr.diagnose(rnn.record(np.ones((40, 2, 3), "float32")))
    >>> found.verdict, found.layers[0].gradient["h"].shape
    ('vanish', (40, 2))
    """
    if not isinstance(tape, Tape):
        raise TypeError(f"tape: expected a Tape, made by layer.record, got {type(tape).__name__}")
    most_rows, most_steps = as_count("rows", rows), as_count("steps", steps)
    rng = np.random.default_rng(as_seed(seed))
    recording = recording_of(tape)
    bound = recording.bound
    directions = [Recorded.of(recording, index) for index in range(len(bound.passes))]
    if d_output is None and d_state is None:
        d_state = _default_gradient(recording, rng)
    traces = _empty_traces(recording)
    with np.errstate(all="ignore"):  # NaN and infinity are what is looked for
        grads = recording.backward(d_output, d_state, trace=traces)  # checks both
    d_sequence, d_final = recording.d_output(d_output), recording.d_final(d_state)
    given = {"d_output": [d_sequence], "d_state": d_final}
    layers = tuple(
        _examine(recorded, traces[recorded.index], d_sequence, most_rows, most_steps, rng)
        for recorded in directions
    )
    first = first_nonfinite(recording, directions, given, traces, grads)
    projected = bool(bound.sizes.projected_size)
    return Diagnosis(bound.info.name, bound.options, layers, first, projected)


def _default_gradient(recording: Recording, rng: np.random.Generator) -> object:
    """Draw d_state: a unit vector for each row's final h in the directions of the last layer."""
    bound = recording.bound
    states = [np.zeros(state.shape, bound.dtype) for state in recording.run.states]
    last = slice(-bound.sizes.num_directions, None)
    drawn = rng.standard_normal(states[0][last].shape)
    states[0][last] = drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)
    return recording.layout.caller_state(tuple(states))


def _empty_traces(recording: Recording) -> list[Array]:
    """Return zeros for what back-propagation carries: by direction, (T, B, (S + 1) * H).

    Where h is projected, (T, B, P + (S - 1) * H + P).
    """
    bound = recording.bound
    sizes = bound.checks.state_sizes
    shape = (*recording.run.x.shape[:2], sum(sizes) + sizes[0])
    return [np.zeros(shape, bound.dtype) for _ in range(len(bound.passes))]


def _examine(
    recorded: Recorded,
    trace: Array,
    d_output: Array,
    rows: int,
    steps: int,
    rng: np.random.Generator,
) -> LayerDiagnosis:
    """Measure one direction of one layer."""
    bound = recorded.recording.bound
    h_size = bound.sizes.h_size
    norms, arriving = gradient_norms(recorded, trace)
    slope, span, lost = gradient_slope(recorded, norms)
    columns = slice(h_size * recorded.reverse, h_size * (recorded.reverse + 1))
    on_top = recorded.layer == bound.sizes.num_layers - 1
    names = recorded.info.recurrent_names
    radii = radius_of_matrices(recorded.recurrent(), rng)
    sample = recorded.sample(sampled(recorded.steps.real, rows))
    times, jacobians = jacobian_radii(sample, steps, rng)
    return LayerDiagnosis(
        layer=recorded.layer,
        reverse=recorded.reverse,
        gradient=norms,
        arriving=arriving,
        slope=slope,
        lost=lost,
        span=span,
        driven=not on_top or driven_on_the_way(recorded, d_output[..., columns]),
        saturation=saturation(recorded),
        recurrent_radius={name: float(radius) for name, radius in zip(names, radii, strict=True)},
        jacobian_steps=times,
        jacobian_radius=jacobians,
        lyapunov=lyapunov_exponent(sample, rng),
        clips=clip_shares(recorded, trace[..., -h_size:], bound.options),
    )
