"""What is written is true: examples run, commands and files exist, public objects are described."""

from __future__ import annotations

import doctest
import inspect
import pkgutil
import re
from importlib import import_module
from importlib.util import find_spec

import pytest

import simdrnn as sr
from helpers_loops import every
from helpers_source import ROOT
from simdrnn import cli, reference
from simdrnn.layers import from_table as cell_kinds
from simdrnn.spec.cell import compiled_cells

README = ROOT / "README.md"

needs_readme = pytest.mark.skipif(not README.is_file(), reason="README.md is not beside the tests")

# Bridges, and the package without which they cannot be imported.
BRIDGES = {
    "simdrnn.jax": "jax",
    "simdrnn.onnx": "onnx",
    "simdrnn.sklearn": "sklearn",
    "simdrnn.torch": "torch",
}
# Keras is made for one of its backends when it is imported, so its bridge runs in processes of its
# own (tests/bridges/keras/test_keras.py).
APART = {"simdrnn.keras"}


def importable(name):
    """Tell whether what a module needs is there: bridges need the package they lead to."""
    needed = [package for bridge, package in BRIDGES.items() if f"{name}.".startswith(f"{bridge}.")]
    return name not in APART and all(find_spec(package) for package in needed)


def modules(path, prefix="simdrnn."):
    """Yield the names of all modules that can be imported here."""
    for module in pkgutil.iter_modules(path, prefix):
        if importable(module.name):
            yield module.name
            if module.ispkg:
                yield from modules(import_module(module.name).__path__, f"{module.name}.")


MODULES = sorted(
    name
    for name in modules(sr.__path__)
    if not name.endswith(("._core", "._ffi", ".__main__", "._version"))
)
NAMESPACES = (
    *(sr, sr.dialects, sr.init, sr.isa, sr.losses, sr.optim, sr.regularizers, reference),
    *(import_module(bridge) for bridge in BRIDGES if importable(bridge)),
)
ENGINE = reference.Network  # reached through layers; what an engine does is said in its protocol


# Docstrings


def shown_elsewhere(module):
    """Yield name and docstrings of classes written here that say they are of the package above."""
    for name in getattr(module, "__all__", []):
        cls = getattr(module, name)
        if not inspect.isclass(cls) or cls.__module__ == module.__name__:
            continue
        if re.search(rf"^class {name}\b", inspect.getsource(module), re.M):
            methods = [one for one in vars(cls).values() if inspect.isfunction(one)]
            yield from ((name, one.__doc__) for one in (cls, *methods) if one.__doc__)


@every("name", ["simdrnn", *MODULES])
def test_examples_in_docstrings_run(name):
    module = import_module(name)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags)
    for _, text in shown_elsewhere(module):
        runner.run(doctest.DocTestParser().get_doctest(text, dict(vars(module)), name, None, None))
    assert runner.failures == 0
    failed, _ = doctest.testmod(module, optionflags=flags)

    assert failed == 0


def test_there_are_examples_to_run():
    finder = doctest.DocTestFinder(exclude_empty=True)

    found = {
        test.name
        for name in MODULES
        for test in finder.find(import_module(name))
        if test.examples
    }  # fmt: skip
    for name in MODULES:
        shown = shown_elsewhere(import_module(name))
        found |= {f"{name}.{label}" for label, text in shown if ">>>" in text}

    layers = {"LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"}
    assert {name.rsplit(".", 1)[1] for name in found} >= layers | {"Linear", "Adam", "mse"}


@every("name", ["simdrnn", *MODULES])
def test_modules_are_described(name):
    module = import_module(name)

    assert module.__doc__
    assert all(hasattr(module, public) for public in getattr(module, "__all__", []))


def test_what_docstrings_name_by_its_module_is_there():
    package, lost, named = ROOT / "python", [], 0
    for file in sorted(package.rglob("*.py")):
        if file.parent.name == "former_places":  # which name what was elsewhere once
            continue
        for name in re.findall(r"`(simdrnn(?:\.\w+)+)(?:\(\))?`", file.read_text("utf-8")):
            parts, named = name.split("."), named + 1
            while not (home := module_file(package.joinpath(*parts))).is_file():
                parts.pop()
            rest = name.removeprefix(".".join(parts)).split(".")[1:2]
            if rest and not re.search(rf"\b{rest[0]}\b", home.read_text("utf-8")):
                lost.append((str(file.relative_to(package)), name))

    assert lost == []
    assert named > 100


def module_file(path):
    """Return the file of a module or package."""
    module = path.with_suffix(".py")
    return module if module.is_file() else path / "__init__.py"


def is_ours(thing):
    """Tell a function from those that a bridge's classes have of another package."""
    return inspect.isfunction(thing) and thing.__module__.startswith("simdrnn")


