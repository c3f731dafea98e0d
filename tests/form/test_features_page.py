"""docs/features.md: as its tool writes it, complete, and right about which cell takes what."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields

import pytest

import simdrnn as sr
from helpers import INFOS, make_layer
from helpers_source import ROOT
from simdrnn.spec.activations import ACTIVATIONS
from simdrnn.spec.options import Options
from simdrnn.spec.structure import Structure

PAGE, TOOL = ROOT / "docs" / "features.md", ROOT / "tools" / "write_features_page.py"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the documents are not beside the tests")

# A value for every option that a cell may lack the place for.
VALUES = {
    "cell_clip": 1.0,
    "candidate_dropout": 0.5,
    "state_noise": 0.5,
    "recurrent_activation": "softsign",
    "output_activation": "softsign",
    "recurrent_dropout": 0.5,
    "weight_dropout": 0.5,
    "zoneout=(p_h, p_c)": (0.1, 0.2),
    "num_heads": 3,
}
# What an option needs beside itself.
NEEDS = {"recurrent_dropout_per_gate": {"recurrent_dropout": 0.5}}


def tables():
    """Return the tables of the page, as lists of rows of cells."""
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.M)
    rows = [[line.strip("|\n").split(" | ") for line in block.splitlines()] for block in blocks]
    return [[[cell.strip(" `") for cell in row] for row in table] for table in rows]


def test_it_is_up_to_date():
    done = subprocess.run([sys.executable, TOOL], capture_output=True, text=True, check=True)

    assert done.stdout == PAGE.read_text(encoding="utf-8"), f"python {TOOL.name} docs/features.md"


@pytest.mark.parametrize("kind", [Options, Structure])
def test_every_option_has_a_row(kind):
    first = {row[0] for table in tables() for row in table}

    assert {field.name for field in fields(kind) if field.repr} <= first
    assert {"dropout", *ACTIVATIONS} <= first
    assert {f"sr.init.{n}" for n in sr.init.__all__ if n[0].islower() and n != "apply"} <= first


def test_the_matrix_is_what_constructors_say():
    (matrix,) = (table for table in tables() if table[0][0] == "cell")
    options = matrix[0][1:]

    assert [row[0] for row in matrix[2:]] == list(INFOS)
    for row in matrix[2:]:
        for option, answer in zip(options, row[1:], strict=True):
            name = option.partition("=")[0]
            try:
                given = {name: VALUES.get(option, True)} | NEEDS.get(name, {})
                make_layer(sr, row[0], 2, 3, **given)
            except ValueError:
                assert answer == "", (row[0], option)
            else:
                assert answer == "yes", (row[0], option)


def test_the_index_points_to_it():
    assert "features.md" in (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
