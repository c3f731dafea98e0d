"""One test for a table: `every` runs a test's body for each row and names the rows that fail."""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import random
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import pytest

Values = dict[str, Any]
Rows = Callable[[bool], list[tuple[Any, ...]]]


def engines() -> list[Any]:
    """Return the namespaces of both engines, or the reference's alone where nothing is built."""
    names = ["simdrnn.reference", "simdrnn"]
    return [pytest.param(import_module(name), id=name.split(".")[-1]) for name in names]


def instruction_sets() -> list[str]:
    """Return the names of the instruction sets that this CPU and build have."""
    return list(import_module("simdrnn").isa.available())


# What `every("name")` runs over without a table of its own: the values of conftest.py's fixtures.
TABLES: dict[str, Callable[[], Sequence[Any]]] = {
    "dtype": lambda: ("float32", "float64"),
    "threads": lambda: (1, 2, 3, 7),
    "engine": engines,
    "isa": instruction_sets,
}


def label(value: Any) -> str:
    """Name a value as pytest would, or by what it prints as."""
    if inspect.isclass(value) or inspect.isfunction(value):
        return str(value.__name__)
    return str(value)


def rows_of(names: list[str], table: Sequence[Any], ids: Any) -> Iterator[tuple[str, Values]]:
    """Yield (name, arguments) of each row."""
    for index, row in enumerate(table):
        given = None
        if hasattr(row, "marks"):  # made by pytest.param
            assert not row.marks, "a row of a loop has no marks of its own"
            given, values = row.id, list(row.values)
        else:
            values = [row] if len(names) == 1 else list(row)
        assert len(values) == len(names), f"row {index} has {len(values)} values for {names}"
        if callable(ids):
            parts = [ids(value) for value in values]
            given = "-".join(
                label(value) if part is None else str(part)
                for part, value in zip(parts, values, strict=True)
            )
        elif ids is not None:
            given = list(ids)[index]
        name = given if given is not None else "-".join(map(label, values))
        yield str(name), dict(zip(names, values, strict=True))


@contextmanager
def instruction_set(name: str) -> Iterator[None]:
    """Put an instruction set in use."""
    choice = import_module("simdrnn").isa
    before = choice.active()
    choice.use(name)
    try:
        yield
    finally:
        choice.use(before)


def seed_global_generators(name: str) -> None:
    """
    Start the generators that whole processes share from a test's name.

    Weights that a peer draws from them are then the same in whatever order tests run and on however
    many workers; a unit of ReLU that is dead for all rows fails in every run or in none.
    """
    seed = zlib.crc32(name.encode())
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (this one is what others draw from)
    if "torch" in sys.modules:  # importing it takes seconds, which few tests need
        sys.modules["torch"].manual_seed(seed)
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(seed)


_running: list[str] = []  # names of the rows that run just now: of the outer table, of the inner


@contextmanager
def fresh(fixtures: Values, test: str, row: str, index: int) -> Iterator[Values]:
    """Give a row fixtures that no other row has touched, and the same in every run."""
    own = dict(fixtures)
    _running.append(row)
    with ExitStack() as stack:
        stack.callback(_running.pop)
        name = f"{test}[{'-'.join(_running)}]"
        seed_global_generators(name)
        if "rng" in own:
            own["rng"] = np.random.default_rng(zlib.crc32(name.encode()))
        if "tmp_path" in own:
            own["tmp_path"] = own["tmp_path"] / f"row{index}"
            own["tmp_path"].mkdir()
        if "monkeypatch" in own:
            own["monkeypatch"] = stack.enter_context(pytest.MonkeyPatch.context())
        for output in own.keys() & {"capsys", "capfd"}:
            own[output].readouterr()
        yield own


def first_line(error: BaseException) -> str:
    """Return what a failure says, cut to what fits a list."""
    said = str(error).strip() or "no message"
    lines = said.splitlines()
    inner = isinstance(error, AssertionError) and " rows fail:" in lines[0]
    shown = lines if inner else lines[:3]
    return f"{type(error).__name__}: " + "\n    ".join(line[:300] for line in shown)


