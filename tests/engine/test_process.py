"""What the package does to the process it is in: imports, forks, floating point, Ctrl-C."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import simdrnn as sr
from helpers import assert_same_bits, printed, program
from helpers_loops import every

has_tasks = pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="counts threads in /proc/self/task"
)
has_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

# -- forks -----------------------------------------------------------------------------------------

# A child that hangs is killed by its alarm; what it did is its exit status.
FORKED = """
child = os.fork()
if child == 0:
    signal.alarm(30)
    alone = tasks()
    same = run(3) == want
    os._exit(0 if same and alone == 1 and tasks() > 1 else 1)
signal.alarm(60)
status = os.waitpid(child, 0)[1]
print(os.waitstatus_to_exitcode(status), run(3) == want)
"""


@has_fork
@has_tasks
def test_a_child_forked_after_use_computes_with_threads():
    answer = printed(program("want = run(3)" + FORKED))

    assert answer == "0 True"


@has_fork
@has_tasks
def test_a_child_forked_before_use_computes_with_threads():
    answer = printed(program("want = run(1)" + FORKED))  # one thread: no team

    assert answer == "0 True"


@has_fork
@has_tasks
def test_a_child_forked_during_a_call_of_another_thread_computes():
    busy = """
want = run(3)
stop = threading.Event()
def work():
    while not stop.is_set():
        layer(x, num_threads=2)
other = threading.Thread(target=work)
other.start()
time.sleep(0.05)
"""

    answer = printed(program(busy + FORKED + "stop.set()\nother.join()"))

    assert answer == "0 True"


@has_fork
def test_children_of_children_compute():
    lineage = """
        want = run(2)
        children = []
        for generation in range(4):
            children.append(os.fork())
            signal.alarm(30)
            if children[-1]:
                status = os.waitstatus_to_exitcode(os.waitpid(children[-1], 0)[1])
                print(generation, status, run(2) == want, flush=True)
                os._exit(status)
    """

    answer = printed(program(lineage))

    assert answer.splitlines() == [f"{generation} 0 True" for generation in (3, 2, 1, 0)]


WORKERS = """
    import multiprocessing

    def work(seed):
        return run(2)

    if __name__ == "__main__":
        want = run(2)
        context = multiprocessing.get_context(sys.argv[1])
        with context.Pool(2) as pool:
            answers = pool.map_async(work, range(4)).get(60)
        print([answer == want for answer in answers])
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_worker_processes_compute(method, tmp_path):
    script = tmp_path / "workers.py"  # a file, because workers import it
    script.write_text(program(WORKERS))
    command = [sys.executable, str(script), method]

    answer = printed(f"import subprocess; subprocess.run({command}, check=True)")

    assert answer == "[True, True, True, True]"


# -- import ----------------------------------------------------------------------------------------


@has_tasks
def test_import_starts_no_thread():
    started = printed("""
        import os
        import numpy
        before = len(os.listdir("/proc/self/task"))
        import simdrnn, simdrnn.reference
        print(len(os.listdir("/proc/self/task")) - before)
    """)

    assert started == "0"


def test_import_loads_few_modules():
    loaded = printed("""
        import sys
        import numpy, numpy.typing
        before = set(sys.modules)
        import simdrnn
        print(*sorted(set(sys.modules) - before))
    """).split()

    assert sum(name.startswith("simdrnn") for name in loaded) <= 41, loaded
    others = {name for name in loaded if not name.startswith("simdrnn")}
    assert others <= {"__future__", "copy", "dataclasses", "threading"}


@pytest.mark.quiet
def test_import_is_quick():
    code = """
        import time
        import numpy
        begin = time.thread_time()
        import simdrnn
        print(time.thread_time() - begin)
    """
    printed(code)  # compiles the package

    seconds = [float(printed(code)) for _ in range(9)]

    assert min(seconds) < 0.05  # others on the machine can only add to it


def test_import_needs_numpy_only():
    optional = ["torch", "tqdm", "rich", "matplotlib", "sklearn", "onnx", "onnxruntime", "scipy"]

    loaded = printed(f"""
        import sys
        import simdrnn
        print([name for name in {optional} if name in sys.modules])
    """)

    assert loaded == "[]"


def test_import_leaves_for_later_what_most_programs_never_ask_for():
    later = {
        "gradcheck": "training.gradcheck",
        "init": "init",
        "reference": "reference",
        "regularizers": "regularizers",
        "tbptt": "training.truncated",
    }

    loaded = printed(f"""
        import sys
        import simdrnn
        print([name for name in {list(later.values())} if f"simdrnn.{{name}}" in sys.modules])
        import {", ".join(f"simdrnn.{module}" for module in later.values())}
        print([name for name in {list(later)} if not hasattr(simdrnn, name)])
        print(callable(simdrnn.gradcheck), callable(simdrnn.tbptt))
    """)

    assert loaded.splitlines() == ["[]", "[]", "True True"]


# -- floating point --------------------------------------------------------------------------------

# The control bits of the SSE unit (rounding, flush to zero, denormals are zero, traps): the last
# four bytes of the 32 that fegetenv saves on x86-64.
CONTROL = """
import ctypes

def control():
    environment = (ctypes.c_uint32 * 16)()
    ctypes.CDLL(None).fegetenv(environment)
    return hex(environment[7] & 0xffc0)
"""
DEFAULT = "0x1f80"  # all exceptions masked, round to nearest, subnormals kept

