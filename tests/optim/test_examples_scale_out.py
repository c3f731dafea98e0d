"""The examples of several workers run, and learn or put out what one worker does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import simdrnn as sr
from helpers_source import ROOT

EXAMPLES = ROOT / "examples"

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are not beside the tests"),
]


def needs(*modules):
    missing = [name for name in modules if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {' and '.join(missing)}")


def printed(name, *arguments, before=()):
    done = subprocess.run(
        [*before, sys.executable, str(EXAMPLES / name), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def learned_as_one(text):
    """Compare the loss that two workers print with that of the same training here, alone.

    In single precision, and by Adam, which divides small gradients by their own size: the losses
    agree to a few of the digits shown. What rounding may do is bounded in test_all_reduce.py.
    """
    x = np.random.default_rng(0).standard_normal((20, 32, 8)).astype("float32")
    y = np.cumsum(x[..., :1], axis=0)
    layer, head = sr.LSTM(8, 32, seed=0), sr.Linear(32, 1, seed=1)
    optimizer, first = sr.optim.Adam([layer, head], lr=3e-3), None
    for _ in range(60):
        tape = layer.record(x)
        out = head.record(tape.output)
        loss = sr.mse(out.output, y)
        first = first or loss.value
        grads = out.backward(loss.backward())
        optimizer.step([tape.backward(grads.x), grads], max_norm=1.0)

    match = re.fullmatch(r"loss (\d+\.\d+) on 2 \w+\(\w+\)", text)
    assert match, text
    assert loss.value < first / 4
    assert float(match.group(1)) == pytest.approx(loss.value, rel=1e-3)


@needs("mpi4py")
def test_two_ranks_learn_as_one():
    # Beside the interpreter where `pip install mpich` puts it.
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mpiexec = shutil.which("mpiexec", path=places)
    if mpiexec is None:
        pytest.skip("needs mpiexec: pip install mpich")

    learned_as_one(printed("data_parallel_mpi.py", before=[mpiexec, "-n", "2"]))


@needs("torch")
def test_gloo_averages_our_buffers():
    learned_as_one(printed("data_parallel_gloo.py", "2"))


@needs("dask", "distributed")
def test_dask_workers_put_out_the_same_bits():
    assert printed("dask_inference.py") == "the same bits as one call: True"
