"""The examples for Ray, Spark and Flower, each on a cluster of this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest

from helpers_source import ROOT

EXAMPLES = ROOT / "examples"

pytestmark = [
    pytest.mark.scale,
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are not beside the tests"),
]


def needs(package):
    missing = find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f'needs {package}: pip install "simdrnn[scale]"')


def printed(name):
    quiet = {"RAY_USAGE_STATS_ENABLED": "0", "FLWR_TELEMETRY_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs("ray")
def test_ray_puts_out_the_bits_of_one_call():
    text = printed("ray_inference.py")

    assert "conversations have the bits of one call: True" in text
    assert "the table has the bits of one call: True" in text


@needs("pyspark")
@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_spark_puts_out_the_bits_of_one_call():
    assert "the same bits as one call: True" in printed("spark_inference.py")


@needs("flwr")
def test_flower_learns():
    match = re.search(r"loss (\S+) before, (\S+) after 3 rounds", printed("flower_training.py"))

    assert match
    assert float(match[2]) < 0.5 * float(match[1])