def run_rows(body: Callable[..., Any], rows: list[tuple[str, Values]], fixtures: Values) -> None:
    """Run the body for each row; then say all that failed, and raise from the first."""
    failed: list[tuple[str, BaseException]] = []
    skipped: list[BaseException] = []
    for index, (name, values) in enumerate(rows):
        with fresh(fixtures, body.__name__, name, index) as own, ExitStack() as stack:
            try:
                if "isa" in values:
                    stack.enter_context(instruction_set(values["isa"]))
                body(**own, **values)
            except (Exception, pytest.fail.Exception) as error:
                failed.append((name, error))
            except pytest.skip.Exception as reason:
                skipped.append(reason)
    if failed:
        listed = "".join(f"\n  {name}: {first_line(error)}" for name, error in failed)
        message = f"{len(failed)} of {len(rows)} rows fail:{listed}"
        raise AssertionError(message) from failed[0][1]
    if skipped and len(skipped) == len(rows):
        raise skipped[0]


def in_turn(factors: dict[str, Sequence[Any]], rounds: int = 1) -> tuple[str, Rows]:
    """
    Return the names and a table in which every factor's values take turns, for `every`.

    The longest factor goes through all of its values, `rounds` times. With --exhaustive the table
    is the whole product.
    """
    names = ", ".join(factors)
    longest = max(map(len, factors.values()))
    short = [name for name, values in factors.items() if len(values) < longest]

    def place(name: str, index: int) -> int:
        count = len(factors[name])
        if name not in short:
            return index % count
        # Shifted by one in each round, and each time that the factors before it have had all their
        # turns: counts with a common divisor would keep meeting the same partners.
        done, at = divmod(index, longest)
        before = [len(factors[other]) for other in short[: short.index(name)]]
        turns = [math.prod(before[:end]) for end in range(1, len(before) + 1)]
        return (at + done + sum(at // turn for turn in turns)) % count

    def rows(whole: bool) -> list[tuple[Any, ...]]:
        if whole:
            chosen = list(itertools.product(*factors.values()))
        else:
            chosen = [
                tuple(values[place(name, index)] for name, values in factors.items())
                for index in range(rounds * longest)
            ]
        return [tuple(flat(factors, row)) for row in chosen]

    return names, rows


def flat(factors: dict[str, Sequence[Any]], row: tuple[Any, ...]) -> Iterator[Any]:
    """Yield the values of a row one by one: a factor may have several names."""
    for name, value in zip(factors, row, strict=True):
        if "," in name:
            yield from value
        else:
            yield value


def every(names: str, table: Any = None, ids: Any = None) -> Callable[..., Any]:
    """
    Run a test for each row of a table, inside one test that names all rows that fail.

    Written like `pytest.mark.parametrize`, and for the same: but a table of forty messages is one
    thing to know, not forty. Each row gets an `rng`, a `tmp_path` and a `monkeypatch` of its own.
    `isa`, `dtype`, `threads` and `engine` need no table; `in_turn` makes tables of few rows.
    """
    split = [name.strip() for name in names.split(",")]
    fixed = None if table is None or callable(table) else list(table)

    def decorate(body: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(body)
        assert set(split) <= set(signature.parameters), f"{body.__name__} takes no {names}"

        lends_config = callable(table) and "pytestconfig" not in signature.parameters

        @functools.wraps(body)
        def test(**fixtures: Any) -> None:
            if fixed is not None:
                values = fixed
            elif table is None:
                values = list(TABLES[names]())
            else:
                values = table(fixtures["pytestconfig"].getoption("--exhaustive", default=False))
            if lends_config:
                del fixtures["pytestconfig"]
            rows = list(rows_of(split, values, ids))
            assert rows, f"no rows for {names}"
            run_rows(body, rows, fixtures)

        kept = [p for name, p in signature.parameters.items() if name not in split]
        if lends_config:
            kept.append(inspect.Parameter("pytestconfig", inspect.Parameter.KEYWORD_ONLY))
        test.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return test

    return decorate
