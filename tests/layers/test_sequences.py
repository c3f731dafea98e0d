"""Lengths, masks and resets mean what running each row's real segments separately gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from helpers import (
    CELLS,
    ENGINES,
    PATTERNS,
    as_tuple,
    assert_close,
    few,
    flat_gradients,
    make_layer,
    make_problem,
    tolerance,
)
from simdrnn.layers.bound import bound_layer

ALLOWED = tolerance("float64", 10, 2 * 3 + 3)


@dataclass
class Row:
    """One row of a batch: its steps, and which of them are real or start afresh."""

    x: Any
    mask: Any
    reset: Any
    length: int

    def segments(self) -> list[list[int]]:
        """Split the row's real length at its resets into runs of times."""
        parts: list[list[int]] = [[]]
        for t in range(self.length):
            if self.reset[t]:
                parts.append([])
            parts[-1].append(t)
        return parts


def run_row(layer: Any, row: Row, initial: tuple[Any, ...], hold: bool) -> tuple[Any, Any]:
    """Run one row through a single layer of one direction, segment by segment."""
    output = np.zeros((len(row.x), initial[0].shape[-1]))
    zeros = tuple(np.zeros_like(member) for member in initial)
    state = initial
    for number, times in enumerate(row.segments()):
        state = zeros if number else initial
        for t in times:
            if row.mask[t]:
                form = state if len(state) > 1 else state[0]
                y, after = layer(row.x[t : t + 1], form)
                output[t], state = y[0], as_tuple(after)
            elif hold:
                output[t] = state[0][0]
    if hold:
        output[row.length :] = state[0][0]
    return output, state


def run_reversed_row(layer: Any, row: Row, initial: tuple[Any, ...], hold: bool) -> tuple[Any, Any]:
    """Do the same backwards: turn the row's real length around, and its cuts with it."""
    n = row.length
    cuts = np.zeros(len(row.x), bool)
    cuts[1:n] = row.reset[1:n][::-1]  # between t-1 and t, seen from the other side
    turned = Row(row.x.copy(), row.mask.copy(), cuts, n)
    turned.x[:n], turned.mask[:n] = row.x[:n][::-1], row.mask[:n][::-1]
    output, state = run_row(layer, turned, initial, hold)
    output[:n] = output[:n][::-1].copy()
    output[n:] = initial[0][0] if hold else 0.0
    return output, state


