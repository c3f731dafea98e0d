"""Every example of the gallery runs, small, and its scores are what its row says."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys

import pytest

from helpers_source import ROOT
from simdrnn.demos import gallery
from table import ROWS

pytestmark = [
    pytest.mark.gallery,
    pytest.mark.skipif(not (ROOT / "examples").is_dir(), reason="no examples beside the tests"),
]

# Digits have a command of their own too: by the function, all run alike.
PROGRAM = """
import sys
from pathlib import Path
from simdrnn.demos.gallery import run_example

run_example(sys.argv[1], small=True, save=Path(sys.argv[2]))
"""
SECONDS = 100  # on a busy machine; alone it is a few


@pytest.mark.parametrize("name", ROWS)
def test_it_runs_small_and_its_scores_are_right(name, tmp_path):
    lacks = gallery.missing(gallery.examples()[name])
    if lacks:
        pytest.skip(f"needs the [gallery] extra: {', '.join(lacks)}")
    # A process of its own, as a reader's: nothing of another example is in it. One thread, since
    # as many run side by side as there are CPUs.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", PROGRAM]

    done = subprocess.run(
        [*command, name, str(tmp_path)], capture_output=True, text=True, check=False,
        timeout=SECONDS, env=environment, cwd=tmp_path,
    )  # fmt: skip

    print(done.stdout)
    assert done.returncode == 0, done.stderr
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert all(math.isfinite(value) for value in scores.values()), scores
    for condition in ROWS[name]:
        assert eval(condition, {"__builtins__": {}}, dict(scores)), f"{condition}: {scores}"
    pictures = list(tmp_path.glob("*.png"))
    assert pictures
    assert all(path.stat().st_size > 5_000 for path in pictures)
