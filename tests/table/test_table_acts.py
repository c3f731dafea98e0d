"""The rows of the table do what they are for: options act, and threads share work in every way."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import simdrnn as sr
from factors import DEFAULTS, FACTORS, STEP, info_of
from helpers import assert_close
from problems import Setting, as_tuple, build, draw
from rows import SMALL, covering_rows, small_rows
from simdrnn import reference

# Rows of which an option has to change something in most.
LOOKED_AT = 8


def differs(row, name):
    """Say whether a row gives something else without an option, on the same numbers."""
    problem, of = draw(sr, row), Setting(row | {name: DEFAULTS[name]})
    want = problem.results()
    layer = build(sr, of)
    weights = problem.layer.state_dict()
    shared = {
        n: v for n, v in layer.parameters().items() if n in weights and v.shape == weights[n].shape
    }
    layer.load_state_dict({n: weights[n] for n in shared}, strict=False)
    got = problem.changed(layer=layer).results()
    pairs = [(got["output"], want["output"]), (got["d_x"], want["d_x"])]
    pairs += zip(as_tuple(got["d_state"]), as_tuple(want["d_state"]), strict=True)
    return any(one.shape != other.shape or not np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("name", [name for name in STEP if name != "projection"])
def test_options_act_in_most_of_their_rows(name):
    for value in [*FACTORS[name].values][1:]:
        rows = [
            row
            for row in small_rows()
            if row[name] == value and row["T"] > 2 and not SMALL.hidden(row, name)
        ]

        acting = sum(differs(row, name) for row in rows[:LOOKED_AT])

        assert acting > len(rows[:LOOKED_AT]) / 2, value


@pytest.mark.parametrize("zoneout", [(0.4, 0.0), (0.0, 0.4)])
def test_zoneout_of_one_state_is_an_option_by_itself(zoneout, rng):
    x = rng.standard_normal((9, 4, 5))

    ours, theirs, without = (
        module.LSTM(5, 7, zoneout=chances, dtype="float64", seed=0).record(x).output
        for module, chances in ((sr, zoneout), (reference, zoneout), (sr, 0.0))
    )

    assert_close(ours, theirs, 1e-13)
    assert np.abs(ours - without).max() > 0.01


def test_every_option_is_in_a_row_by_itself():
    found = set()
    for row in covering_rows():
        acting = [name for name in STEP if row.get(name, DEFAULTS[name]) != DEFAULTS[name]]
        if len(acting) == 1 and info_of(row["cell"]).common:
            found.update(acting)

    assert found == set(STEP)


def test_clips_of_projections_are_reached():
    rows = [row for row in small_rows() if row["projection"] == "clipped" and row["T"] > 2]

    limit = FACTORS["projection"].values["clipped"]["proj_clip"]
    found = [np.abs(draw(sr, row).results()["state"][0]).max() for row in rows[:LOOKED_AT]]

    assert sum(abs(most - limit) < 1e-6 for most in found) > len(found) / 2


@pytest.mark.quiet  # where another program makes threads wait, they are not asked to meet
def test_threads_share_the_work_of_busy_rows_in_every_way():
    found = Counter()
    for row in (row for row in covering_rows() if "shape" in row):
        of = Setting(row)
        layer = build(sr, of)
        if of["merge"] == "concat" and of["directions"] in ("one", "both"):
            lengths = draw(sr, row).call.get("lengths")
            plan = sr.explain(layer, of.T, of.B, lengths=lengths, num_threads=of["threads"])
            found.update({("forward", plan.forward.schedule), ("backward", plan.backward.schedule)})

    for schedule in ("one_thread", "rows", "units"):
        assert found["forward", schedule] >= 5
        assert found["backward", schedule] >= 5
    assert found["forward", "directions"] >= 5
    assert found["forward", "layers"] >= 5
