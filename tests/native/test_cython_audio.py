"""examples/cython_audio: an effect in Cython on the installed package, sample by sample."""

from __future__ import annotations

import os
import shutil
import sys
import wave
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import simdrnn as sr
from helpers_native import ROOT, needed, run
from helpers_shared import made_once
from simdrnn.dialects import Chain

EXAMPLE = ROOT / "examples" / "cython_audio"
BESIDE = str(Path(sr.__file__).parents[1])  # where the package is

pytestmark = [
    pytest.mark.skipif(not EXAMPLE.is_dir(), reason="examples are not beside the tests"),
    pytest.mark.skipif(
        not (find_spec("Cython") and find_spec("setuptools")), reason="needs cython and setuptools"
    ),
]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Build the example in place, in a copy; return the folder to import it from."""
    needed("cc")

    def make(folder):
        shutil.copytree(EXAMPLE, folder)
        run(sys.executable, "setup.py", "build_ext", "--inplace", cwd=folder,
            env=os.environ | {"PYTHONPATH": BESIDE})  # fmt: skip

    return made_once(tmp_path_factory, "cython_audio", make)


@pytest.fixture
def effect(package, monkeypatch):
    monkeypatch.syspath_prepend(str(package))
    yield import_module("cython_audio").Effect
    for name in [name for name in sys.modules if name.startswith("cython_audio")]:
        del sys.modules[name]


def model():
    return Chain([sr.LSTM(1, 12, seed=0), sr.Linear(12, 1, seed=1)])


def test_without_feedback_it_is_one_call(effect):
    chain, dry = model(), np.random.default_rng(0).standard_normal(700).astype("float32")
    made, wet = effect(chain), np.empty_like(dry)

    for begin, end in ((0, 1), (1, 300), (300, 700)):
        made.process(dry[begin:end], wet[begin:end])

    expected = chain(dry[:, None, None])[0][:, 0, 0]
    assert wet.tobytes() == (dry + np.float32(1) * (expected - dry)).tobytes()


def test_feedback_is_a_loop_over_samples(effect):
    chain, dry = model(), np.random.default_rng(1).standard_normal(60).astype("float32")
    made, wet = effect(chain, feedback=0.25, mix=0.5), np.empty_like(dry)
    made.process(dry, wet)
    made.reset()
    made.process(dry, wet)

    state, before, expected = None, np.float32(0), []
    for sample in dry:
        given = sample + np.float32(0.25) * before
        out, state = chain(np.full((1, 1, 1), given, "float32"), state)
        before = out[0, 0, 0]
        expected.append(sample + np.float32(0.5) * (before - sample))
    assert wet.tobytes() == np.array(expected, "float32").tobytes()


def test_what_is_no_effect_is_refused(effect):
    with pytest.raises(ValueError, match="expected one input and one output"):
        effect(sr.LSTM(2, 3))
    with pytest.raises(ValueError, match="bidirectional"):
        effect(sr.LSTM(1, 1, bidirectional=True))


def test_the_program_runs_over_a_sound_file(package, tmp_path):
    model_path, dry, wet = tmp_path / "amp.npz", tmp_path / "dry.wav", tmp_path / "wet.wav"
    layer = sr.GRU(1, 1, seed=0)
    layer.save(model_path)
    sound = (np.sin(np.arange(4000) / 20) * 12000).astype("<i2")
    with wave.open(str(dry), "wb") as target:
        target.setparams((2, 2, 48000, 0, "NONE", None))
        target.writeframes(np.stack([sound, sound[::-1]], 1).tobytes())
    paths = os.pathsep.join([str(package), BESIDE])

    run(sys.executable, "-m", "cython_audio", model_path, dry, wet,
        env=os.environ | {"PYTHONPATH": paths})  # fmt: skip

    with wave.open(str(wet), "rb") as source:
        assert source.getparams()[:4] == (2, 2, 48000, 4000)
        found = np.frombuffer(source.readframes(4000), "<i2").reshape(-1, 2)
    given = sound.astype("float32") / 32768
    expected = layer(given[:, None, None])[0][:, 0, 0]
    mixed = given + (expected - given)
    assert (found[:, 0] == (mixed.clip(-1, 1) * 32767).astype("<i2")).all()
