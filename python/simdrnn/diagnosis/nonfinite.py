"""Where NaN or infinity came up first, in the order in which things are computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from simdrnn.diagnosis.findings import NonFinite
from simdrnn.diagnosis.recorded import Recorded
from simdrnn.layers.gradients import Gradients
from simdrnn.layers.recording import Recording
from simdrnn.reference.gates import H_ITSELF
from simdrnn.validate import Array

__all__ = ["first_nonfinite"]


def first_nonfinite(
    recording: Recording,
    directions: Sequence[Recorded],
    given: dict[str, Sequence[Array]],
    traces: Sequence[Array],
    grads: Gradients,
) -> NonFinite | None:
    """Return the first value that is not finite: forward before backward; None if there is none.

    Parameters
    ----------
    recording, directions : the recorded run and its parts, layer by layer.
    given : the gradients that were handed in, by argument.
    traces : what back-propagation carried, by direction.
    grads : what came of it.
    """
    candidates = _all(recording, directions, given, traces, grads)
    return next((found for found in candidates if found is not None), None)


def _all(
    recording: Recording,
    directions: Sequence[Recorded],
    given: dict[str, Sequence[Array]],
    traces: Sequence[Array],
    grads: Gradients,
) -> Iterator[NonFinite | None]:
    """Look at one thing after the other."""
    for name, array in recording.bound.parameters.arrays.items():
        yield _anywhere(name, array, "forward", given=True)
    yield _step(directions[0], [("x", recording.run.x)], "forward", given=True)
    for state in recording.run.states:
        yield _anywhere("the initial state", state, "forward", given=True)
    for recorded in directions:
        yield _step(recorded, list(_values(recorded)), "forward")
    for name, arrays in given.items():
        for array in arrays:
            yield _anywhere(name, array, "backward", given=True)
    last_first = sorted(range(len(directions)), key=lambda index: -directions[index].layer)
    for index in last_first:
        recorded = directions[index]
        blocks = recorded.carried(traces[index])
        names = [f"dL/d{name}" for name in recorded.state_names]
        yield _step(recorded, list(zip(names, blocks, strict=False)), "backward")
    if grads.x is not None:
        yield _anywhere("dL/dx", grads.x, "backward")
    for name, array in grads.params.items():
        yield _anywhere(f"the gradient of {name}", array, "backward")


def _values(recorded: Recorded) -> Iterator[tuple[str, Array]]:
    """Yield a direction's values in the order in which a step makes them."""
    names = {gate.place: gate.name for gate in recorded.gates if gate.place != H_ITSELF}
    others = recorded.info.saved - recorded.info.states + 1
    names |= {others + k: name for k, name in enumerate(recorded.state_names[1:])}
    for place in range(recorded.info.saved):
        yield names.get(place, f"saved value {place}"), recorded.saved[:, :, place]
    yield "h", recorded.output


def _anywhere(name: str, array: Array, during: str, *, given: bool = False) -> NonFinite | None:
    """Look at something that belongs to no step."""
    bad = ~np.isfinite(array)
    return NonFinite(name, float(array[bad][0]), during, given=given) if bad.any() else None


def _step(
    recorded: Recorded, values: Sequence[tuple[str, Array]], during: str, *, given: bool = False
) -> NonFinite | None:
    """Look for the first step of one direction with a value (T, B, H) that is not finite."""
    order = np.asarray(recorded.steps.order, np.intp)[:: 1 if during == "forward" else -1]
    real = recorded.steps.real
    bad = [~np.isfinite(array).all(axis=-1) & real for _, array in values]
    anywhere = np.logical_or.reduce(bad).any(axis=1)[order]
    if not anywhere.any():
        return None
    t = int(order[anywhere.argmax()])
    which = next(k for k, rows in enumerate(bad) if rows[t].any())
    row = int(bad[which][t].argmax())
    name, array = values[which]
    value = float(array[t, row][~np.isfinite(array[t, row])][0])
    if given:
        return NonFinite(name, value, during, None, False, t, row, given=True)
    return NonFinite(name, value, during, recorded.layer, recorded.reverse, t, row)
