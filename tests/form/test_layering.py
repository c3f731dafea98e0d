"""The Python tree keeps its layers: who may import whom, what is private, how long things grow."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

from helpers_source import (
    EXCUSE,
    PACKAGE,
    ROOT,
    circles,
    import_graph,
    imports_of,
    private_accesses,
    python_files,
    python_functions,
    tree_of,
)

pytestmark = pytest.mark.skipif(
    not (ROOT / "csrc").is_dir() or not PACKAGE.is_dir(),
    reason="the sources are not beside the tests",
)

# Package or module -> what of ours its modules may import, besides itself: at import, inside
# functions and for types alike. `simdrnn` is the root, which is everything.
CORE = ["spec", "engine", "layers", "stack", "training"]  # each may import those before it
UP_TO = {name: {*CORE[: index + 1], "validate"} for index, name in enumerate(CORE)}
BRIDGES = {"jax", "keras", "onnx", "sklearn", "torch"}
TOOLS = {"bench", "demos", "cli", "__main__"}
MAY_IMPORT = {
    "validate": set(),
    "_version": set(),
    "isa": {"_core"},
    "runtime": {"_core", "_version", "isa", "validate"},
    "spec": {"_core", "validate"},
    "engine": {"_core", "validate", "spec"},
    "layers": {"_version", "validate", "spec", "engine"},
    "stack": UP_TO["layers"],
    "training": UP_TO["stack"],
    "attention": UP_TO["training"],
    "reference": UP_TO["layers"],
    "files": UP_TO["layers"] | {"reference"},
    "init": UP_TO["layers"],
    "losses": UP_TO["training"],
    "optim": UP_TO["training"],
    "regularizers": UP_TO["training"],
    "model": UP_TO["training"] | {"optim", "files"},
    "diagnosis": UP_TO["training"] | {"reference"},
    "dialects": UP_TO["training"],  # whole files become layers
    "parity": UP_TO["layers"] | {"dialects"},
    "former_places": {*CORE},
    "simdrnn": {"_core", "_version", "isa", "runtime", "reference", *CORE}
    | {"diagnosis", "dialects", "files", "init", "losses", "model", "optim", "parity"}
    | {"attention", "regularizers"},
}
# Bridges and tools stand on top of the library, and nothing of it imports them.
for _top in BRIDGES:
    MAY_IMPORT[_top] = MAY_IMPORT["simdrnn"] | {"simdrnn", "validate"} - {"_core"}
# On Keras's PyTorch backend autograd and its modes are PyTorch's: said once.
MAY_IMPORT["keras"] = MAY_IMPORT["keras"] | {"torch"}
for _top in TOOLS:
    MAY_IMPORT[_top] = MAY_IMPORT["simdrnn"] | {"simdrnn", "validate"} | TOOLS
MAY_IMPORT["cli"] = MAY_IMPORT["cli"] | {"onnx"}  # `simdrnn onnx`

# What may not sink to nothing yet: how many breaches of a law there are at most. Only ever lower
# these numbers.
CEILINGS = {
    # Layers save themselves (`layer.save`).
    "imports that go up": 1,
    "modules in circles": 0,
    # Half of them are PyTorch's. Layers, tapes and parameters show theirs by one function each.
    "private names of other objects": 36,
    "functions that are too long": 0,
    "files that are too long": 0,
}

FILE_LINES, FUNCTION_LINES, TOP_MODULES = 500, 60, 7

# What only extras bring, and what each bridge may need at import.
OPTIONAL = {"flax", "google", "haiku", "jax", "joblib", "keras", "matplotlib", "onnx"}
OPTIONAL |= {"onnxruntime", "rich", "safetensors", "sklearn", "threadpoolctl", "torch", "tqdm"}
AT_IMPORT = {
    "jax": {"jax"},
    "keras": {"jax", "keras", "torch"},
    "onnx": {"onnx"},
    "sklearn": {"joblib", "sklearn"},
    "torch": {"torch"},
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def top_of(path: Path) -> str:
    """Return the package or module at the top that a file belongs to."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "simdrnn" if first == "__init__" else first


def target(name: str) -> str | None:
    """Return what of ours an import takes from: a package or module at the top, or the root."""
    parts = name.split(".")
    if parts[0] != "simdrnn":
        return None
    known = len(parts) > 1 and (parts[1] in MAY_IMPORT or parts[1] == "_core")
    return parts[1] if known else "simdrnn"


def within(law: str, breaches: list[str]) -> None:
    """Fail where there are more breaches of a law than there were."""
    ceiling = CEILINGS[law]
    listed = "\n  ".join(["", *breaches])
    assert len(breaches) <= ceiling, f"{law}: {len(breaches)}, at most {ceiling}:{listed}"


def test_every_package_has_a_rule():
    tops = {top_of(path) for path in python_files()}

    assert tops == set(MAY_IMPORT)


def test_the_rules_themselves_go_one_way():
    graph = {Path(name): {Path(other) for other in may} for name, may in MAY_IMPORT.items()}
    graph[Path("_core")] = set()
    loops = [sorted(map(str, group)) for group in circles(graph)]

    assert loops == [sorted(TOOLS)]


def test_imports_go_down():
    up = [
        f"{name_of(path)} imports {entry.name}"
        for path in python_files()
        for entry in imports_of(path)
        if target(entry.name) not in {None, top_of(path), *MAY_IMPORT[top_of(path)]}
    ]

    within("imports that go up", up)


def test_no_imports_go_in_a_circle():
    found = [name_of(path) for group in circles(import_graph()) for path in group]

    within("modules in circles", found)


def test_few_modules_lie_at_the_top():
    top = sorted(path.name for path in PACKAGE.glob("*.py"))

    assert len(top) <= TOP_MODULES, top


def test_objects_keep_their_private_names_to_themselves():
    found = [
        f"{name_of(path)}:{line}: {text}"
        for path in python_files()
        for line, text in private_accesses(path)
    ]

    print(Counter(entry.split(":")[0] for entry in found))
    within("private names of other objects", found)


def test_only_numpy_is_needed_at_import():
    known = {"simdrnn", "numpy", *sys.stdlib_module_names}
    needed = [
        f"{name_of(path)} imports {entry.name}"
        for path in python_files()
        for entry in imports_of(path)
        if entry.at_import
        and entry.name.split(".")[0] not in known | AT_IMPORT.get(top_of(path), set())
    ]

    assert needed == []


def test_what_is_needed_at_all_is_known():
    known = {"simdrnn", "numpy", *sys.stdlib_module_names, *OPTIONAL}
    needed = {
        entry.name.split(".")[0] for path in python_files() for entry in imports_of(path)
    } - known

    assert needed == set()


def test_modules_say_what_is_public():
    silent = [
        name_of(path)
        for path in python_files()
        if not path.stem.startswith(("_v", "__"))
        and not any(
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            for node in tree_of(path).body
        )
    ]

    assert silent == []


def test_functions_are_short():
    long = [
        f"{name_of(path)}: {name}: {length} lines"
        for path in python_files()
        for lines in [path.read_text("utf-8").splitlines()]
        for name, first, length in python_functions(path)
        if length > FUNCTION_LINES
        and not EXCUSE.search("\n".join(lines[first - 4 : first + length]))
    ]

    within("functions that are too long", long)


def test_files_are_short():
    places = [*python_files(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "tools").rglob("*.py")]
    counts = {path.relative_to(ROOT): path.read_text("utf-8").count("\n") for path in places}

    within("files that are too long", [f"{p}: {n}" for p, n in counts.items() if n > FILE_LINES])
