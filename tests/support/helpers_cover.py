"""Few combinations of values in which every pair of two factors' values occurs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations, count
from typing import Any


def cover(factors: Mapping[str, Sequence[Any]], free: frozenset[str]) -> list[dict[str, Any]]:
    """Return rows in which every pair of values of two factors occurs, the fewer the better.

    Greedy: each row starts from a pair that is still missing and takes, factor by factor, the value
    that completes most missing pairs. Pairs of two factors that are both in `free` are not sought.
    """
    names = list(factors)
    missing = {
        ((a, x), (b, y))
        for a, b in combinations(names, 2)
        if not free.issuperset((a, b))
        for x in factors[a]
        for y in factors[b]
    }
    ranks = {name: rank for rank, name in enumerate(names)}
    turn = count()

    def pairs(row: Mapping[str, Any], name: str, value: Any) -> set[Any]:
        item = (name, value)
        others = [(other, row[other]) for other in row if other != name]
        ordered = {(o, item) if ranks[o[0]] < ranks[name] else (item, o) for o in others}
        return ordered & missing

    def gain(row: Mapping[str, Any], name: str, order: int, value: Any) -> tuple[int, int]:
        values = factors[name]
        return len(pairs(row, name, value)), (values.index(value) + order) % len(values)

    def place(pair: tuple[tuple[str, Any], ...]) -> list[tuple[int, int]]:
        return [(ranks[name], factors[name].index(value)) for name, value in pair]

    rows = []
    while missing:
        row = dict(
            min(missing, key=lambda pair: [(ranks[n], factors[n].index(v)) for n, v in pair])
        )
        for name in names:
            if name not in row:
                best = partial(gain, row, name, next(turn))
                row[name] = max(factors[name], key=best)
        for name in names:
            missing -= pairs(row, name, row[name])
        rows.append(row)
    return rows
