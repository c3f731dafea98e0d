"""docs/dialects.md is as its tool writes it; the example and the documents' examples run."""

from __future__ import annotations

import runpy
import subprocess
import sys

import pytest

from helpers_source import ROOT
from simdrnn.dialects import DIALECTS

PAGE, TOOL = ROOT / "docs" / "dialects.md", ROOT / "tools" / "write_dialects_page.py"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="the documents are not beside the tests")


def test_it_is_up_to_date():
    done = subprocess.run([sys.executable, TOOL], capture_output=True, text=True, check=True)

    assert done.stdout == PAGE.read_text(encoding="utf-8"), f"python {TOOL.name} docs/dialects.md"


def test_it_has_a_row_for_every_cell_of_every_dialect():
    rows = [
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]

    for name, dialect in DIALECTS.items():
        forms = sum(len(layouts) for layouts in dialect.layouts.values())
        assert sum(row.startswith(f"| `{name}` |") for row in rows) == 1 + forms


def test_it_tells_which_biases_there_are():
    text = PAGE.read_text(encoding="utf-8")

    assert "`B` (D, 4*H) | sum z, r; input h; recurrent h |" in text  # OpenVINO's GRU
    assert "`bias` (2, 3*H) | both |" in text
    assert "the cell adds `forget_bias` to f" in text


@pytest.mark.peers
def test_the_example_runs(capsys):
    pytest.importorskip("torch", reason="needs the [peers] extra: torch")

    runpy.run_path(str(ROOT / "examples" / "dialects_parity.py"))

    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "they agree, as far as rounding allows"
    assert second.startswith("[(16, 128), (32, 128), (128,)")
    assert third.startswith("['they agree if") and "onnx" in third  # noqa: PT018
