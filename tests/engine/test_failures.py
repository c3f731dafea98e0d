"""What fails in the middle of a call, or ends while one runs, leaves nothing half done."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers import printed, program

has_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
SOURCE = Path(__file__).parents[1] / "support" / "failing_allocations.c"

# -- out of memory ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def failing_allocations(tmp_path_factory):
    """Build what makes single allocations fail."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or platform.libc_ver()[0] != "glibc":
        pytest.skip("needs a C compiler and glibc")
    made = tmp_path_factory.mktemp("failing") / "failing_allocations.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", made, SOURCE, "-ldl"]
    subprocess.run(command, check=True)
    return made


# Each allocation of a first call in a process fails in turn, in a child of its own; threads, their
# pool, working memory and its register are made in there. What a child finds is its exit status:
# 0, or 1 where the call came through before the allocation that was to fail.
OUT_OF_MEMORY = """
import ctypes
hook = ctypes.CDLL(None)
import simdrnn.engine.borrowed  # Python's imports answer to other errors than MemoryError
sr.set_num_threads(2)

sr._core.testing.math("exp", np.ones(3))  # what NumPy and pybind11 make once is theirs
import simdrnn.engine.borrowed  # and so is what Python makes of a module
small, gang = sr.GRU(64, 48, seed=0), sr.LSTM(64, 384, seed=0)
for one in (small, gang):  # packed: pybind11 frees a new object twice that it cannot register
    sr.explain(one, 1, 1)
x = x[:12]

def forward():
    return small(x)[0]

def together():  # a row alone: threads meet at every step
    return gang(x[:, :1])[0]

def backward():
    tape = small.record(x)
    return tape.backward(tape.output).x

def signals():
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])

def in_child(body, seconds=30):
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        code = 99
        try:
            code = body()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def failing(call, want, at):
    before, got = signals(), want
    hook.fail_after(at)
    try:
        got = call()
    except MemoryError:
        pass
    left = hook.successes_left()
    hook.fail_after(-1)
    right = [
        np.array_equal(got, want),
        signals() == before,
        np.array_equal(call(), want),  # the next one is as if nothing had been
        tasks() == 2,  # and has its threads
        in_child(lambda: 0 if np.array_equal(call(), want) else 1, 10) == 0,  # no lock is held
        sr.release_memory() >= 0,
    ]
    return int(left >= 0) if all(right) else 2 + right.index(False)

def made_by(call):  # by a child: here nothing has run yet
    with open(path, "wb") as file:
        in_child(lambda: np.save(file, call()) or file.flush() or 0)
    return np.load(path)

path = os.environ["SCRATCH"]
for call in (forward, together, backward):
    want, codes = made_by(call), []
    while 1 not in codes and len(codes) < 300:
        codes.append(in_child(lambda: failing(call, want, len(codes))))
    print(call.__name__, len(codes) > 20, sorted({*codes}))
"""


@has_fork
def test_an_allocation_that_fails_leaves_nothing_half_done(failing_allocations, tmp_path):
    scratch = str(tmp_path / "want.npy")

    found = printed(program(OUT_OF_MEMORY), LD_PRELOAD=str(failing_allocations), SCRATCH=scratch)

    assert found.splitlines() == [
        f"{name} True [0, 1]" for name in ("forward", "together", "backward")
    ]


# -- the end of the program ------------------------------------------------------------------------

# Children end as programs do, each while a daemon thread is in calls that run without Python's
# lock, at another moment of them. They used to be aborted by std::terminate.
ENDING = """
import gc
from simdrnn import _core

weights, tape, long = layer.weight_hh_l0.copy(), layer.record(x), np.ones((400, 32, 64), "f4")

def set_weights():
    layer.weight_hh_l0 = weights
    layer(x[:1])

CALLS = {
    "forward": lambda: layer(x),
    "asks for signals": lambda: layer(long),
    "backward": lambda: tape.backward(tape.output),
    "weights": set_weights,
    "fingerprints": lambda: _core.fingerprints([long]),
    "parts": lambda: _core.testing.miscounted_parts([2], 50_000),
}
sr.set_num_threads(1)
found = {}
for name in CALLS:
    for moment in (0.02, 0.027, 0.035):
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            call = CALLS[name]
            def for_ever():
                while True:
                    call()
            threading.Thread(target=for_ever, daemon=True).start()
            time.sleep(moment)
            sys.exit()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found.setdefault(status, []).append(name)
print({status: sorted({*names}) for status, names in found.items() if status}, len(found[0]))
"""


@has_fork
def test_a_program_ends_while_a_daemon_thread_is_in_a_call():
    assert printed(program(ENDING)) == "{} 18"
