"""Gradients of every pair of options, cells and forms of calls, against differences."""

from __future__ import annotations

import numpy as np
import pytest

import simdrnn as sr
from helpers_pairs import (
    FACTORS,
    RULES,
    arguments,
    broken,
    build,
    covering_rows,
    every_pair,
    fill,
    pairs_with,
)

pytestmark = pytest.mark.usefixtures("built")
ROWS = covering_rows()
T, B = 4, 3


def label(row):
    """Name a row by what is not the default."""
    return "-".join(
        f"{name}.{value}" if name != "cell" else value
        for name, value in row.items()
        if name == "cell" or value != next(iter(FACTORS[name].values))
    )


def with_arguments(layer, given):
    """Let `layer.record` be called with these arguments besides its own."""
    if given:
        kind = type(layer)
        made = {"record": lambda self, *args, **own: kind.record(self, *args, **own, **given)}
        layer.__class__ = type(kind.__name__, (kind,), made)
    return layer


def test_every_pair_that_goes_together_is_in_a_row():
    found = {
        pair for row in ROWS for name, value in row.items() for pair in pairs_with(row, name, value)
    }

    for pair in every_pair():
        assert (pair in found) != bool(broken(dict(pair))), pair
    assert all([*row] == [*FACTORS] and not broken(row) for row in ROWS)
    # The two longest factors alone need the product of their sizes.
    sizes = sorted(len(factor.values) for factor in FACTORS.values())
    assert sizes[-1] * sizes[-2] <= len(ROWS) <= 2 * sizes[-1] * sizes[-2]


def test_rows_are_the_same_every_time():
    assert covering_rows() == ROWS


FORBIDDEN = [pair for pair in every_pair() if broken(dict(pair))]


@pytest.mark.parametrize("pair", FORBIDDEN, ids=lambda pair: "-".join(map(str, sorted(pair))))
def test_what_does_not_go_together_is_refused(pair):
    (rule,) = broken(dict(pair))
    row = fill(dict(pair), set(), spared=(rule,))

    with pytest.raises(ValueError, match=f"^{rule.message}"):
        sr.gradcheck(build(sr, row), T, B, **arguments(row, "call"))


def test_every_rule_forbids_something():
    assert {rule for pair in FORBIDDEN for rule in broken(dict(pair))} == set(RULES)


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_gradients(row):
    layer = with_arguments(build(sr, row), arguments(row, "record"))
    rng = np.random.default_rng(1)
    for name, value in layer.parameters().items():
        if name[1:3] == "_0":  # learned states start at zero
            setattr(layer, name, rng.standard_normal(value.shape))

    # Norms of few numbers that are almost equal are steep: up to 1 / sqrt(epsilon), 300.
    eps = 1e-4 if row["layer_norm"] == "off" else 1e-7
    report = sr.gradcheck(
        layer, T, B, seed=1, entries=4, directions=1, eps=eps, **arguments(row, "call")
    )

    assert report.ok
    assert set(layer.parameters()) <= set(report.tensors)
