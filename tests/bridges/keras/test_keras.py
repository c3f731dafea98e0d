"""Keras layers on the engine: checks run in a process for each backend, which Keras has at import.

What is checked is in the files ``checks_keras_*.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import printed
from helpers_source import ROOT

HERE = Path(__file__).resolve().parent
PACKAGES = {"numpy": ("keras",), "torch": ("keras", "torch"), "jax": ("keras", "jax")}
FILES = {
    "numpy": ("layers", "models", "conversion"),
    "torch": ("layers", "models", "torch", "derivatives"),
    "jax": ("layers", "models", "jax"),
}


def skip_without(backend):
    """Skip where packages are missing, without importing them."""
    from importlib.util import find_spec

    for package in PACKAGES[backend]:
        if find_spec(package) is None:
            pytest.skip(f"needs the [peers] extra: {package}")


def in_process(arguments, backend, home, *, timeout=900):
    """Run Python with Keras on a backend, and return what it says; it must succeed."""
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "KERAS_HOME": str(home),
        "OMP_NUM_THREADS": "1",  # waking more takes longer than work this small
    }
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False,
        timeout=timeout, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-20000:]}\n{done.stderr[-5000:]}"
    return done.stdout


@pytest.mark.peers
@pytest.mark.parametrize("backend", PACKAGES)
def test_checks_pass(backend, tmp_path):
    skip_without(backend)
    files = [str(HERE / f"checks_keras_{name}.py") for name in FILES[backend]]
    # Keras's variables have an __array__ of NumPy 1.
    options = ["-q", "-n0", "-p", "no:cacheprovider", "-W", "ignore:__array__ implementation"]

    said = in_process(["-m", "pytest", *options, *files], backend, tmp_path)

    assert " passed" in said


@pytest.mark.peers
def test_the_example_runs(tmp_path):
    skip_without("torch")
    said = in_process([str(ROOT / "examples" / "keras_convert.py")], "torch", tmp_path)

    first, second, difference, losses = said.splitlines()
    assert [line.split("_")[0].split(":")[0] for line in (first, second)] == ["gru", "lstm"]
    assert all(line.endswith(": engine") for line in (first, second))
    assert float(difference.split()[-1]) < 1e-5
    values = [float(loss) for loss in losses.split()[1:]]
    assert values[-1] < values[0]


# More than 100 kB, which JAX copies in the background: `jax.pure_callback` waits for ever there.
ONE_CPU = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import keras, numpy as np
from simdrnn.keras import GRU
model = keras.Sequential([keras.Input((40, 64)), GRU(128, return_sequences=True), GRU(8)])
model.compile("sgd", "mse")
x = np.ones((64, 40, 64), "float32")
model.fit(x, np.ones((64, 8), "float32"), batch_size=32, epochs=2, verbose=0)
print(model.predict(x, verbose=0).shape)
"""


@pytest.mark.peers
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux's CPU affinity")
def test_training_on_jax_ends_on_one_cpu(tmp_path):
    skip_without("jax")

    assert in_process(["-c", ONE_CPU], "jax", tmp_path).strip() == "(64, 8)"


def test_without_keras_the_import_says_what_to_install():
    code = """
        import sys
        sys.modules["keras"] = None
        import simdrnn
        assert "simdrnn.keras" not in sys.modules
        try:
            import simdrnn.keras
        except ImportError as error:
            print(error)
    """

    said = printed(code)
    assert said.startswith("simdrnn.keras needs Keras 3 and one of its backends: pip install keras")


def test_old_keras_is_refused():
    code = """
        import sys, types
        sys.modules["keras"] = types.ModuleType("keras")
        sys.modules["keras"].__version__ = "2.15.0"
        try:
            import simdrnn.keras
        except ImportError as error:
            print(error)
    """

    assert "simdrnn.keras needs Keras 3, found 2.15.0" in printed(code)
