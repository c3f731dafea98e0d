"""The directive ``described``: what the docstrings of public objects say.

``.. described:: simdrnn`` with names in its body describes these objects. The library itself is
imported; bridges are read from their sources, so that no PyTorch, JAX or Keras has to be there.
Every public name has to be described once: at the end the build says which are missing.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import griffe
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from house_docstrings import restructured
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

BRIDGES = ("simdrnn.jax", "simdrnn.keras", "simdrnn.onnx", "simdrnn.torch")
MODULES = ("init", "isa", "losses", "optim", "regularizers", "dialects", "reference", "sklearn")
SOURCES = Path(__file__).resolve().parents[2] / "python"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Described:
    """What is shown of one object."""

    kind: str  # of the Python domain: class, function, method, property, data
    name: str
    signature: str
    text: str
    members: tuple[Described, ...] = ()

    def lines(self) -> Iterator[str]:
        """Yield the reStructuredText."""
        yield f".. py:{self.kind}:: {self.name}{self.signature}"
        yield ""
        for line in restructured(self.text).splitlines():
            yield f"   {line}".rstrip()
        yield ""
        for member in self.members:
            yield from (f"   {line}".rstrip() for line in member.lines())


# Objects that can be imported


def live(name: str, thing: Any, members: bool) -> Described:
    """Describe an object of the library."""
    if inspect.isclass(thing):
        found = tuple(_live_members(thing)) if members else ()
        return Described("class", name, _live_signature(thing), inspect.getdoc(thing) or "", found)
    if inspect.isfunction(thing):
        return Described("function", name, _live_signature(thing), inspect.getdoc(thing) or "")
    if isinstance(thing, ModuleType):
        return Described("data", name, "", f"See :doc:`{name}`. {inspect.getdoc(thing)}")
    return Described("data", name, "", _said_of(name, thing))


def _said_of(name: str, thing: Any) -> str:
    """Describe a constant by its value."""
    keys = ", ".join(f"``{key!r}``" for key in thing) if isinstance(thing, dict) else repr(thing)
    return f"A mapping with {keys}." if isinstance(thing, dict) else f"``{keys}``"


def _live_members(cls: type) -> Iterator[Described]:
    for name in ("__call__", *sorted(name for name in dir(cls) if not name.startswith("_"))):
        thing = inspect.getattr_static(cls, name, None)
        if isinstance(thing, (classmethod, staticmethod)):
            thing = thing.__func__
        if inspect.isfunction(thing) and thing.__module__.startswith("simdrnn"):
            text = inspect.getdoc(getattr(cls, name)) or ""
            yield Described("method", name, _live_signature(thing, bound=True), text)
        elif isinstance(thing, property):
            yield Described("property", name, "", inspect.getdoc(thing) or "")


class _AsWritten:
    """An annotation, which is a text, shown without the quotes of one."""

    def __init__(self, text: object) -> None:
        self.text = str(text)

    def __repr__(self) -> str:
        return self.text


def _live_signature(thing: Any, bound: bool = False) -> str:
    try:
        signature = inspect.signature(thing)
    except (TypeError, ValueError):
        return "()"
    empty = inspect.Signature.empty

    def written(annotation: Any) -> Any:
        return annotation if annotation is empty else _AsWritten(annotation)

    parameters = [
        one.replace(annotation=written(one.annotation))
        for one in signature.parameters.values()
        if not (bound and one.name == "self")
    ]
    returns = empty if inspect.isclass(thing) else written(signature.return_annotation)
    return str(signature.replace(parameters=parameters, return_annotation=returns))


# Objects of bridges, which are read


def read(name: str, thing: griffe.Object | griffe.Alias, members: bool) -> Described:
    """Describe an object of a bridge."""
    target: Any = thing.final_target if isinstance(thing, griffe.Alias) else thing
    text = target.docstring.value if target.docstring else ""
    if target.is_module:
        return Described("data", name, "", text)
    if target.is_function:
        return Described("function", name, _read_signature(target), text)
    found = tuple(_read_members(target)) if members else ()
    made = target.all_members.get("__init__")
    signature = _read_signature(made, bound=True, returns=False) if made is not None else ""
    return Described("class", name, signature, text, found)


def _read_members(cls: Any) -> Iterator[Described]:
    for name, member in sorted(cls.all_members.items()):
        if name.startswith("_") or not member.docstring:
            continue
        text = member.docstring.value
        if member.is_function:
            yield Described("method", name, _read_signature(member, bound=True), text)
        elif "property" in member.labels:
            yield Described("property", name, "", text)


def _read_signature(function: Any, bound: bool = False, returns: bool = True) -> str:
    parameters = [p for p in function.parameters if not (bound and p.name == "self")]
    shown: list[str] = []
    for p in parameters:
        star = {"variadic positional": "*", "variadic keyword": "**"}.get(p.kind.value, "")
        if p.kind.value == "keyword-only" and not any(one.startswith("*") for one in shown):
            shown.append("*")
        annotation = f": {p.annotation}" if p.annotation is not None else ""
        spaced = " = " if annotation else "="
        default = f"{spaced}{p.default}" if p.default is not None and not star else ""
        shown.append(f"{star}{p.name}{annotation}{default}")
    comes = f" -> {function.returns}" if returns and function.returns is not None else ""
    return f"({', '.join(shown)}){comes}"


# The directive


def public_names(module: str) -> set[str]:
    """Return what users are meant to find in a module."""
    if module in BRIDGES:
        return {str(name) for name in sources()[module.removeprefix("simdrnn.")].exports}
    found = import_module(module)
    names = set(found.__all__)
    if module == "simdrnn":
        made = [name for name in dir(found) if name in found.list_cells() or name.endswith("Cell")]
        names |= {name for name in made if inspect.isclass(getattr(found, name))}
    return names


_read: list[griffe.Module] = []


def sources() -> griffe.Module:
    """Return the package as read from its sources."""
    if not _read:
        found = griffe.load("simdrnn", search_paths=[str(SOURCES)], allow_inspection=False)
        assert isinstance(found, griffe.Module)
        _read.append(found)
    return _read[0]


class DescribedDirective(SphinxDirective):
    """``.. described:: module``, with a name in each line of its body."""

    required_arguments = 1
    has_content = True
    option_spec = {"without-members": directives.flag}  # noqa: RUF012 (as docutils has it)

    def run(self) -> list[nodes.Node]:
        """Return the nodes that describe the objects."""
        module = self.arguments[0]
        members = "without-members" not in self.options
        lines = [f".. py:currentmodule:: {module}", ""]
        for name in self.content:
            lines.extend(self._describe(module, name.strip(), members).lines())
        place, number = self.get_source_info()
        text = StringList([], source=place)
        for line in lines:
            text.append(line, place, number)
        holder = nodes.container()
        self.state.nested_parse(text, self.content_offset, holder)
        return holder.children

    def _describe(self, module: str, name: str, members: bool) -> Described:
        done: dict[str, set[str]] = self.env.__dict__.setdefault("simdrnn_described", {})
        done.setdefault(module, set()).add(name)
        if module in BRIDGES:
            return read(name, sources()[f"{module.removeprefix('simdrnn.')}.{name}"], members)
        return live(name, getattr(import_module(module), name), members)


def _complain(app: Sphinx, environment: Any) -> None:
    """Warn of public names that no page describes."""
    done = environment.__dict__.get("simdrnn_described", {})
    for module in ("simdrnn", *(f"simdrnn.{name}" for name in MODULES), *BRIDGES):
        missing = public_names(module) - done.get(module, set()) - {"__version__", *MODULES}
        if missing:
            logger.warning("%s: expected a description of %s", module, ", ".join(sorted(missing)))


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive; what was described is not kept from one build to the next."""
    app.add_directive("described", DescribedDirective)
    app.connect("env-check-consistency", _complain)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
