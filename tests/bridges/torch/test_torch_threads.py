"""On whose threads calls run in a PyTorch program."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from helpers import printed

pytestmark = pytest.mark.peers
pytest.importorskip("torch", reason="needs the [peers] extra: torch")


def test_importing_the_bridge_shares_pytorchs_threads():
    answer = printed(
        """
        import simdrnn as sr
        from simdrnn.runtime import config
        before = config()["thread_runtime"]
        import torch
        import simdrnn.torch
        torch.set_num_threads(1)
        one = sr.get_num_threads()
        print(before.startswith("own pool"), config()["thread_runtime"].startswith("OpenMP"), one)
        """,
        SIMDRNN_THREADING=None,
    )

    assert answer == "True True 1"


def test_openmp_by_name_stays_with_pytorch():
    # scikit-learn's runtime was in the process first; PyTorch's is the one that keeps us company.
    sklearn = importlib.util.find_spec("sklearn")
    folder = Path(sklearn.origin).parents[1] if sklearn and sklearn.origin else Path()
    runtimes = [*folder.glob("scikit_learn.libs/libgomp*")]
    if not runtimes:
        pytest.skip("needs a wheel of scikit-learn with a libgomp of its own")
    answer = printed(
        f"""
        import ctypes
        ctypes.CDLL({str(runtimes[0])!r})
        import simdrnn as sr, simdrnn.torch
        from simdrnn.runtime import config
        before = config()["thread_runtime"]
        sr.set_threading("openmp")
        print(before == config()["thread_runtime"], "scikit_learn" in before)
        """,
        SIMDRNN_THREADING="auto",
    )

    assert answer == "True False"


@pytest.mark.parametrize("way", ["pool", "openmp"])
def test_what_was_chosen_stays_chosen(way):
    answer = printed(
        "import simdrnn.torch; from simdrnn.runtime import config; print(config()['threading'])",
        SIMDRNN_THREADING=way,
    )

    assert answer == way


def test_calls_between_operations_of_pytorch_keep_its_threads():
    # PyTorch's threads and ours are the same: their number does not grow.
    answer = printed(
        """
        import os
        import torch
        from simdrnn.torch import LSTM
        torch.set_num_threads(2)
        layer, x = LSTM(64, 64), torch.randn(50, 32, 64)
        a = torch.randn(600, 600)
        counts = []
        with torch.no_grad():
            want = layer(x)[0]
            for _ in range(20):
                a @ a, torch.relu(torch.randn(1_000_000))
                assert torch.equal(layer(x)[0], want)
                counts.append(len(os.listdir("/proc/self/task")))
        print(len(set(counts[1:])))
        """,
        SIMDRNN_THREADING="auto",
    )

    assert answer == "1"