on_x86_linux = pytest.mark.skipif(
    not (sys.platform == "linux" and os.uname().machine == "x86_64"),
    reason="reads the layout of fenv_t of glibc on x86-64",
)


@on_x86_linux
def test_import_leaves_the_floating_point_environment_alone():
    kept = printed(CONTROL + "import numpy\nprint(control())\nimport simdrnn\nprint(control())")

    assert kept.split() == [DEFAULT, DEFAULT]


@on_x86_linux
def test_calls_leave_the_floating_point_environment_alone():
    kept = printed(program(CONTROL + "print(control())\nrun(3)\nprint(control())"))

    assert kept.split() == [DEFAULT, DEFAULT]


def test_subnormals_survive_import_and_calls():
    kept = printed(
        program("""
            run(3)
            print(np.float32(1e-40) * np.float32(1) != 0, np.float64(1e-310) * np.float64(1) != 0)
        """)
    )

    assert kept == "True True"


def subnormals_through(dtype, threads, directions=1):
    """Send subnormal numbers through a layer that hands them on, on all threads.

    Of two directions, which run side by side, what each put out follows what the other did.
    """
    H = 130
    steps, rows = (40, 29) if directions == 1 else (100, 1)
    layer = sr.RNN(
        H, H, nonlinearity="relu", bias=False, bidirectional=directions == 2, dtype=dtype
    )
    plan = sr.explain(layer, steps, rows, num_threads=threads).forward
    schedule = "directions" if directions == 2 else "rows" if threads > 1 else "one_thread"
    assert (plan.schedule, plan.threads) == (schedule, threads)
    kept, none = np.eye(H, dtype=dtype), np.zeros((H, H), dtype)
    layer.load_state_dict({n: kept if "_ih_" in n else none for n in layer.parameters()})
    x = np.full((steps, rows, H), np.finfo(dtype).smallest_subnormal)
    output, _ = layer(x, num_threads=threads)
    return x, np.concatenate(np.split(output, directions, axis=-1))


@pytest.fixture
def keep_subnormals():
    """Compute with subnormal numbers while the test runs."""
    sr.set_flush_denormals(False)
    yield
    sr.set_flush_denormals(True)


@every("threads")
@every("dtype")
@every("isa")
def test_subnormals_survive_in_every_thread_when_asked_to(isa, dtype, threads, keep_subnormals):
    x, output = subnormals_through(dtype, threads)

    assert_same_bits(output, x)


@every("dtype")
def test_subnormals_survive_in_directions_side_by_side_when_asked_to(dtype, keep_subnormals):
    x, output = subnormals_through(dtype, 2, directions=2)

    assert_same_bits(output, np.concatenate([x, x]))


@every("threads")
@every("dtype")
@every("isa")
def test_subnormals_are_zeros_in_every_thread_by_default(isa, dtype, threads):
    _, output = subnormals_through(dtype, threads)

    assert not output.any()


# -- Ctrl-C ----------------------------------------------------------------------------------------

# Calls of some SECONDS, and SIGINT after a twentieth of that. For each: what came of it, whether
# the layer then computes what another with the same weights does, and how long it took to return.
INTERRUPTED = """
    layer, twin = (sr.LSTM(1024, 1024, seed=0) for _ in range(2))
    row = np.random.default_rng(0).standard_normal((8, 1024)).astype("float32")

    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever a shell chose for us

    def sequence(steps):
        return np.broadcast_to(row, (steps, *row.shape))

    def answers(layer):
        tape = layer.record(sequence(3))
        return tape.output, tape.backward(tape.output).x

    def timed(function):  # the least of three: a busy machine must not make calls look long
        def once():
            begin = time.perf_counter()
            function()
            return time.perf_counter() - begin

        return min(once() for _ in range(3))

    def interrupt(sent):
        time.sleep(SECONDS / 20)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    def stop(task):
        sent, came = [], "stopped"
        killer = threading.Thread(target=interrupt, args=(sent,))
        killer.start()
        with contextlib.suppress(KeyboardInterrupt):
            task()
            came = "returned"
        after = time.perf_counter() - sent[0]
        killer.join()
        sound = all(map(np.array_equal, answers(layer), answers(twin)))
        print(came, sound, after)

    answers(layer)
    few = layer.record(sequence(20), num_threads=1)
    forward = timed(lambda: layer(sequence(20), num_threads=1)) / 20
    backward = timed(lambda: few.backward(few.output)) / 20
    many = sequence(int(SECONDS / forward))
    stop(lambda: layer(many, num_threads=COUNT))
    tape = layer.record(sequence(int(SECONDS / backward)), num_threads=COUNT)
    stop(lambda: tape.backward(tape.output))
"""


def interrupted(count, seconds):
    """Return what came of both calls on some threads, as lists of words."""
    code = INTERRUPTED.replace("COUNT", str(count)).replace("SECONDS", str(seconds))
    return [line.split() for line in printed(program(code)).splitlines()]


@pytest.mark.quiet
@pytest.mark.parametrize("count", [1, 2])
def test_ctrl_c_stops_long_calls_within_a_second(count):
    lines = interrupted(count, seconds=3)

    assert [words[:2] for words in lines] == [["stopped", "True"]] * 2
    assert all(float(words[2]) < 1 for words in lines)
