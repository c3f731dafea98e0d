"""``simdrnn onnx run``, the example, and what there is without onnx."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from helpers_source import ROOT
from simdrnn.cli import main

pytestmark = pytest.mark.peers


@pytest.fixture
def model(tmp_path):
    """A GRU in a file, with its states as inputs; x and h_0 in files, and what it makes of them."""
    pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
    from simdrnn.onnx import save

    layer, rng = sr.GRU(3, 4, seed=0), np.random.default_rng(0)
    save(layer, tmp_path / "model.onnx", states=True)
    x = rng.standard_normal((5, 2, 3)).astype("float32")
    h = rng.standard_normal((1, 2, 4)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "h.npy", h)
    return tmp_path, layer(x, h)


def run(folder, *words):
    """Run the command on the model, with names of files made paths."""
    paths = [word if word.startswith("--") else word.replace("@", f"{folder}/") for word in words]
    return main(["onnx", "run", str(folder / "model.onnx"), *paths])


INPUTS = ("--input", "@x.npy", "--input", "@h.npy")


def test_outputs_are_shown(model, capsys):
    folder, _ = model

    assert run(folder, *INPUTS) == 0

    assert capsys.readouterr().out == "output: float32 (5, 2, 4)\nh_n: float32 (1, 2, 4)\n"


@pytest.mark.parametrize(
    "outputs",
    [
        ("--output", "@first.npy", "--output", "@second.npy"),
        ("--output", "h_n=@second.npy", "--output", "@first.npy"),
        ("--output", "@all.npz"),
    ],
)
def test_outputs_are_written(outputs, model):
    folder, want = model

    assert run(folder, "--input", "h_0=@h.npy", "--input", "@x.npy", *outputs) == 0

    if "@all.npz" in outputs:
        with np.load(folder / "all.npz") as saved:
            got = saved["output"], saved["h_n"]
    else:
        got = np.load(folder / "first.npy"), np.load(folder / "second.npy")
    for one, other in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


BAD = {
    "no such file": (("--input", "@none.npy"), "No such file"),
    "an input lacks": (("--input", "@x.npy"), "input_feed: expected x, h_0, got x"),
    "too many": ((*INPUTS, "--input", "@x.npy"), "--input: expected at most 2 files, got 3"),
    "an unknown name": (("--input", "y=@x.npy"), "--input: expected one of x, h_0, got 'y'"),
    "a name twice": (("--input", "x=@x.npy", "--input", "x=@x.npy"), "expected x once"),
    "no array": (("--input", "@model.onnx"), "expected a .npy file"),
    "a wrong shape": (
        ("--input", "@h.npy", "--input", "@x.npy"),
        "input 'x': expected shape (T, B, 3), got",
    ),
    "no threads": ((*INPUTS, "--num-threads", "0"), "num_threads: expected"),
    "outputs of two kinds": (
        (*INPUTS, "--output", "@a.npz", "--output", "@b.npy"),
        "--output: expected .npy files, or one .npz file alone",
    ),
    "an unknown output": (
        (*INPUTS, "--output", "z=@b.npy"),
        "expected one of output, h_n, got 'z'",
    ),
}


@every("name", BAD)
def test_what_cannot_be_used_is_said_in_a_sentence(name, model, capsys):
    words, message = BAD[name]

    assert run(model[0], *words) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("simdrnn onnx run: ")
    assert message in err
    assert not list(model[0].glob("[ab].np?"))


def test_pickled_arrays_are_not_read(model, capsys):
    np.save(model[0] / "x.npy", np.array([{}], object))

    assert run(model[0], *INPUTS) == 2

    assert "expected a .npy file" in capsys.readouterr().err


def test_what_is_no_model_is_said(tmp_path, capsys):
    pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
    (tmp_path / "model.onnx").write_bytes(b"nothing")

    assert run(tmp_path) == 2

    assert "model.onnx: expected an ONNX model" in capsys.readouterr().err


def in_a_process(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_library_does_without_onnx():
    ran = in_a_process("import sys, simdrnn, simdrnn.cli; print('onnx' in sys.modules)")

    assert ran.stdout == "False\n", ran.stderr


def test_the_import_says_what_to_install():
    ran = in_a_process("import sys; sys.modules['onnx'] = None; import simdrnn.onnx")

    assert ran.stderr.endswith("ImportError: simdrnn.onnx needs ONNX: pip install onnx\n")


def test_the_command_says_what_to_install():
    code = (
        "import sys; sys.modules['onnx'] = None; from simdrnn.cli import main; "
        "sys.exit(main(['onnx', 'run', 'model.onnx']))"
    )

    ran = in_a_process(code)

    assert ran.returncode == 2
    assert ran.stderr == "simdrnn onnx run: simdrnn.onnx needs ONNX: pip install onnx\n"


def test_the_example_runs():
    pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
    example = ROOT / "examples" / "onnx_models.py"
    if not example.is_file():
        pytest.skip("the examples are not beside the tests")

    ran = subprocess.run([sys.executable, example], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert "same bits: True" in ran.stdout
    assert "scores: (20, 4, 3)" in ran.stdout
