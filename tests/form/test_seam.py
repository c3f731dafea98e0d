"""The C++ tree keeps its layers, and the seam between what is compiled once and once per ISA."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from helpers_source import CSRC, EXCUSE, code_of, cpp_files, cpp_functions, includes_of, reach

pytestmark = pytest.mark.skipif(not CSRC.is_dir(), reason="the sources are not beside the tests")

# Folder -> folders (or single headers) of ours that its files may include, besides itself. What is
# compiled once, baseline flags, and what is compiled for each instruction set meet in abi/ alone.
GATE_MATHEMATICS = {"abi", "kernels/simd"}
TIME_LOOPS = GATE_MATHEMATICS | {"kernels/gemm", "kernels/options", "kernels/steps.hpp"}
INCLUDES = {
    "abi": set(),
    "kernels/simd": {"abi"},
    "kernels/gemm": GATE_MATHEMATICS,
    "kernels/cells": GATE_MATHEMATICS,
    "kernels/options": GATE_MATHEMATICS | {"kernels/gemm", "kernels/steps.hpp"},
    "kernels/training": GATE_MATHEMATICS | {"kernels/options/step_gradient.hpp"},
    "kernels/forward": TIME_LOOPS,
    "kernels/backward": TIME_LOOPS | {"kernels/forward"},
    "kernels": TIME_LOOPS
    | {"kernels/cells", "kernels/forward", "kernels/backward", "kernels/training"},
    "engine/dispatch": {"abi"},
    "engine/system": set(),
    "engine/threads": {"engine/machine.hpp", "engine/system"},
    "engine": {"abi", "engine/dispatch", "engine/system", "engine/threads/team.hpp"},
    "model": {"abi", "engine"},
    "files": {"abi", "engine", "engine/dispatch", "model"},
    "c_api": {"engine/dispatch", "files", "model"},
    "python": {"abi", "engine", "engine/dispatch", "engine/system", "engine/threads/team.hpp"}
    | {"c_api/table.hpp", "model/activation_stage.hpp", "model/model_stream.hpp"},
}

# Packages of others -> the only places whose files may include their headers.
FOREIGN = {
    "pybind11/": ("python/",),
    "Python.h": (),
    "xla/": ("python/xla.cpp",),
    "omp.h": ("engine/threads/openmp.cpp",),
    "dlfcn.h": ("engine/threads/openmp.cpp",),
    # What a system or a CPU has of its own.
    **dict.fromkeys(
        ["pthread.h", "sched.h", "signal.h", "unistd.h", "sys/", "link.h", "mach-o/", "windows.h"],
        ("engine/system/",),
    ),
    "immintrin.h": ("kernels/simd/vec_", "engine/machine.hpp", "engine/fingerprint_aes.hpp"),
    "xmmintrin.h": (),
    "arm_neon.h": ("kernels/simd/vec_neon.hpp",),
    "cpuid.h": ("engine/dispatch/cpu_features.cpp",),
}
# Their names, in code that includes nothing.
MACHINE = re.compile(
    r"__x86_64__|__aarch64__|__linux__|__APPLE__|_WIN32|__builtin_ia32_|\b_mm\d*_|__asm__"
)
MACHINE_FILES = (
    *("kernels/simd/vec_avx", "engine/machine.hpp", "engine/fingerprint_aes.hpp"),
    *("engine/dispatch/cpu_features.cpp", "engine/system/"),
)

# Compiled once per instruction set: nothing here may bring a symbol that other code shares.
BELOW = ("kernels",)
SEAM_HEADERS = {"cstddef", "cstdint", "type_traits", "immintrin.h", "arm_neon.h"}
SEAM_NAMES = re.compile(  # types, and constants of <type_traits>: they make no symbol
    r"std::(u?int(8|16|32|64|ptr)_t|ptrdiff_t|size_t|\w+_v|conditional_t|remove_c(onst|vref)_t)\b"
)
SEAM_WORDS = {
    r"\bnew\b|\bdelete\b|\bmalloc\b|\bfree\b": "allocates",
    r"\bthrow\b|\btry\b|\bcatch\b": "throws",
    r"\bthread_local\b|#\s*pragma\s+omp\b": "threads",
    r"\busing namespace\b": "opens a namespace",
    r"\bstatic (?!constexpr|constinit|inline|_?_?attribute)[\w:<>, ]+[=;]": "has a static",
}

FILE_LINES, FUNCTION_LINES = 500, 60


def name_of(path: Path) -> str:
    return path.relative_to(CSRC).as_posix()


def folder_of(name: str) -> str:
    return name.rpartition("/")[0]


def ours(path: Path) -> list[str]:
    return [name for bracket, name in includes_of(path) if bracket == '"']


def test_every_folder_has_a_rule():
    folders = {folder_of(name_of(path)) for path in cpp_files()}

    assert folders == set(INCLUDES)


def test_includes_go_down():
    wrong = [
        f"{name_of(path)} includes {name}"
        for path in cpp_files()
        for name in ours(path)
        for folder in [folder_of(name_of(path))]
        if not {name, folder_of(name)} & (INCLUDES[folder] | {folder})
    ]

    assert wrong == []


def test_includes_are_written_from_csrc():
    missing = [
        f"{name_of(path)}: {name}"
        for path in cpp_files()
        for name in ours(path)
        if not (CSRC / name).is_file()
    ]

    assert missing == []


def test_no_header_includes_itself_through_others():
    graph = {path: {CSRC / name for name in ours(path)} for path in cpp_files()}

    assert [name_of(path) for path in graph if path in reach(graph, path)] == []


def test_the_engine_and_the_kernels_see_each_other_through_the_abi_alone():
    def above(folder):
        return not folder.startswith("kernels") and folder != "abi"

    crossing = [
        f"{name_of(path)} includes {name}"
        for path in cpp_files()
        for name in ours(path)
        for sides in [{above(folder_of(name_of(path))), above(folder_of(name))}]
        if sides == {True, False} and "abi" not in (folder_of(name_of(path)), folder_of(name))
    ]

    assert crossing == []


def test_headers_of_others_are_included_where_they_belong():
    wrong = [
        f"{name_of(path)} includes {name}"
        for path in cpp_files()
        for _, name in includes_of(path)
        for prefix, places in FOREIGN.items()
        if name.startswith(prefix) and not name_of(path).startswith(places or "nowhere")
    ]
    pragmas = [
        name_of(path)
        for path in cpp_files()
        if re.search(r"#\s*pragma\s+omp|\bomp_\w+\(", code_of(path))
        and name_of(path) != "engine/threads/openmp.cpp"
    ]

    assert wrong == []
    assert pragmas == []


def test_cpus_and_systems_are_named_where_they_belong():
    named = [
        name_of(path)
        for path in cpp_files()
        if MACHINE.search(code_of(path)) and not name_of(path).startswith(MACHINE_FILES)
    ]

    assert named == []


def test_code_below_the_seam_borrows_nothing():
    borrowed = [
        f"{name_of(path)}: {what}"
        for path in cpp_files(*BELOW, "abi")
        for what in (
            *re.findall(r"std::\w+", SEAM_NAMES.sub("", code_of(path))),
            *({name for bracket, name in includes_of(path) if bracket == "<"} - SEAM_HEADERS),
        )
    ]

    assert borrowed == []


def test_code_below_the_seam_cannot_fail():
    found = [
        f"{name_of(path)}, line {code[: match.start()].count(chr(10)) + 1} {what}: {match.group()}"
        for path in cpp_files(*BELOW)
        for code in [code_of(path)]
        for pattern, what in SEAM_WORDS.items()
        for match in re.finditer(pattern, code)
    ]

    assert found == []


def test_code_below_the_seam_lives_in_the_namespace_of_its_instruction_set():
    wrong = []
    for path in cpp_files(*BELOW):
        code = code_of(path)
        own = path.stem if path.suffix == ".cpp" else "SIMDRNN_ISA"
        opened = set(re.findall(r"\bnamespace\s+([\w:]+)\s*\{", code))
        # Headers that only choose or collect others open none.
        defines = re.search(r"\b(struct|class|template|inline|constexpr)\b", code)
        if opened - {f"simdrnn::{own}"} or (defines and not opened):
            wrong.append(f"{name_of(path)}: {opened or 'none'}")

    assert wrong == []


def test_headers_are_included_once_and_open_no_namespace():
    wrong = [
        name_of(path)
        for path in cpp_files()
        for code in [code_of(path)]
        if path.suffix == ".hpp"
        and (code.count("#pragma once") != 1 or re.search(r"\busing namespace\b", code))
    ]

    assert wrong == []


def test_functions_are_short():
    long = [
        f"{name_of(path)}: {heading}: {length} lines"
        for path in cpp_files()
        for lines in [path.read_text(encoding="utf-8").splitlines()]
        for heading, first, length in cpp_functions(path)
        if length > FUNCTION_LINES
        and not EXCUSE.search("\n".join(lines[max(first - 4, 0) : first + 4]))
    ]

    assert long == []


def test_files_are_short():
    counts = {name_of(path): path.read_text("utf-8").count("\n") for path in cpp_files()}

    assert {name: count for name, count in counts.items() if count > FILE_LINES} == {}
