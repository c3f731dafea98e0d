"""A save that fails, on a full disk or by a kill, leaves the old file and nothing beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import simdrnn as sr
from helpers_files import skip_without_package
from helpers_loops import every
from simdrnn.files import atomic

posix = pytest.mark.skipif(os.name != "posix", reason="limits and locks are POSIX's")

ENDINGS = [".npz", ".safetensors", ".onnx"]


def skip_without(ending):
    if ending == ".onnx":
        pytest.importorskip("onnx", reason="needs the [test] extra: onnx")
    else:
        skip_without_package(ending)


def save(layer, path):
    if path.suffix == ".onnx":
        import simdrnn.onnx

        simdrnn.onnx.save(layer, path)
    else:
        layer.save(path)


PROGRAM = """
    import sys, pathlib
    import simdrnn as sr
    path = pathlib.Path(sys.argv[1])
    layer = sr.LSTM(64, 256, seed=0)
    if path.suffix == ".onnx":
        import simdrnn.onnx
        save = lambda: simdrnn.onnx.save(layer, path)
    else:
        save = lambda: layer.save(path)
"""

FULL = """
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # as a disk with no more room
    try:
        save()
    except Exception as error:
        print(isinstance(error, OSError), getattr(error, "errno", None))
"""

BUSY = """
    save()
    print("saved", flush=True)
    while True:
        save()
"""


def started(program, path):
    text = textwrap.dedent(PROGRAM) + textwrap.dedent(program)
    return subprocess.Popen(
        [sys.executable, "-c", text, str(path)], stdout=subprocess.PIPE, text=True
    )


@posix
@every("ending", ENDINGS)
def test_a_full_disk_is_an_os_error_and_keeps_the_old_file(ending, tmp_path):
    skip_without(ending)
    path = tmp_path / f"model{ending}"
    save(sr.LSTM(3, 4, seed=1), path)
    before = path.read_bytes()

    said, _ = started(FULL, path).communicate()

    assert said.split() == ["True", "27"], said  # EFBIG
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@posix
@pytest.mark.parametrize("nameless", [True, False], ids=["without a name", "with a name"])
def test_what_a_killed_process_left_is_removed_by_the_next(nameless, tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    program = BUSY
    if not nameless:
        program = "import os\nvars(os).pop('O_TMPFILE', None)\n" + textwrap.dedent(BUSY)
    for delay in (0.0, 0.003, 0.007, 0.011):
        process = started(program, path)
        assert process.stdout.readline() == "saved\n"
        threading.Event().wait(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate()

        assert len(list(tmp_path.iterdir())) <= 2
        assert repr(sr.load(path)) == "LSTM(64, 256)"
        sr.GRU(3, 4).save(tmp_path / "model.npz")
        assert list(tmp_path.iterdir()) == [path]


@posix
def test_files_of_others_that_write_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    other = tmp_path / ".simdrnn-of somebody.tmp.txt"
    other.write_text("mine")

    with atomic.replacing(tmp_path / "slow.npz") as slow:
        slow.write_bytes(b"slow")
        sr.GRU(3, 4).save(tmp_path / "fast.npz")
        assert slow.exists()

    assert (tmp_path / "slow.npz").read_bytes() == b"slow"
    assert {one.name for one in tmp_path.iterdir()} == {"slow.npz", "fast.npz", other.name}


@posix
def test_links_in_the_place_of_what_is_left_over_are_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / ".simdrnn-0123456789abcdef.tmp").symlink_to(precious)

    sr.GRU(3, 4).save(tmp_path / "gru.npz")

    assert precious.read_text() == "kept"


@posix
@pytest.mark.parametrize("nameless", [True, False], ids=["without a name", "with a name"])
def test_any_failure_leaves_nothing(nameless, tmp_path, monkeypatch):
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    path = tmp_path / "gru.npz"

    def interrupted(stream, **arrays):
        path = Path(stream.name)
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sr.GRU(3, 4).save(path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_devices_are_written_to_and_stay(tmp_path):
    link = tmp_path / "full.npz"
    link.symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space left"):
        sr.GRU(3, 4).save(link)

    assert link.is_symlink()


@every("ending", ENDINGS)
def test_a_folder_that_is_not_there_is_told_by_the_name_that_was_given(ending, tmp_path):
    skip_without(ending)
    path = tmp_path / "none" / f"model{ending}"

    with pytest.raises(FileNotFoundError, match="expected a folder that is there") as caught:
        save(sr.LSTM(3, 4, seed=1), path)

    assert caught.value.filename == str(path)


def test_long_names_are_written(tmp_path):
    path = tmp_path / ("n" * 250 + ".npz")

    sr.GRU(3, 4).save(path)

    assert list(tmp_path.iterdir()) == [path]
