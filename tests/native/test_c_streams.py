"""Streams in C: the numbers of Python, bit for bit, whatever is saved and however it is cut."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers_c_api import CModel, state_rows
from helpers_loops import every
from problems import draw
from rows import busy_rows, label, small_rows
from simdrnn.dialects import Chain

# Those that see the past alone; of those with work for threads, which take long, a few.
ROWS = (*small_rows(), *busy_rows()[::9])
CAUSAL = [row for row in ROWS if row.get("directions", "one") == "one"]
GROUPS = 4


def chunks(steps):
    """Yield lengths of pieces: single steps, then more."""
    lengths = iter((1, 1, 2, 5, 1, 17, 64, 3, 200, 10**9))
    while steps > 0:
        length = min(next(lengths), steps)
        yield length
        steps -= length


def numbers(seed, *shape, dtype="float32"):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def same(found, expected):
    """Fail unless both are the same bits; a zero has no sign where subnormals are flushed."""
    assert found.dtype == expected.dtype
    assert found.tobytes() == np.ascontiguousarray(expected).tobytes()


def check_row(row):
    problem = draw(sr, row)
    layer, x, attention = problem.layer, problem.x, problem.call.get("attention")
    expected, final = layer(x, problem.state, attention=attention)
    model = CModel(layer)
    stream = model.stream(x.shape[1], row.get("threads", 1))
    if problem.state is not None:
        for place, values in enumerate(state_rows(problem.state)):
            stream.set_state(place, values)
    made, begin = [], 0
    for length in chunks(len(x)):
        part = slice(begin, begin + length)
        made.append(stream.run(x[part], attention=None if attention is None else attention[part]))
        begin += length
    same(np.concatenate([made[0][:0], *made]), expected.reshape(*expected.shape[:2], -1))
    same(stream.state, state_rows(final))


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_causal_row_of_the_table(group):
    before = sr.isa.active()
    failed = []
    try:
        for row in CAUSAL[group::GROUPS]:
            if row["isa"] not in sr.isa.available() or row.get("B", 1) == 0:
                continue
            sr.isa.use(row["isa"])
            try:
                check_row(row)
            except Exception as error:
                failed.append(f"{label(row)}: {error}"[:200])
    finally:
        sr.isa.use(before)

    assert not failed, "\n".join([f"{len(failed)} rows:", *failed[:20]])


STACKS = {
    "chain": lambda: sr.Stack([sr.LSTM(3, 5, num_layers=2, seed=1), sr.GRU(5, 4, seed=2)]),
    "residual": lambda: sr.Stack(
        [sr.GRU(5, 5, num_layers=2, residual=True, seed=1), sr.LSTM(5, 5, seed=2)], skip="residual"
    ),
    "highway": lambda: sr.Stack(
        [sr.LSTM(4, 5, seed=1), sr.GRU(5, 5, seed=2), sr.MGU(5, 5, seed=3)], skip="highway", seed=4
    ),
    "concat": lambda: sr.Stack([sr.LSTM(3, 5, seed=1), sr.RNN(8, 4, seed=2)], skip="concat"),
    "learned": lambda: sr.Stack(
        [sr.GRU(3, 6, learn_initial_state=True, seed=1, zoneout=0.2), sr.LSTM(6, 4, proj_size=2)]
    ),
    "concat of one": lambda: sr.Stack([sr.LSTM(3, 5, seed=1)], skip="concat"),
}


@every("kind", list(STACKS))
def test_stacks(kind, tmp_path):
    stack = STACKS[kind]()
    for layer in stack.layers:
        for name in layer.parameters():
            if name.startswith(("h_0", "c_0")):
                setattr(layer, name, numbers(3, *getattr(layer, name).shape))
    x = numbers(0, 30, 2, stack.input_size)
    expected, final = stack(x)
    stack.save(tmp_path / f"{kind.replace(' ', '_')}.simdrnn")

    stream = CModel(tmp_path / f"{kind.replace(' ', '_')}.simdrnn").stream(2)

    same(np.concatenate([stream.feed(x[:7]), stream.feed(x[7:8]), stream.feed(x[8:])]), expected)
    same(stream.state, np.concatenate([state_rows(one) for one in final], axis=1))


def test_a_linear_head_and_activations_behind_layers():
    layers = [sr.Linear(2, 3, seed=0), "tanh", sr.GRU(3, 20, seed=1), sr.Linear(20, 3, seed=2)]
    x = numbers(1, 300, 2, 2)
    for last in ("softmax", "relu", "sigmoid", "elu"):
        chain = Chain([*layers, last])

        stream = CModel(chain).stream(2)

        made = np.concatenate(
            [stream.feed(x[:130]), stream.step(x[130])[None], stream.feed(x[131:])]
        )
        same(made, chain(x)[0])


def test_a_linear_alone():
    linear, x = (
        sr.Linear(3, 5, bias=False, dtype="float64", seed=0),
        numbers(0, 4, 2, 3, dtype="float64"),
    )

    same(CModel(linear).stream(2).feed(x), linear(x))


@every("name", ["LSTM", "GRU", "AUGRU"])
def test_rows_join_leave_and_are_reset(name):
    layer, rng = getattr(sr, name)(3, 9, num_layers=2, seed=0), np.random.default_rng(5)
    stream, histories = CModel(layer).stream(6), {row: [] for row in range(6)}
    weights = {row: [] for row in range(6)}
    for turn in range(25):
        rows = list(map(int, rng.permutation(6)[: rng.integers(1, 7)]))
        if turn % 5 == 4:
            stream.reset(rows[:2])
            for row in rows[:2]:
                histories[row].clear(), weights[row].clear()
        x = rng.standard_normal((2, len(rows), 3)).astype("float32")
        attention = rng.random((2, len(rows))).astype("float32") if name == "AUGRU" else None
        made = stream.run(x, rows, attention)
        for place, row in enumerate(rows):
            histories[row].append(x[:, place])
            weights[row].append(None if attention is None else attention[:, place])
            given = np.concatenate(histories[row])[:, None]
            beside = None if attention is None else np.concatenate(weights[row])[:, None]
            expected, _ = layer(given, attention=beside)
            same(made[:, place], expected[-2:, 0])


def test_a_clone_goes_its_own_way():
    layer, x = sr.LSTM(3, 9, seed=0), numbers(0, 10, 2, 3)
    expected, _ = layer(x)
    stream = CModel(layer).stream(2)
    stream.feed(x[:4])

    copy = stream.clone()
    stream.feed(x[:2])

    same(copy.feed(x[4:]), expected[4:])


def test_the_weights_are_those_of_when_the_handle_was_made():
    layer, x = sr.GRU(3, 4, seed=0), numbers(0, 5, 1, 3)
    expected, _ = layer(x)
    model = CModel(layer)
    layer.weight_ih_l0 = np.zeros_like(layer.weight_ih_l0)

    stream = model.stream()
    del model  # the stream keeps what it needs

    same(stream.feed(x), expected)


def test_subnormals_are_flushed_as_in_python_or_kept():
    layer = sr.RNN(1, 1, nonlinearity="relu", bias=False)
    layer.load_state_dict({"weight_ih_l0": np.float32([[1]]), "weight_hh_l0": np.float32([[1]])})
    tiny = np.full((1, 1), 1e-40, "float32")
    stream = CModel(layer).stream()
    same(stream.step(tiny), layer(tiny[None])[0][0])

    stream.api.set_flush_denormals(stream.pointer, 0)
    stream.reset()

    same(stream.step(tiny), tiny)
