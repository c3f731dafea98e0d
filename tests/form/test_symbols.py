"""Objects of one instruction set share no symbol with the rest of the program.

Where two objects define the same inline function, the linker keeps one copy for all: an AVX-512
copy would then run on CPUs without it. So the objects are compiled without optimisation (which
hides such functions by inlining them) and, `--exhaustive`, as CMakeLists.txt says, and looked at
with nm.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers_source import ROOT

CMAKE = ROOT / "CMakeLists.txt"
COMPILER = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
NM = shutil.which("nm")

# Functions of C that a compiler may call of its own accord, and the two of libm that scalar code is
# made of. They have one definition in the program, and it is nobody's inline function.
BORROWED = {"memcpy", "memmove", "memset", "memcmp", "fma", "fmaf", "sqrt", "sqrtf"}
LINKER = {"_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}

pytestmark = [
    pytest.mark.skipif(not CMAKE.is_file(), reason="the sources are not beside the tests"),
    pytest.mark.skipif(
        platform.machine() not in {"x86_64", "AMD64"}, reason="the objects are of x86-64"
    ),
    pytest.mark.skipif(COMPILER is None, reason="no C++ compiler here (set CXX)"),
    pytest.mark.skipif(NM is None, reason="no nm here"),
]


def cmake_text():
    return re.sub(r"#[^\n]*", "", CMAKE.read_text(encoding="utf-8")) if CMAKE.is_file() else ""


def cmake_list(name):
    """Return the values that CMakeLists.txt last sets a variable to."""
    return re.findall(rf"set\({name}\s+([^)]*)\)", cmake_text())[-1].split()


def instruction_sets():
    """Return name -> flags of its own, as CMakeLists.txt adds them."""
    calls = re.findall(r"simdrnn_add_isa\((\w+)\s*([^)]*)\)", cmake_text())
    return {name: flags.split() for name, flags in calls if name != "name"}


# Of another CPU than this one, and so in no build here.
OTHER_CPUS = {"neon"}


ISAS = instruction_sets()


def test_cmake_lists_every_object():
    files = {path.stem for path in (ROOT / "csrc" / "kernels").glob("*.cpp")}

    assert {*ISAS} == files
    assert "-flto" not in cmake_text()
    assert "set(CMAKE_INTERPROCEDURAL_OPTIMIZATION OFF)" in cmake_text()
    assert not re.search(r"-ffast-math|-Ofast|-march=native|-funsafe|-ffinite", cmake_text())


def compiled(name, optimise, folder):
    """Compile one instruction set's file."""
    target = folder / f"{name}.o"
    command = [
        *shlex.split(COMPILER), "-std=c++20", "-fPIC",
        "-fvisibility=hidden", "-fvisibility-inlines-hidden", "-fno-exceptions", "-fno-rtti",
        *cmake_list("SIMDRNN_NUMERICS"), *optimise, *ISAS[name],
        f"-DSIMDRNN_ISA={name}", f"-DSIMDRNN_ISA_{name}", f"-I{ROOT / 'csrc'}",
        "-c", str(ROOT / "csrc" / "kernels" / f"{name}.cpp"), "-o", str(target),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return target


def symbols_of(target):
    """Return [(kind, symbol), ...] of an object, as nm lists them."""
    listing = subprocess.run([NM, str(target)], check=True, capture_output=True, text=True).stdout
    return [tuple(line.split()[-2:]) for line in listing.splitlines()]


# The first is built anyway, to try a new cell. Compiling the others takes minutes, and the rules
# for the sources (test_seam.py) leave little for them to find. SIMDRNN_BUILD names a folder that
# CMake has built in: the objects that go into the library are then looked at there.
BUILD = os.environ.get("SIMDRNN_BUILD")


def marks_of(name, level):
    free = (name, level) == ("scalar", "-O0") or (BUILD and level == "release")
    return () if free else pytest.mark.exhaustive


OBJECTS = [
    pytest.param((name, level), id=f"{name}-{level.strip('-')}", marks=marks_of(name, level))
    for name in ISAS
    if name not in OTHER_CPUS
    for level in ("-O0", "release")
]


@pytest.fixture(scope="module", params=OBJECTS)
def built(request, tmp_path_factory):
    """Name of an instruction set, and the symbols of its object."""
    name, level = request.param
    folder = BUILD if level == "release" else None
    if (name, level) == ("scalar", "-O0"):
        folder = request.getfixturevalue("built_tree") / "build"
    if folder:
        [target] = Path(folder).rglob(f"{name}.cpp.o")
        return name, symbols_of(target)
    optimise = cmake_list("SIMDRNN_OPTIMISE") if level == "release" else [level]
    return name, symbols_of(compiled(name, optimise, tmp_path_factory.mktemp("objects")))


def own(name):
    """Return a pattern of mangled names that lie in the instruction set's namespace."""
    inside = rf"N[rVK]*[RO]?7simdrnn{len(name)}{name}"
    return re.compile(rf"_Z(T[VTIS]|GR|GV|Z)*{inside}")  # tables, temporaries, guards, locals


def test_shared_symbols_lie_in_the_namespace_of_the_instruction_set(built):
    name, symbols = built

    shared = [symbol for kind, symbol in symbols if kind in "WwVvu"]

    assert [symbol for symbol in shared if not own(name).match(symbol)] == []


def test_one_symbol_is_exported(built):
    name, symbols = built

    exported = [symbol for kind, symbol in symbols if kind in "TDBRGSC"]

    assert exported == [f"_ZN7simdrnn{len(name)}{name}5tableEv"]


def test_nothing_is_called_but_plain_c(built):
    _, symbols = built

    called = {symbol for kind, symbol in symbols if kind == "U"}

    assert called <= BORROWED | LINKER


def test_nothing_runs_before_main(built):
    _, symbols = built

    early = re.compile(r"_GLOBAL__|_ZGV|__static_init|__cxa|_ZStL8__ioinit")

    assert [symbol for _, symbol in symbols if early.search(symbol)] == []
