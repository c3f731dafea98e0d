"""The examples of several workers run, and learn or put out what one worker does, to the bit."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
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


@pytest.fixture(scope="module")
def alone():
    """Return the loss and the weights of the same training here, without other workers."""
    x = np.random.default_rng(0).standard_normal((20, 32, 8)).astype("float32")
    y = np.cumsum(x[..., :1], axis=0)
    layer, head = sr.LSTM(8, 32, seed=0), sr.Linear(32, 1, seed=1)
    mean = sr.optim.TreeMean(4)
    optimizer, values = sr.optim.Adam([layer, head], lr=3e-3, all_reduce=mean), []
    for _ in range(100):
        grads, losses = [], []
        for rows in mean.rows(32):
            tape = layer.record(x[:, rows])
            out = head.record(tape.output)
            loss = sr.mse(out.output, y[:, rows])
            back = out.backward(loss.backward())
            grads.append([tape.backward(back.x), back])
            losses.append(loss.value)
        optimizer.step(mean.sum(grads), max_norm=1.0)
        values.append(np.mean(losses))
    assert values[-1] < values[0] / 4
    bits = hashlib.sha256(b"".join(a.tobytes() for a in layer.parameters().values()))
    return f"loss {values[-1]:.4f}, weights {bits.hexdigest()[:16]} on "


@every("count", [1, 2, 4])
@needs("mpi4py")
def test_ranks_learn_the_bits_of_one_process(count, alone):
    # Beside the interpreter where `pip install mpich` puts it.
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mpiexec = shutil.which("mpiexec", path=places)
    if mpiexec is None:
        pytest.skip("needs mpiexec: pip install mpich")

    text = printed("data_parallel_mpi.py", before=[mpiexec, "-n", str(count)])

    assert text == f"{alone}{count} rank(s)"


@every("count", [1, 2, 4])
@needs("torch")
def test_gloo_workers_learn_the_bits_of_one_process(count, alone):
    assert printed("data_parallel_gloo.py", str(count)) == f"{alone}{count} process(es)"


@needs("dask", "distributed")
def test_dask_workers_put_out_the_same_bits():
    assert printed("dask_inference.py") == "the same bits as one call: True"
