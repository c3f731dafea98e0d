"""What the sources say about themselves: files, includes, imports, lengths, private names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
CSRC, PACKAGE = ROOT / "csrc", ROOT / "python" / "simdrnn"

# A comment that begins with these words says why something is longer than it should be.
EXCUSE = re.compile(r"(//|#) Over the cap[:,]? \w+")


def cpp_files(*folders: str) -> list[Path]:
    """Return the C++ files under some folders of csrc, or all."""
    files = sorted(path for path in CSRC.rglob("*") if path.suffix in {".hpp", ".cpp"})
    return [path for path in files if not folders or under(path, CSRC, folders)]


def python_files(*folders: str) -> list[Path]:
    """Return the modules under some folders of the package, or all."""
    files = sorted(PACKAGE.rglob("*.py"))
    return [path for path in files if not folders or under(path, PACKAGE, folders)]


def under(path: Path, root: Path, folders: tuple[str, ...]) -> bool:
    """Tell whether a file lies in one of some folders."""
    where = path.relative_to(root).as_posix()
    return any(where.startswith(f"{folder}/") for folder in folders)


# C++


def blank(match: re.Match[str]) -> str:
    """Keep the lines of what is taken out, so that numbers of lines stay true."""
    return re.sub(r"[^\n]", " ", match.group())


@cache
def code_of(path: Path) -> str:
    """Return C++ source without comments and the contents of strings."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r'//[^\n]*|/\*.*?\*/|(?<=")(?:\\.|[^"\\\n])*(?=")', blank, text, flags=re.S)


@cache
def includes_of(path: Path) -> list[tuple[str, str]]:
    """Return (opening bracket, name) of every include."""
    text = re.sub(r"//[^\n]*", "", path.read_text(encoding="utf-8"))
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', text, flags=re.M)


def cpp_functions(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield (heading, first line, lines) of every function that is not inside another."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", blank, code_of(path), flags=re.M)
    stack: list[tuple[str, bool, int]] = []
    start = 0
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


# Python


@cache
def tree_of(path: Path) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def python_functions(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield (name, first line, lines without the docstring) of every function."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            text = node.body[0]
            documented = ast.get_docstring(node, clean=False) is not None
            spared = (text.end_lineno or 0) - text.lineno + 1 if documented else 0
            yield node.name, node.lineno, (node.end_lineno or 0) - node.lineno + 1 - spared


class Import(NamedTuple):
    """An import: what it names, and whether it runs when the module itself is imported."""

    name: str
    at_import: bool


@cache
def imports_of(path: Path) -> list[Import]:
    """Return every import of a module: of functions, and those for types alone, too."""
    tree = tree_of(path)
    package = ".".join(["simdrnn", *path.relative_to(PACKAGE).parts[:-1]])
    later = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, node not in later) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            names = [f"{module}.{alias.name}" for alias in node.names]
            found += [Import(name, node not in later) for name in names]
    return found


def module_of(name: str) -> Path | None:
    """Return the file of the module of ours that an import names or takes a name from."""
    parts = name.split(".")
    if parts[0] != "simdrnn" or parts[1:2] == ["_core"]:
        return None
    for count in range(len(parts), 0, -1):
        base = PACKAGE.joinpath(*parts[1:count])
        places = [base / "__init__.py"] if count == 1 else [base.with_suffix(".py")]
        for place in (*places, base / "__init__.py"):
            if place.exists():
                return place
    return None


def import_graph() -> dict[Path, set[Path]]:
    """Return module -> the modules of ours that it imports, anywhere in it."""
    return {
        path: {
            found
            for entry in imports_of(path)
            if (found := module_of(entry.name)) is not None and found != path
        }
        for path in python_files()
    }


def circles(graph: dict[Path, set[Path]]) -> list[list[Path]]:
    """Return the groups of modules each of which imports, through others, all of its group."""
    reached = {node: reach(graph, node) for node in graph}
    groups = {
        frozenset(other for other in reached[node] if node in reached[other])
        for node in graph
        if node in reached[node]
    }
    return sorted(sorted(group) for group in groups)


def reach(graph: dict[Path, set[Path]], start: Path) -> set[Path]:
    """Return all that one can come to from a module."""
    found: set[Path] = set()
    todo = list(graph[start])
    while todo:
        node = todo.pop()
        if node not in found:
            found.add(node)
            todo += graph.get(node, ())
    return found


# Names with an underscore that are no secrets: of named tuples.
OPEN_NAMES = {"_replace", "_asdict", "_fields", "_make", "_field_defaults"}
OWN = {"self", "cls"}


def is_own(node: ast.expr) -> bool:
    """Tell whether an expression is the object or class that a method belongs to."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        called = node.func.id
        return called == "super" or (called == "type" and all(map(is_own, node.args)))
    return isinstance(node, ast.Name) and node.id in OWN


def private_accesses(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, text) wherever a module takes a private name of another object."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            hidden = not node.attr.endswith("__") and node.attr not in OPEN_NAMES
            if hidden and node.attr != "_core" and not is_own(node.value):
                yield node.lineno, ast.unparse(node)


def main() -> None:
    """List all accesses to private names of other objects."""
    for path in python_files():
        for line, text in private_accesses(path):
            print(f"{path.relative_to(ROOT)}:{line}: {text}")


if __name__ == "__main__":
    main()
