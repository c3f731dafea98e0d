"""Adding an option of a step touches at most twelve files: done once, in a copy."""

from __future__ import annotations

import re
import textwrap

import pytest

from helpers import tolerance
from helpers_build import OPTION, Piece, add_piece, contents, pieces, python
from helpers_source import ROOT

pytestmark = pytest.mark.skipif(
    not (OPTION.is_dir() and (ROOT / "csrc").is_dir()), reason="no sources beside the tests"
)

MOST = 12


@pytest.fixture(scope="module")
def told():
    """Return what the example says."""
    return (OPTION / "README.md").read_text(encoding="utf-8")


def test_an_option_is_eleven_files(told, tree, tree_with_option):
    before, after = contents(tree), contents(tree_with_option)
    listed = dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", told, re.M))
    by_tools = {file for file, what in listed.items() if what.startswith("written by `python ")}

    changed = {path for path in after if before.get(path) != after[path]}

    assert before.keys() == after.keys()
    assert changed == {piece.file for piece in pieces(told)} == {*listed} - by_tools
    assert by_tools <= before.keys()
    assert len(changed | by_tools) == 11 <= MOST
    assert "in **11 files**: 9 by hand, and 2 that tools write" in told


CHECK = """
    import pickle
    import numpy as np
    import simdrnn as sr
    from simdrnn import reference

    assert sr.__file__.startswith(TREE), sr.__file__
    rng = np.random.default_rng(0)
    setup = {"num_layers": 2, "bidirectional": True, "dtype": "float64", "seed": 1, "leak": 0.4}
    call = {"mask": rng.random((9, 7)) < 0.7, "reset": rng.random((9, 7)) < 0.3,
            "lengths": np.array([9, 1, 4, 0, 7, 9, 3]), "masked_output": "hold"}
    x = rng.standard_normal((9, 7, 5))
    d_output = rng.standard_normal((9, 7, 26))
    BESIDE = (
        {}, {"hidden_clip": 0.3}, {"zoneout": 0.3}, {"recurrent_dropout": 0.3},
        {"recurrent_dropout": 0.3, "zoneout": 0.3, "hidden_clip": 0.2, "gate_clip": 0.5},
        {"layer_norm": True},
    )
    for kind in ("RNN", "LSTM", "GRU", "ATR"):
        outputs = []
        for beside in BESIDE:
            layers = [getattr(space, kind)(5, 13, **setup, **beside) for space in (sr, reference)]
            assert "leak=0.4" in repr(layers[0]), layers[0]
            tapes = [pickle.loads(pickle.dumps(one)).record(x, **call) for one in layers]
            grads = [tape.backward(d_output) for tape in tapes]
            names = list(layers[0].parameters())
            for got, want in zip(
                (tapes[0].output, grads[0].x, *map(grads[0].params.get, names)),
                (tapes[1].output, grads[1].x, *map(grads[1].params.get, names)),
                strict=True,
            ):
                assert np.abs(got - want).max() <= {ALLOWED} * np.abs(want).max(), (kind, beside)
            for layer in layers:
                check = {"mask": "random", "reset": "random", "lengths": "random"}
                report = sr.gradcheck(layer, T=4, B=3, entries=2, directions=1, **check)
                assert report.ok, (kind, beside, report)
            outputs.append(tapes[0].output)
        assert not any(np.array_equal(outputs[0], other) for other in outputs[1:])

    # The equations once more, from the report, for two steps: with a clip, then zoneout's mean.
    layer = sr.RNN(5, 13, dtype="float64", seed=2, leak=0.4, hidden_clip=0.5, zoneout=0.25)
    p, h = layer.parameters(), np.zeros((7, 13))
    output, _ = layer(x[:2])
    for t in range(2):
        made = np.tanh(x[t] @ p["weight_ih_l0"].T + h @ p["weight_hh_l0"].T
                       + p["bias_ih_l0"] + p["bias_hh_l0"])
        leaky = 0.4 * h + 0.6 * np.clip(made, -0.5, 0.5)
        h = 0.25 * h + 0.75 * leaky
        np.testing.assert_allclose(output[t], h, rtol=0, atol={ALLOWED})
    # A single step has it too; and what is off, in the layer's dtype or before, is off.
    assert not np.array_equal(*(sr.GRUCell(5, 3, seed=0, **o)(x[0].astype("f"), None)
                                for o in ({}, {"leak": 0.4})))
    one, two = (sr.LSTM(5, 3, seed=0, **o) for o in ({}, {"leak": 0.0}))
    np.testing.assert_array_equal(one(x.astype("f"))[0], two(x.astype("f"))[0])
    tiny = sr.LSTM(5, 3, seed=0, leak=1e-60).record(x.astype("f"))
    np.testing.assert_array_equal(one(x.astype("f"))[0], tiny.output)
    tiny.backward(tiny.output)

    # What is refused, and with what.
    for value, error in ((1.0, ValueError), (-0.1, ValueError), (np.nan, ValueError),
                         ("0.5", TypeError), (True, TypeError)):
        for space in (sr, reference):
            try:
                space.GRU(2, 3, leak=value)
            except error as raised:
                told = f"leak: expected a number in [0, 1), got {value!r}"
                assert str(raised) == told, (str(raised), told)
            else:
                raise AssertionError(value)
    try:
        sr.LSTM(2, 3, proj_size=2, leak=0.5)
    except ValueError as raised:
        assert str(raised).startswith("leak: expected an LSTM with proj_size=0"), raised
    else:
        raise AssertionError("projection")

    # Pickles of 0.1.0, which knew no leak, still say what they said.
    said = {"lstm": {"cell_clip": 1.0}, "gru_batch_first": {"recurrent_dropout": 0.1}}
    for name, active in said.items():
        with open(f"{TREE}/tests/data/version_0_1_0/{name}.pickle", "rb") as file:
            assert pickle.load(file)["object"].options.active() == active
    print("ok")
"""


