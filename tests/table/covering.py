"""Few rows of values in which every pair, and every chosen triple, of values occurs.

Rows are built greedily, each from a combination that is still missing (Cohen, Dalal, Fredman and
Patton 1997, "The AETG system"): factor by factor it takes the value that completes most.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np

Row = dict[str, Any]
Item = tuple[str, Any]


class Rule(NamedTuple):
    """Values of a few factors that do not go together, and how they are refused, if they are."""

    values: Mapping[str, Collection[Any]]
    message: str = ""

    def broken(self, row: Mapping[str, Any]) -> bool:
        """Say whether a row, or a part of one, has such values of all the factors."""
        return all(name in row and row[name] in bad for name, bad in self.values.items())


def itself(name: str, value: Any) -> Iterable[Item]:
    """Let a value count as itself."""
    return ((name, value),)


class Wanted(NamedTuple):
    """What is to be covered.

    Parameters
    ----------
    factors : name -> values, in the order in which a row takes them; the first is the default.
    rules : what no row may have.
    items : what a value counts as: itself, a class it is in, both or nothing.
    apart : whether items of two names need not meet.
    triples : names of items of which every three must meet.
    shown_by : of values that have an effect beside certain others only: name -> what is enough,
        (another name, its values). The default of `name` always counts.
    """

    factors: Mapping[str, Sequence[Any]]
    rules: Sequence[Rule] = ()
    items: Callable[[str, Any], Iterable[Item]] = itself
    apart: Callable[[str, str], bool] = lambda one, other: False
    triples: tuple[str, ...] = ()
    shown_by: Mapping[str, Sequence[tuple[str, Collection[Any]]]] = {}

    def hidden(self, row: Mapping[str, Any], name: str) -> bool:
        """Say whether a value has no effect beside the others of a row, or of the part there is."""
        if name not in self.shown_by or row[name] == self.factors[name][0]:
            return False
        ways = [(other, values) for other, values in self.shown_by[name] if other in self.factors]
        return all(other in row and row[other] not in values for other, values in ways)

    def broken(self, row: Mapping[str, Any]) -> list[Rule]:
        """Return the rules that a row, or a part of one, breaks."""
        return [rule for rule in self.rules if rule.broken(row)]


def cover(wanted: Wanted) -> list[Row]:
    """Return rows that break no rule and have everything that can be had."""
    return _Cover(wanted).rows()


def complete(wanted: Wanted, part: Mapping[str, Any], spared: Rule) -> Row:
    """Return a row with some values and else the first that break no rule, but for the one spared.

    It is what a rule is shown by: nothing else is wrong with the row.
    """
    row = dict(part)
    for name, values in wanted.factors.items():
        fits = (v for v in values if {*map(id, wanted.broken(row | {name: v}))} <= {id(spared)})
        row[name] = part[name] if name in part else next(fits)
    return {name: row[name] for name in wanted.factors}


class _Cover:
    """Pairs and triples of items that no row has yet."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._values: dict[Item, list[tuple[str, Any]]] = {}  # what counts as an item
        of = {
            (name, value): list(wanted.items(name, value))
            for name, values in wanted.factors.items()
            for value in values
        }
        for value, items in of.items():
            for item in items:
                self._values.setdefault(item, []).append(value)
        place = {item: number for number, item in enumerate(self._values)}
        self._of = {value: [place[item] for item in items] for value, items in of.items()}
        self._pairs = self._meeting()
        chosen = [number for item, number in place.items() if item[0] in wanted.triples]
        self._rank = {number: rank for rank, number in enumerate(chosen)}
        three = self._pairs[np.ix_(chosen, chosen)]
        self._triples = three[:, :, None] & three[:, None, :] & three[None, :, :]
        self._rules = {
            (name, value): [r for r in wanted.rules if value in r.values.get(name, ())]
            for name, value in self._of
        }
        self._starts = [*combinations(chosen, 3), *combinations(range(len(place)), 2)]

    def _meeting(self) -> np.ndarray[Any, Any]:
        """Return which two items are to meet."""
        items = [(name, values[0][0]) for (name, _), values in self._values.items()]
        return np.array(
            [
                [a != b and factor != other and not self._wanted.apart(a, b) for b, other in items]
                for a, factor in items
            ]
        )

    def rows(self) -> list[Row]:
        found: list[Row] = []
        for start in self._starts:
            if self._missing(start) and (row := self._begin(start)) is not None:
                self._fill(row, len(found))
                self._cross_out(row)
                found.append({name: row[name] for name in self._wanted.factors})
        return found

    def _missing(self, start: tuple[int, ...]) -> bool:
        if len(start) == 2:
            return bool(self._pairs[start])
        return bool(self._triples[tuple(self._rank[place] for place in start)])

    def _begin(self, start: tuple[int, ...]) -> Row | None:
        """Return values that have the items of a start and show them; None where none may be."""
        options: dict[str, list[Any]] = {}
        values = list(self._values.values())
        for place in start:
            name, counts = values[place][0][0], {value for _, value in values[place]}
            before = options.get(name, self._wanted.factors[name])
            options[name] = [value for value in before if value in counts]
        for fits in product(*options.values()):
            row: Row | None = dict(zip(options, fits, strict=True))
            for name in options:
                row = row and self._show(row, name)
            if row and not self._wanted.broken(row):
                return row
        return None

    def _show(self, row: Row, name: str) -> Row | None:
        """Return the row with what lets a value have its effect."""
        if name not in self._wanted.shown_by or row[name] == self._wanted.factors[name][0]:
            return row
        for other, values in self._wanted.shown_by[name]:
            for value in self._wanted.factors.get(other, ()):
                with_it = {other: value} | row
                if with_it[other] in values and not self._wanted.broken(with_it):
                    return with_it
        return None

    def _fill(self, row: Row, turn: int) -> None:
        for name, values in self._wanted.factors.items():
            if name in row:
                continue
            gains = self._gains(self._shown(row))
            best, most = [], -1
            for value in values:
                trial = row | {name: value}
                if any(rule.broken(trial) for rule in self._rules[name, value]):
                    continue
                hidden = self._wanted.hidden(trial, name)
                gain = 0 if hidden else int(gains[self._of[name, value]].sum())
                best = [*best, value] if gain == most else best if gain < most else [value]
                most = max(gain, most)
            row[name] = best[turn % len(best)]

    def _gains(self, there: list[int]) -> np.ndarray[Any, Any]:
        """Return how much is completed by each item beside those that are there."""
        gains = self._pairs[there].sum(axis=0)
        ranks = [self._rank[place] for place in there if place in self._rank]
        of_three = self._triples[ranks][:, ranks].sum(axis=(0, 1)) // 2
        gains[list(self._rank)] += of_three
        return np.asarray(gains)

    def _shown(self, row: Row) -> list[int]:
        visible = [item for item in row.items() if not self._wanted.hidden(row, item[0])]
        return [place for item in visible for place in self._of[item]]

    def _cross_out(self, row: Row) -> None:
        places = self._shown(row)
        self._pairs[np.ix_(places, places)] = False
        ranks = [self._rank[place] for place in places if place in self._rank]
        self._triples[np.ix_(ranks, ranks, ranks)] = False
