"""The tree keeps its layers: who may include or import whom, and how long things may grow."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CSRC, PACKAGE = ROOT / "csrc", ROOT / "python" / "simdrnn"

pytestmark = pytest.mark.skipif(
    not (CSRC.is_dir() and PACKAGE.is_dir()), reason="the sources are not beside the tests"
)

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
    "kernels/forward": TIME_LOOPS,
    "kernels/backward": TIME_LOOPS | {"kernels/forward"},
    "kernels": TIME_LOOPS | {"kernels/cells", "kernels/forward", "kernels/backward"},
    "engine/dispatch": {"abi"},
    "engine/threads": set(),
    "engine": {"abi", "engine/dispatch", "engine/threads/team.hpp"},
    "python": {"abi", "engine", "engine/dispatch", "engine/threads/team.hpp"},
}

# Compiled once per instruction set: nothing here may bring a symbol that other code shares.
BELOW_THE_SEAM = ("kernels",)
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

# Longest file and function, in lines; docstrings are not counted. What is longer says why in a
# comment that begins with "Over the cap".
FILE_LINES, FUNCTION_LINES, COLUMNS = 300, 60, 100
EXCUSE = re.compile(r"(//|#) Over the cap[:,]? \w+")

# What only extras bring.
OPTIONAL = {
    "flax",
    "haiku",
    "jax",
    "joblib",
    "keras",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "rich",
    "safetensors",
    "sklearn",
    "threadpoolctl",
    "torch",
    "tqdm",
}

# Folders of bridges to other packages, and what each may need at import. Nothing of the library
# imports a bridge.
BRIDGES = {
    "jax": {"jax"},
    "keras": {"jax", "keras", "torch"},
    "onnx": {"onnx"},
    "sklearn": {"joblib", "sklearn"},
    "torch": {"torch"},
}


def allowed_at_import(path):
    """Return the optional packages that a module may import when it is imported itself."""
    return BRIDGES.get(path.relative_to(PACKAGE).parts[0], set())


def cpp_files(*folders):
    files = sorted(path for path in CSRC.rglob("*") if path.suffix in {".hpp", ".cpp"})
    return [path for path in files if not folders or path.relative_to(CSRC).parts[0] in folders]


def python_files(*folders):
    files = sorted(path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".pyi"})
    return [path for path in files if not folders or path.relative_to(PACKAGE).parts[0] in folders]


def parametrize(files):
    return pytest.mark.parametrize("path", files, ids=lambda path: str(path.relative_to(ROOT)))


def blank(match):
    """Keep the lines of what is taken out, so that numbers of lines stay true."""
    return re.sub(r"[^\n]", " ", match.group())


def code_of(path):
    """Return C++ source without comments and the contents of strings."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r'//[^\n]*|/\*.*?\*/|(?<=")(?:\\.|[^"\\\n])*(?=")', blank, text, flags=re.S)


def includes_of(path):
    text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', text, flags=re.M)


# C++


def folder_of(path):
    return path.parent.relative_to(CSRC).as_posix()


def test_every_folder_has_a_rule():
    assert {folder_of(path) for path in cpp_files()} == set(INCLUDES)


@parametrize(cpp_files())
def test_includes_go_down(path):
    allowed = INCLUDES[folder_of(path)] | {folder_of(path)}

    ours = [name for bracket, name in includes_of(path) if bracket == '"']

    assert all((CSRC / name).is_file() for name in ours), "includes are written from csrc"
    assert [name for name in ours if not {name, name.rsplit("/", 1)[0]} & allowed] == []


def test_no_header_includes_itself():
    ours = {
        path.relative_to(CSRC).as_posix(): {name for kind, name in includes_of(path) if kind == '"'}
        for path in cpp_files()
    }

    while leaves := [name for name, included in ours.items() if not included & ours.keys()]:
        ours = {name: included for name, included in ours.items() if name not in leaves}

    assert ours == {}


@parametrize(cpp_files())
def test_pybind_is_for_the_bindings_and_openmp_for_the_limits(path):
    names = {name for _, name in includes_of(path)}
    where = path.relative_to(CSRC).as_posix()

    found = {"pybind11"} if any(name.startswith("pybind11/") for name in names) else set()
    found |= {"Python"} if "Python.h" in names else set()
    if "omp.h" in names or re.search(r"#\s*pragma\s+omp|\bomp_\w+\(", code_of(path)):
        found.add("OpenMP")

    allowed = {"pybind11"} if where.startswith("python/") else set()
    allowed |= {"OpenMP"} if where == "engine/threads/limits.cpp" else set()
    assert found <= allowed


@parametrize(cpp_files(*BELOW_THE_SEAM, "abi"))
def test_code_below_the_seam_borrows_nothing(path):
    system = {name for bracket, name in includes_of(path) if bracket == "<"}
    borrowed = re.findall(r"std::\w+", SEAM_NAMES.sub("", code_of(path)))

    assert system <= SEAM_HEADERS
    assert borrowed == []


@parametrize(cpp_files(*BELOW_THE_SEAM))
def test_code_below_the_seam_cannot_fail(path):
    code = code_of(path)

    found = [
        f"line {code[: match.start()].count(chr(10)) + 1} {what}: {match.group()}"
        for pattern, what in SEAM_WORDS.items()
        for match in re.finditer(pattern, code)
    ]

    assert found == []


@parametrize(cpp_files(*BELOW_THE_SEAM))
def test_code_below_the_seam_lives_in_the_namespace_of_its_instruction_set(path):
    code = code_of(path)
    own = path.stem if path.suffix == ".cpp" else "SIMDRNN_ISA"

    opened = set(re.findall(r"\bnamespace\s+([\w:]+)\s*\{", code))

    # Headers that only choose or collect others open none.
    assert opened <= {f"simdrnn::{own}"}
    assert opened or not re.search(r"\b(struct|class|template|inline|constexpr)\b", code)


@parametrize([path for path in cpp_files() if path.suffix == ".hpp"])
def test_headers_are_included_once_and_open_no_namespace(path):
    code = code_of(path)

    assert code.count("#pragma once") == 1
    assert not re.search(r"\busing namespace\b", code)


def cpp_functions(code):
    """Yield (heading, first line, lines) of every function that is not inside another."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, code, flags=re.M)
    stack, start = [], 0
    for match in re.finditer(r"[{};]", code):
        if match.group() == "{":
            heading = code[start : match.start()].strip()
            inside = any(function for _, function, _ in stack)
            named = not re.match(r"(namespace|struct|class|union|enum|extern)\b", heading)
            function = not inside and named and ")" in heading and "=" not in heading.split("(")[0]
            first = code.count("\n", 0, match.start() - len(heading.lstrip()) - 1) + 1
            stack.append((heading, function, first))
        elif match.group() == "}" and stack:
            heading, function, first = stack.pop()
            if function:
                last = code.count("\n", 0, match.start()) + 1
                yield re.sub(r"\s+", " ", heading), first, last - first + 1
        start = match.end()


@parametrize(cpp_files())
def test_cpp_functions_and_files_are_short(path):
    lines = path.read_text(encoding="utf-8").splitlines()

    long = [
        f"{heading}: {length} lines"
        for heading, first, length in cpp_functions(code_of(path))
        if length > FUNCTION_LINES and not EXCUSE.search("\n".join(lines[first - 4 : first + 4]))
    ]

    assert long == []
    assert len(lines) <= FILE_LINES or EXCUSE.search("\n".join(lines[:20]))


# Python


def imports_of(tree, package):
    """Yield (module, whether it runs at import) for every import of a module in `package`."""
    later = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node not in later) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield module, node not in later
            yield from ((f"{module}.{alias.name}", node not in later) for alias in node.names)


def parse(path):
    package = ".".join(["simdrnn", *path.relative_to(PACKAGE).parts[:-1]])
    return list(imports_of(ast.parse(path.read_text(encoding="utf-8")), package))


@parametrize(python_files())
def test_only_numpy_is_needed_at_import(path):
    roots = {name.split(".")[0] for name, now in parse(path) if now}

    known = {"simdrnn", "numpy"} | set(sys.stdlib_module_names)
    assert roots <= known | allowed_at_import(path)


def closure(first):
    """Return the modules of ours that importing these loads, without package initialisers."""
    found, todo = set(), list(first)
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        for name, now in parse(path):
            parts = name.split(".")
            if now and parts[0] == "simdrnn" and len(parts) > 1:
                base = PACKAGE.joinpath(*parts[1:])
                todo += [p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()]
    return found


def test_the_reference_does_without_the_compiled_engine():
    files = closure(python_files("reference"))

    guilty = [
        str(path.relative_to(PACKAGE))
        for path in files
        for name, now in parse(path)
        if now and name.startswith("simdrnn._core")
    ]

    assert guilty == []


def test_only_a_few_modules_touch_the_compiled_engine():
    touching = {
        path.relative_to(PACKAGE).as_posix()
        for path in python_files()
        if path.suffix == ".py" and any(name.startswith("simdrnn._core") for name, _ in parse(path))
    }

    allowed = {"__init__.py", "bench/peak.py", "isa.py", "runtime.py", "spec/cell.py"}
    allowed |= {"engine/compiled.py", "engine/pooled.py"}
    assert touching <= allowed


def test_the_library_does_not_import_its_tools():
    tools = {"bench", "demos", "cli"}
    places = {"bench", "demos", "cli.py", "__main__.py"}
    library = [p for p in python_files() if p.relative_to(PACKAGE).parts[0] not in places]

    guilty = [
        path.name for path in library for name, _ in parse(path) if tools & {*name.split(".")[1:2]}
    ]

    assert guilty == []


# What stands on top of the library -> what of ours it may import, besides itself. The package's
# own `__init__` alone names it.
ON_TOP = {
    "dialects": {"validate"},
    "parity": {"dialects", "engine", "layers", "validate"},
}


@pytest.mark.parametrize("name", ON_TOP)
def test_what_stands_on_top_looks_down(name):
    apart = {*ON_TOP, *BRIDGES}
    others = [p for p in python_files() if p.relative_to(PACKAGE).parts[0] not in apart]
    imported = {
        module.split(".")[1]
        for path in python_files(name)
        for module, _ in parse(path)
        if module.startswith("simdrnn.")
    }

    above = [
        path.relative_to(PACKAGE).as_posix()
        for path in others
        if any(module.startswith(f"simdrnn.{name}") for module, _ in parse(path))
    ]

    assert imported <= ON_TOP[name] | {name}
    assert set(above) <= {"__init__.py"}


@parametrize([path for path in python_files() if path.suffix == ".py"])
def test_optional_packages_are_imported_where_they_are_used(path):
    at_import = {name.split(".")[0] for name, now in parse(path) if now}

    assert not at_import & (OPTIONAL - allowed_at_import(path))


def test_the_library_does_not_import_its_bridges():
    library = [p for p in python_files() if p.relative_to(PACKAGE).parts[0] not in BRIDGES]

    guilty = [
        f"{path.name}: {name}"
        for path in library
        for name, now in parse(path)
        if (
            now or path.name != "onnx_command.py"
        )  # the command line's, which imports it when asked
        and (name.split(".")[0] == "simdrnn" and BRIDGES.keys() & {*name.split(".")[1:2]})
    ]

    assert guilty == []


@parametrize(cpp_files())
def test_xla_is_for_one_file(path):
    found = [name for _, name in includes_of(path) if name.startswith("xla/")]

    assert not found or path.relative_to(CSRC).as_posix() == "python/xla.cpp"


@parametrize(
    [path for path in python_files() if path.suffix == ".py" and path.stem[:2] not in {"_v", "__"}]
)
def test_modules_say_what_is_public(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))

    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    assert "__all__" in assigned


@parametrize(python_files())
def test_python_functions_and_files_are_short(path):
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    tree = ast.parse(text)

    long = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            documented = ast.get_docstring(node, clean=False) is not None
            text_node = node.body[0]
            spared = text_node.end_lineno - text_node.lineno + 1 if documented else 0
            length = node.end_lineno - node.lineno + 1 - spared
            excused = EXCUSE.search("\n".join(lines[node.lineno - 4 : node.end_lineno]))
            if length > FUNCTION_LINES and not excused:
                long.append(f"{node.name}: {length} lines")

    assert long == []
    assert len(lines) <= FILE_LINES or EXCUSE.search("\n".join(lines[:20]))


# Both


@parametrize(
    [
        *cpp_files(),
        *python_files(),
        *sorted((ROOT / "tests").glob("*.py")),
        *sorted((ROOT / "tools").glob("*.py")),
        ROOT / "CMakeLists.txt",
    ]
)
def test_lines_are_short_and_clean(path):
    text = path.read_text(encoding="utf-8")
    lines = re.sub(r"  # (type: ignore|noqa)[^\n]*", "", text).splitlines()

    wide = [f"line {n}: {len(line)}" for n, line in enumerate(lines, 1) if len(line) > COLUMNS]
    dirty = [n for n, line in enumerate(lines, 1) if line != line.rstrip() or "\t" in line]

    assert wide == []
    assert dirty == []