def test_the_option_works_everywhere(built_tree):
    allowed = tolerance("float64", 9 * 2, 9 * 7)
    code = textwrap.dedent(CHECK.replace("{ALLOWED}", repr(allowed)))

    assert python(built_tree, "-c", f"TREE = {str(built_tree)!r}\n{code}").strip() == "ok"


# A row of the copy's tables for every cell that is built there, with the option.
ROWS = """
    import sys
    sys.path.insert(0, "tests")
    import simdrnn as sr
    from oracles import failures
    from problems import Setting
    from rows import label, rows_for_differences, small_rows
    from simdrnn import _core
    from test_differences import test_gradients

    BUILT = {cell["name"] for cell in _core.cells()}
    def quick(row):
        return Setting(row).quick
    def leaky(rows):
        return {row["cell"]: row for row in rows if row["leak"] == "on" and row["cell"] in BUILT}

    compared, small = leaky(rows_for_differences()), leaky(filter(quick, small_rows()))
    for row in compared.values():
        test_gradients(row)
    for row in small.values():
        found = failures(row | {"isa": "scalar"})
        assert not found, (label(row), found)
    print({"atr", "gru", "lstm", "rnn_tanh"} <= compared.keys() & small.keys())
"""


def test_the_option_meets_the_oracles(built_tree):
    done = python(built_tree, "-c", textwrap.dedent(ROWS))

    assert done.strip() == "True"


def test_the_option_has_its_place_on_the_page(built_tree):
    page = python(built_tree, "tools/write_features_page.py")

    (row,) = [line for line in page.splitlines() if line.startswith("| `leak` |")]
    meaning, place, source, cells = row.strip("| ").split(" | ")[1:]
    assert meaning.startswith("share a of itself that h keeps at every step")
    assert (place, cells) == ("h, after `hidden_clip`", "all")
    assert source == "Jaeger 2001, GMD report 148"


def test_a_place_that_is_gone_is_named(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\nx = 1\n", encoding="utf-8")
    document = "### `a.py`\n\nBehind `{}`:\n\n```python\ny = 2\n```\n"

    for text, count in (("x = 2", 0), ("x = 1", 2)):
        (piece,) = pieces(document.format(text))
        with pytest.raises(pytest.fail.Exception) as raised:
            add_piece(tmp_path, piece, "README.md")
        assert str(raised.value) == (
            f"a.py: expected one line with `{text}`, got {count}: "
            "what README.md adds goes behind it"
        )


@pytest.mark.parametrize(
    ("where", "want"),
    [("Behind", "a\nb\nnew\nc\n"), ("Before", "a\nnew\nb\nc\n"), ("In place of", "a\nnew\nc\n")],
)
def test_a_piece_goes_where_it_says(tmp_path, where, want):
    (tmp_path / "a.txt").write_text("a\nb\nc\n", encoding="utf-8")

    add_piece(tmp_path, Piece("a.txt", where, "b", "new\n"), "README.md")

    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == want
