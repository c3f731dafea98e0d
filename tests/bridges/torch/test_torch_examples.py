"""The examples with PyTorch run; data-parallel training in two processes ends where one does."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from helpers_source import ROOT

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")

EXAMPLES = ROOT / "examples"

if not EXAMPLES.is_dir():
    pytest.skip("the examples are not beside the tests", allow_module_level=True)


def printed_by(name):
    """Return what an example prints."""
    command = [sys.executable, str(EXAMPLES / name)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def test_a_converted_model_learns():
    text = printed_by("torch_convert.py")

    assert text.startswith("0: now simdrnn.torch.LSTM(8, 32, batch_first=True)\n")
    losses = [float(loss) for loss in re.findall(r"loss ([\d.]+)", text)]
    assert losses[-1] < losses[0] / 3


@pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="this PyTorch has no gloo",
)
def test_two_processes_end_where_one_does():
    text = printed_by("torch_ddp.py")

    difference = float(re.search(r"at most ([\d.e+-]+)", text).group(1))
    # Five steps of 0.1 times gradients below 1: sums over 96 rows and steps, in another order.
    assert difference <= 5 * 0.1 * np.sqrt(96) * 6 * np.finfo(np.float32).eps
    assert text.startswith("2 processes and one:")