def public_objects():
    """Yield (label, object) of all classes and functions that users are meant to find."""
    seen = set()
    for namespace in NAMESPACES:
        made = cell_kinds.class_names(compiled_cells()) if namespace in (sr, reference) else []
        for name in (*namespace.__all__, *made):
            thing = getattr(namespace, name)
            described = inspect.isclass(thing) or inspect.isfunction(thing)
            if id(thing) in seen or thing is ENGINE or not described:
                continue
            seen.add(id(thing))
            label = f"{namespace.__name__}.{name}"
            yield label, thing
            if inspect.isclass(thing):
                yield from (
                    (f"{label}.{method}", getattr(thing, method))
                    for method in dir(thing)
                    if not method.startswith("_") and is_ours(getattr(thing, method))
                )


PUBLIC = dict(public_objects())


def section(text, name):
    """Return the lines of a section of a docstring."""
    match = re.search(rf"^{name}\n-{{{len(name)}}}\n(.*?)(?=\n\n\w+\n---|\Z)", text, re.S | re.M)
    return match.group(1) if match else ""


def described(text, name):
    """Return the names that a section describes: the lines `one, other : what they are`."""
    entries = re.findall(r"^([\w*][\w*, ]*) :", section(text, name), re.M)
    return {entry.strip(" *") for entries_line in entries for entry in entries_line.split(",")}


@every("label", PUBLIC)
def test_public_objects_are_described(label):
    text = inspect.getdoc(PUBLIC[label])

    assert text
    summary = text.splitlines()[0]
    assert summary[0].isupper() or summary[0] in "`("
    assert summary.rstrip().endswith((".", ",", ":", "`")) or text.count("\n") == 0


def has_own_signature(thing):
    if not inspect.isclass(thing):
        return True
    is_record = hasattr(thing, "__dataclass_fields__") or thing is sr.Tape
    passes_on = thing.__module__.startswith("simdrnn.reference")  # all arguments, to its twin
    return not (is_record or passes_on) and is_ours(thing.__init__)


@every("label", [name for name in PUBLIC if has_own_signature(PUBLIC[name])])
def test_every_parameter_is_described(label):
    thing = PUBLIC[label]
    text = inspect.getdoc(thing)
    parameters = inspect.signature(thing).parameters.values()
    names = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    names |= {p.name for p in parameters if p.name == "options"}
    names.discard("self")

    found = described(text, "Parameters")

    # Where a summary says it all, it names the arguments itself.
    missing = {name for name in names - found if f"`{name}`" not in text}
    assert missing == set()
    assert found <= {p.name for p in parameters}


@every("label", [name for name in PUBLIC if not inspect.isclass(PUBLIC[name])])
def test_what_comes_back_is_described(label):
    thing = PUBLIC[label]
    text = inspect.getdoc(thing)
    returns = inspect.signature(thing).return_annotation not in (None, "None")

    told = bool(section(text, "Returns")) or bool(re.search(r"\b(return|[Nn]umber)", text, re.I))

    assert told or not returns


# README


def blocks(language):
    text = README.read_text(encoding="utf-8") if README.is_file() else ""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


@needs_readme
def test_examples_in_the_readme_run():
    namespace = {"__name__": "readme"}

    for index, block in enumerate(blocks("python")):
        exec(compile(block, f"README.md, example {index + 1}", "exec"), namespace)

    assert namespace["output"].shape == (100, 16, 32)


def commands():
    """Return every command in the README's shell blocks, as a list of words."""
    lines = [line.split("#")[0] for block in blocks("sh") for line in block.splitlines()]
    return [part.split() for line in lines for part in line.split("&&") if part.strip()]


@needs_readme
def test_the_readme_shows_how_to_install_try_and_test():
    told = [" ".join(words) for words in commands()]

    assert "pip install ." in told[:2]  # behind the wheel, where there is one
    for command in (
        'pip install ".[demo]"',
        "simdrnn demo text",
        'pip install ".[test]"',
        "pytest",
    ):
        assert command in told


@needs_readme
@every("words", commands(), ids=" ".join)
def test_commands_in_the_readme_exist(words, capsys):
    program, *arguments = words

    if program == "simdrnn":
        with pytest.raises(SystemExit) as stop:
            cli.main([*arguments, "--help"])
        assert stop.value.code == 0
        assert "usage: simdrnn" in capsys.readouterr().out
    elif program == "pip":
        assert arguments[0] == "install"
        extras = re.findall(r"[\w-]+", " ".join(arguments[1:]))
        assert set(extras) - {sr.__name__} <= known_extras()
    else:
        assert program == "pytest"


def known_extras():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    return set(re.findall(r"^(\w+) =", table, re.M))


@needs_readme
@pytest.mark.parametrize("name", ["README.md", "docs", "bench/README.md"])
def test_files_that_documents_name_exist(name):
    place = ROOT / name
    texts = sorted(place.glob("*.md")) if place.is_dir() else [place]

    named = {
        path
        for text in texts
        for path in re.findall(r"`((?:[\w.-]+/)+[\w.-]+\.\w+)`", text.read_text(encoding="utf-8"))
    }

    places = (ROOT, ROOT / "csrc", ROOT / "python" / "simdrnn")
    assert [path for path in named if not any((p / path).exists() for p in places)] == []
