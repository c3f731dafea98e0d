"""The example runs, the bridge stays optional, and its pickles are plain."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys

import pytest

from helpers_source import ROOT

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

EXAMPLE = ROOT / "examples" / "sklearn_digits.py"

pytestmark = pytest.mark.peers

WITHOUT = """
import sys
sys.modules["sklearn"] = None  # as if it were not installed
import simdrnn
try:
    import simdrnn.sklearn
except ImportError as error:
    print(error)
assert "joblib" not in sys.modules
"""


@pytest.mark.skipif(not EXAMPLE.is_file(), reason="the examples are not beside the tests")
def test_the_example_recognises_digits(capsys):
    runpy.run_path(str(EXAMPLE))

    lines = capsys.readouterr().out.splitlines()
    assert float(re.match(r"([\d.]+)% of digits", lines[0]).group(1)) > 95.0
    assert float(re.search(r"within ([\d.]+)", lines[1]).group(1)) < 2.0


def test_without_scikit_learn_the_library_works_and_the_bridge_says_what_to_install():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True, timeout=120
    )

    assert (
        "simdrnn.sklearn needs scikit-learn 1.6 or later: pip install scikit-learn" in done.stdout
    )
