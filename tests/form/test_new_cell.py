"""Adding a cell takes two new files and a line in each of two lists: done once, in a copy."""

from __future__ import annotations

import difflib
import textwrap

import pytest

from helpers import tolerance
from helpers_build import CELL, NEW_FILES, NEW_LINES, contents, python
from helpers_source import ROOT

pytestmark = pytest.mark.skipif(
    not (CELL.is_dir() and (ROOT / "csrc").is_dir()), reason="no sources beside the tests"
)


def test_a_cell_is_two_files_and_two_lines(tree):
    before, after = contents(ROOT), contents(tree)

    changed = {path for path in before if before[path] != after[path]}

    assert {*after} - {*before} == {*NEW_FILES}
    assert changed == {*NEW_LINES}
    for path in changed:
        lines = difflib.ndiff(before[path].splitlines(True), after[path].splitlines(True))
        assert [line for line in lines if line[0] != " "] == [f"+ {NEW_LINES[path][0]}"]


def test_the_example_says_what_is_done_here():
    text = (CELL / "README.md").read_text(encoding="utf-8")

    told = [*NEW_FILES.values(), *NEW_LINES, *(line.strip() for line, _ in NEW_LINES.values())]
    assert [part for part in told if f"`{part}`" not in text] == []


CHECK = """
    import pickle
    import numpy as np
    import simdrnn as sr
    from simdrnn import reference

    assert sr.__file__.startswith(TREE), sr.__file__
    assert "ATR" in sr.list_cells() and "ATRCell" in dir(sr)
    rng = np.random.default_rng(0)
    setup = {"num_layers": 2, "bidirectional": True, "dtype": "float64", "seed": 1}
    call = {"mask": rng.random((9, 7)) < 0.7, "reset": rng.random((9, 7)) < 0.3}
    x = rng.standard_normal((9, 7, 5))
    d_output, found = rng.standard_normal((9, 7, 26)), []
    for options in ({}, {"gate_clip": 0.5}, {"hidden_clip": 0.3}):
        layers = [space.ATR(5, 13, **setup, **options) for space in (sr, reference)]
        tapes = [pickle.loads(pickle.dumps(layer)).record(x, **call) for layer in layers]
        grads = [tape.backward(d_output) for tape in tapes]
        names = list(layers[0].parameters())
        for got, want in zip(
            (tapes[0].output, tapes[0].state, grads[0].x, *map(grads[0].params.get, names)),
            (tapes[1].output, tapes[1].state, grads[1].x, *map(grads[1].params.get, names)),
            strict=True,
        ):
            # {ALLOWED} roundings, relative to the largest element.
            assert np.abs(got - want).max() <= {ALLOWED} * np.abs(want).max()
        for layer in layers:
            assert sr.gradcheck(layer, T=5, B=3, mask="random", reset="random").ok
        found.append(tapes[0].output)
    assert not np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])

    # The equations once more, from the paper, for one step.
    cell = sr.ATRCell(5, 13, dtype="float64", seed=2)
    h = rng.standard_normal((7, 13))
    p, q = x[0] @ cell.weight_ih.T + cell.bias_ih, h @ cell.weight_hh.T + cell.bias_hh
    want = p / (1 + np.exp(-p - q)) + h / (1 + np.exp(q - p))
    np.testing.assert_allclose(cell(x[0], h), want, rtol=0, atol={ALLOWED} * np.abs(want).max())
    print("ok")
"""


def test_the_cell_works_everywhere(built_tree):
    allowed = tolerance("float64", 9 * 2, 9 * 7)
    code = CHECK.replace("{ALLOWED}", repr(allowed)).replace("TREE", repr(str(built_tree)))

    assert python(built_tree, "-c", textwrap.dedent(code)).strip() == "ok"


def test_the_cell_has_its_place_on_the_page(built_tree):
    page = python(built_tree, "tools/write_cells_page.py")

    rows = [line for line in page.splitlines() if line.startswith("| `ATR` |")]
    assert len(rows) == 1
    assert "arXiv:1810.12546" in rows[0]
    assert "* cell `atr`" in page
