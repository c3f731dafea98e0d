"""Gradients of every pair of options, cells and forms of calls, against differences."""

from __future__ import annotations

import pytest

import simdrnn as sr
from problems import Setting, build
from rows import label, rows_for_differences

ROWS = rows_for_differences()


def asked(of):
    """Return a row's call as `sr.gradcheck` takes it."""
    call = of.arguments("call")
    for name in ("lengths", "mask", "reset"):
        if of[name] in ("ragged", "random"):
            call[name] = "random"
    if of["reset_state"] != "off":
        call["reset_state"] = {"given": "random"}.get(of["reset_state"], of["reset_state"])
    return call | {"state": "random" if of["state"] == "given" else None}


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_gradients(row):
    of = Setting(row)
    layer = build(sr, of)

    # Norms of few numbers that are almost equal are steep: up to 1 / sqrt(epsilon), 300.
    eps = 1e-4 if of["layer_norm"] == "off" else 1e-7
    report = sr.gradcheck(layer, of.T, of.B, seed=1, entries=3, directions=1, eps=eps, **asked(of))

    assert report.ok, report
    assert set(layer.parameters()) <= set(report.tensors)
