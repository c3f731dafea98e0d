"""Processes that share out the tests make what takes long once, and measure one at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import helpers_shared

TESTS = """
import time
import pytest
from helpers_shared import alone, made_once

def log(word):
    with open(LOG, "a") as file:
        file.write(word + "\\n")

@pytest.mark.parametrize("number", range(3))
def test_in_turn(number, tmp_path_factory):
    def make(path):
        path.mkdir()
        log("made")
        time.sleep(0.05)

    assert made_once(tmp_path_factory, "thing", make).is_dir()
    with alone(tmp_path_factory):
        log("begins")
        time.sleep(0.02)
        log("ends")
"""


@pytest.mark.skipif(helpers_shared.fcntl is None, reason="locks are POSIX's")
def test_one_makes_what_others_wait_for_and_one_measures_at_a_time(tmp_path):
    log = tmp_path / "log"
    (tmp_path / "test_it.py").write_text(TESTS.replace("LOG", repr(str(log))))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    place = str(Path(helpers_shared.__file__).parent)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-pno:cacheprovider", "--tx=2*popen", "--dist=each",
         f"--basetemp={tmp_path / 'base'}", "test_it.py"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": place}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout
    lines = log.read_text().split()
    assert lines[0] == "made"
    assert lines[1:] == ["begins", "ends"] * 6
