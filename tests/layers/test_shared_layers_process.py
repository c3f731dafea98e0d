"""Shared layers, signals and forks: handlers answer, children compute, nothing waits for ever."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

import simdrnn as sr
from helpers import printed, program
from simdrnn.engine.packing import LATE_MODULES

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork and signal.alarm")

SETUP = """
signal.alarm(60)  # what hangs is killed
small = x[:3, :2].copy()
other = sr.LSTM(64, 64, num_layers=2, bidirectional=True, seed=1).state_dict()
first = layer.state_dict()

def answer():
    return layer(small)[0].tobytes()

answers = [answer()]
layer.load_state_dict(other)
answers.append(answer())
layer.load_state_dict(first)
answer()
"""


def test_signal_handlers_call_a_layer_that_its_own_thread_packs():
    printed_ = printed(
        program(SETUP)
        + """
from simdrnn.layers.passes import Passes
found, calls = [], []
signal.signal(signal.SIGUSR1, lambda *_: found.append(answer()))
of_pass = Passes.of_pass

def interrupted(self, *arguments, **options):
    calls.append(1)
    if len(calls) == 2:
        signal.raise_signal(signal.SIGUSR1)
    return of_pass(self, *arguments, **options)

Passes.of_pass = interrupted
layer.load_state_dict(other)
whole = answer()
print(found == [answers[1]], whole == answers[1], answer() == answers[1])
"""
    )

    assert printed_ == "True True True"


def test_signal_handlers_call_a_layer_that_its_own_thread_changes():
    printed_ = printed(
        program(SETUP)
        + """
found = []
signal.signal(signal.SIGUSR1, lambda *_: found.append(answer()))
with layer._update_parameters() as arrays:
    for name, array in arrays.items():
        array[...] = other[name]
        signal.raise_signal(signal.SIGUSR1)
print(set(found) == {answers[0]}, answer() == answers[1])

def change(*_):  # a handler that writes while its thread packs
    layer.load_state_dict(first)

from simdrnn.layers.passes import Passes
signal.signal(signal.SIGUSR2, change)
of_pass, calls = Passes.of_pass, []

def interrupted(self, *arguments, **options):
    calls.append(1)
    if len(calls) == 2:
        signal.raise_signal(signal.SIGUSR2)
    return of_pass(self, *arguments, **options)

layer.weight_ih_l0 = other["weight_ih_l0"]
Passes.of_pass = interrupted
print(answer() == answers[0], answer() == answers[0])
"""
    )

    assert printed_.splitlines() == ["True True", "True True"]


def test_ctrl_c_reaches_a_thread_that_waits():
    printed_ = printed(
        program(SETUP)
        + """
signal.signal(signal.SIGINT, signal.default_int_handler)
inside, stop = threading.Event(), threading.Event()

def hold():
    with layer._update_parameters():
        inside.set()
        stop.wait()

thread = threading.Thread(target=hold)
thread.start()
inside.wait()
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    layer.load_state_dict(other)
except KeyboardInterrupt:
    print("stopped")
stop.set()
thread.join()
layer.load_state_dict(other)
print(answer() == answers[1])
"""
    )

    assert printed_.split() == ["stopped", "True"]


FORKING = """
stop = threading.Event()

def repeat(task):
    while not stop.is_set():
        task()

threads = [threading.Thread(target=repeat, args=(task,)) for task in TASKS]
for thread in threads:
    thread.start()
codes = []
for _ in range(12):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(not works())
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
for thread in threads:
    thread.join()
print(codes == [0] * 12, works())
"""


def test_children_forked_while_others_write_and_pack_find_whole_parameters():
    """A thread that is in the middle of something when its process forks is not in the child."""
    tasks = """
def write():
    for state in (other, first):
        layer.load_state_dict(state)

def works():
    ready = answer() in answers
    layer.load_state_dict(other)
    return ready and answer() == answers[1] and layer.record(small).backward() is not None

TASKS = [write, answer, lambda: layer.record(small)]
"""

    assert printed(program(SETUP) + tasks + FORKING) == "True True"


def test_children_forked_while_another_thread_imports_import_too():
    """Parts of the library are imported by the first call that needs them, on whatever thread."""
    printed_ = printed(
        program(SETUP)
        + """
inside = threading.Event()

class Slow:
    def find_spec(self, name, path, target=None):
        if name == "simdrnn.engine.borrowed":
            inside.set()
            time.sleep(0.2)
        return None

sys.meta_path.insert(0, Slow())
thread = threading.Thread(target=lambda: layer.record(small))
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    signal.alarm(10)
    os._exit(layer.record(small).backward() is None)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""
    )

    assert printed_ == "0"


def test_what_layers_import_late_is_imported_before_a_fork():
    package = Path(sr.__file__).parent
    late = set()
    for folder in ("spec", "engine", "layers", "stack"):
        for file in (package / folder).rglob("*.py"):
            tree = ast.parse(file.read_text())
            for function in ast.walk(tree):
                if isinstance(function, ast.FunctionDef) and function.name != "__getattr__":
                    late |= {name for node in ast.walk(function) for name in imported(node)}

    loaded = {"simdrnn", "simdrnn._core"}  # before anything else
    assert late - loaded == set(LATE_MODULES)


def imported(node: ast.AST) -> set[str]:
    """Return the modules of ours that an import statement names."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        names = [name for name in inner if is_a_module(name)] or [str(node.module)]
    else:
        return set()
    return {name for name in names if name.partition(".")[0] == "simdrnn"}


def is_a_module(name: str) -> bool:
    """Tell whether this is the name of a module of ours, not of what is in one."""
    return name.startswith("simdrnn.") and (
        Path(sr.__file__).parent.joinpath(*name.split(".")[1:]).with_suffix(".py").exists()
        or Path(sr.__file__).parent.joinpath(*name.split(".")[1:], "__init__.py").exists()
    )


def test_children_forked_while_others_use_shared_networks_compute():
    """Networks that compiled programs name: what XLA calls, without the GIL."""
    tasks = """
from simdrnn.engine import pooled
from simdrnn.layers.bound import bound_layer

bound = bound_layer(layer)
number = pooled.share_network(bound.info, bound.dtype, bound.sizes, bound.options)
states = [np.zeros((4, 2, 64), "float32") for _ in range(2)]

def run(state):
    output, finals = np.empty((3, 2, 128), "float32"), [np.empty_like(one) for one in states]
    fields = [number, 0, 3, 2, 0, 0, 1, 0, 0, 0]
    pooled.run_arrays(fields, [small, *states, *state.values()], [output, *finals])
    return output.tobytes()

several = [first, other] + [{n: a + k for n, a in first.items()} for k in range(1, 9)]

def use():
    for state in several:
        run(state)

def works():
    known = [run(state) for state in several[:2]] == answers
    return known and pooled.release_shared_networks() > 0 and run(other) == answers[1]

TASKS = [use, use]
"""

    assert printed(program(SETUP) + tasks + FORKING) == "True True"


def test_a_writer_that_does_not_end_keeps_no_process_from_forking():
    printed_ = printed(
        program(SETUP)
        + """
inside, stop = threading.Event(), threading.Event()

def hold():
    with layer._update_parameters():
        inside.set()
        stop.wait()

thread = threading.Thread(target=hold)
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    layer.load_state_dict(other)
    os._exit(answer() != answers[1])
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
thread.join()
"""
    )

    assert printed_ == "0"