def run_rows(problem: Any, layers: list[Any], both: bool) -> tuple[Any, tuple[Any, ...]]:
    """Run a whole problem row by row, layer by layer and direction by direction."""
    steps, batch = problem.x.shape[:2]
    lengths = problem.call.get("lengths", np.full(batch, steps))
    mask = problem.call.get("mask", np.ones((steps, batch), bool))
    reset = problem.call.get("reset", np.zeros((steps, batch), bool))
    hold = problem.call.get("masked_output") == "hold"
    states = as_tuple(problem.state)
    final = tuple(np.empty_like(state) for state in states)
    x, directions = problem.x, 2 if both else 1
    for depth in range(len(layers) // directions):
        outputs = np.empty((directions, steps, batch, states[0].shape[-1]))
        for direction in range(directions):
            index = depth * directions + direction
            run = run_reversed_row if direction else run_row
            for b in range(batch):
                row = Row(x[:, b], mask[:, b], reset[:, b], int(lengths[b]))
                initial = tuple(state[index : index + 1, b] for state in states)
                outputs[direction, :, b], last = run(layers[index], row, initial, hold)
                for target, value in zip(final, last, strict=True):
                    target[index, b] = value[0]
        x = np.concatenate(list(outputs), axis=-1)
    return x, final


def single_layers(module: Any, cell: str, layer: Any, both: bool) -> list[Any]:
    """Split a stack into layers of one direction each, with its weights."""
    found = []
    for depth in range(layer.num_layers):
        for end in ("", "_reverse") if both else ("",):
            index = depth * (1 + both) + bool(end)
            own = bound_layer(layer).passes.names[index]
            names = [name.removesuffix(f"_l{depth}{end}") for name in own]
            values = {name: getattr(layer, f"{name}_l{depth}{end}") for name in names}
            width = values["weight_ih"].shape[1]
            single = make_layer(module, cell, width, layer.hidden_size, dtype="float64")
            single.load_state_dict({f"{name}_l0": value for name, value in values.items()})
            found.append(single)
    return found


@few(engine=ENGINES, cell=CELLS, both=[False, True], pattern=PATTERNS)
def test_rows_equal_their_segments_run_separately(engine, cell, both, pattern, rng):
    problem = make_problem(
        engine, cell, rng=rng, T=7, pattern=pattern, num_layers=2, bidirectional=both
    )
    singles = single_layers(engine, cell, problem.layer, both)

    output, state = problem.layer(problem.x, problem.state, **problem.call)

    want_output, want_state = run_rows(problem, singles, both)
    assert_close(output, want_output, ALLOWED)
    assert_close(as_tuple(state), want_state, ALLOWED)


@few(engine=ENGINES, cell=CELLS)
def test_what_is_not_real_is_not_read(engine, cell, rng):
    problem = make_problem(engine, cell, rng=rng, pattern="all", num_layers=2, bidirectional=True)
    lengths, mask = problem.call["lengths"], problem.call["mask"]
    real = (np.arange(len(mask))[:, None] < lengths) & mask
    want = problem.record(), flat_gradients(problem)

    problem.x = np.where(real[..., None], problem.x, np.nan)
    within = np.arange(len(mask))[:, None] < lengths
    problem.call["mask"] = mask | ~within
    problem.call["reset"] = problem.call["reset"] | ~within

    np.testing.assert_array_equal(problem.record().output, want[0].output)
    got = flat_gradients(problem)
    for name, value in want[1].items():
        np.testing.assert_array_equal(got[name], value, err_msg=name)


@few(engine=ENGINES, cell=CELLS)
def test_zero_filled_steps_ignore_their_output_gradient(engine, cell, rng):
    problem = make_problem(engine, cell, rng=rng, pattern="all", bidirectional=True)
    lengths, mask = problem.call["lengths"], problem.call["mask"]
    real = (np.arange(len(mask))[:, None] < lengths) & mask
    want = flat_gradients(problem)

    problem.d_output = np.where(real[..., None], problem.d_output, 1e3)

    assert_close(flat_gradients(problem), want, 0.0)


@few(engine=ENGINES, cell=CELLS, masked_output=["zero", "hold"])
def test_rows_without_steps_return_their_initial_state(engine, cell, masked_output, rng):
    problem = make_problem(engine, cell, rng=rng, bidirectional=True)
    lengths = np.zeros(problem.x.shape[1], np.int64)

    output, state = problem.layer(
        problem.x, problem.state, lengths=lengths, masked_output=masked_output
    )

    assert_close(as_tuple(state), as_tuple(problem.state), 0.0)
    held = np.concatenate(list(as_tuple(problem.state)[0]), axis=-1)
    want = np.broadcast_to(held if masked_output == "hold" else 0.0, output.shape)
    np.testing.assert_array_equal(output, want)


@few(engine=ENGINES, cell=CELLS, shape=[(0, 3), (4, 0), (0, 0)])
def test_empty_calls_are_valid(engine, cell, shape, rng):
    steps, batch = shape
    problem = make_problem(
        engine, cell, rng=rng, T=steps, B=batch, num_layers=2, bidirectional=True
    )

    tape = problem.record()
    grads = tape.backward(problem.d_output, problem.d_state)

    assert tape.output.shape == (steps, batch, 6)
    assert_close(as_tuple(tape.state), as_tuple(problem.state), 0.0)
    assert_close(as_tuple(grads.state), as_tuple(problem.d_state), 0.0)
    assert grads.x.shape == problem.x.shape
    assert not any(value.any() for value in grads.params.values())


@few(engine=ENGINES, cell=CELLS)
def test_chunks_give_what_one_call_gives(engine, cell, rng):
    problem = make_problem(engine, cell, rng=rng, T=7, num_layers=2)
    want_output, want_state = problem.layer(problem.x, problem.state)

    first, state = problem.layer(problem.x[:3], problem.state)
    second, state = problem.layer(problem.x[3:], state)

    assert_close(np.concatenate([first, second]), want_output, ALLOWED)
    assert_close(as_tuple(state), as_tuple(want_state), ALLOWED)
