"""Which instruction sets there are, and that the one asked for runs."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import simdrnn as sr
from helpers import CELLS, Case, assert_same_bits, printed, results, run_python
from helpers_loops import every

CPUINFO = Path("/proc/cpuinfo")
# What each instruction set needs, in the words of the Linux kernel, which leaves out what it does
# not save for its processes.
FLAGS = {
    "scalar": set(),
    "avx2": {"avx2", "fma"},
    "avx512": {"avx2", "fma", "avx512f", "avx512dq", "avx512bw", "avx512vl"},
}

on_linux_x86 = pytest.mark.skipif(
    not CPUINFO.exists() or platform.machine() not in ("x86_64", "AMD64"),
    reason="needs the flags of an x86-64 CPU in /proc/cpuinfo",
)


def cpu_flags() -> set[str]:
    """Return the flags of the first CPU."""
    lines = CPUINFO.read_text().splitlines()
    line = next(line for line in lines if line.startswith("flags"))
    return set(line.partition(":")[2].split())


@on_linux_x86
def test_available_is_what_the_kernel_says():
    flags = cpu_flags()

    found = sr.isa.available()

    assert found == [name for name in sr.isa.compiled() if flags >= FLAGS[name]]


def test_available_is_compiled_and_ends_with_scalar():
    found = sr.isa.available()

    assert set(found) <= set(sr.isa.compiled())
    assert found[-1] == "scalar"


def test_lists_are_copies():
    sr.isa.available().clear()

    assert sr.isa.available()


def test_the_best_is_active_by_default():
    active = printed("import simdrnn as sr; print(sr.isa.active())")

    assert active == sr.isa.available()[0]


@pytest.mark.parametrize("name", sr.isa.available())
def test_the_variable_chooses(name):
    active = printed("import simdrnn as sr; print(sr.isa.active())", SIMDRNN_ISA=name)

    assert active == name


# The peaks of instruction sets differ by the factors of their lanes: the one named is the one that
# runs. Seen where lanes multiply by 8 at least; less could be a CPU's whim.
PEAK = """
    import simdrnn as sr
    print(max(sr._core.testing.fma_peak("float32", 0.02, 1) for _ in range(3)))
"""


@pytest.mark.parametrize("name", [name for name in sr.isa.available() if name != "scalar"])
def test_the_chosen_one_runs(name):
    scalar = float(printed(PEAK, SIMDRNN_ISA="scalar"))

    chosen = float(printed(PEAK, SIMDRNN_ISA=name))

    assert chosen > 3 * scalar


@every("name", [" ", "avx", "AVX2", "sve", "scalar ", "avx2,scalar"])
def test_unknown_names_fail_the_import(name):
    done = run_python("import simdrnn", SIMDRNN_ISA=name)

    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    choices = ", ".join(sr.isa.available())
    assert error.startswith(f"ImportError: SIMDRNN_ISA: expected one of {choices}")
    assert error.endswith(f"got {name!r}")


# C libraries that compute in a wider type and round twice, as MinGW's has been seen to.
ROUNDS_TWICE = {
    "fmaf": "float fmaf(float a, float b, float c) { return (float)((double)a * b + c); }",
    "fma": "double fma(double a, double b, double c) { return (double)((long double)a * b + c); }",
}


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="scalar kernels call fma on x86-64")
@pytest.mark.skipif(not CPUINFO.exists(), reason="needs a loader with LD_PRELOAD")
@every("name", ROUNDS_TWICE)
def test_scalar_is_not_offered_where_fma_rounds_twice(name, tmp_path):
    source, library = tmp_path / "fma.c", tmp_path / "fma.so"
    source.write_text(ROUNDS_TWICE[name])
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source], check=True)

    found = printed("import simdrnn as sr; print(sr.isa.available())", LD_PRELOAD=str(library))

    assert "scalar" in sr.isa.available()
    assert found == str([name for name in sr.isa.available() if name != "scalar"])


def test_an_empty_name_is_no_name():
    code = "import simdrnn as sr; print(sr.isa.active())"

    active = printed(code, SIMDRNN_ISA="")

    assert active == sr.isa.available()[0]


def test_use_switches(isa):
    active = sr.isa.active()

    assert active == isa


@every("cell", CELLS)
@every("isa")
def test_layers_follow_switches_back_and_forth(isa, cell):
    problem = Case(cell, layers=2, directions=2, pattern="all", clip="every").draw(sr)
    layer = problem.layer
    want, _ = layer(problem.x, problem.state, **problem.call)

    for name in [*sr.isa.available(), isa, *reversed(sr.isa.available())]:
        sr.isa.use(name)
        got, _ = layer(problem.x, problem.state, **problem.call)

        assert_same_bits(got, want, name)
        assert sr.explain(layer, 4, 2).isa == name


@every("cell", CELLS)
@every("isa")
def test_a_tape_may_be_played_back_by_another_instruction_set(isa, cell):
    problem = Case(cell, layers=2, directions=2, pattern="all").draw(sr)
    want = results(problem)
    sr.isa.use("scalar")
    tape = problem.layer.record(problem.x, problem.state, **problem.call)
    sr.isa.use(isa)

    grads = tape.backward(problem.d_output, problem.d_state)

    assert_same_bits(grads.x, want["d_x"])
    assert_same_bits(grads.params, want["d_params"])


def test_new_parameters_after_a_switch_count(isa, rng):
    layer = sr.GRU(3, 4, dtype="float64", seed=0)
    x = rng.standard_normal((5, 2, 3))
    before, _ = layer(x)
    sr.isa.use("scalar")
    layer.weight_hh_l0 = 2 * layer.weight_hh_l0
    layer(x)
    sr.isa.use(isa)

    layer.weight_hh_l0 = layer.weight_hh_l0 / 2

    assert_same_bits(layer(x)[0], before)


@every("name", ["", "avx", "AVX2", "sve", "scalar\0"])
def test_use_of_an_unknown_name_lists_the_choices(name):
    before = sr.isa.active()

    with pytest.raises(ValueError, match=f"name: expected one of {', '.join(sr.isa.available())}"):
        sr.isa.use(name)

    assert sr.isa.active() == before


@every("name", [None, 2, b"avx2", ["avx2"], np.str_])
def test_use_of_another_type_says_so(name):
    with pytest.raises(TypeError, match=f"name: expected a string, got {type(name).__name__}"):
        sr.isa.use(name)
