"""The table itself: everything meets that is to meet, and what does not go together is refused."""

from __future__ import annotations

from itertools import combinations, product

import pytest

import simdrnn as sr
from covering import Rule, Wanted, complete, cover
from factors import FACTORS, REFUSED, RULES
from problems import draw
from rows import (
    BUSY,
    DIFFERENCES,
    OVERLAPPED,
    SMALL,
    STACKED,
    busy_rows,
    covering_rows,
    label,
    overlapped_rows,
    rows_for_differences,
    small_rows,
    stacked_rows,
)

TABLES = {
    "small": (SMALL, small_rows),
    "busy": (BUSY, busy_rows),
    "overlapped": (OVERLAPPED, overlapped_rows),
    "stacked": (STACKED, stacked_rows),
    "differences": (DIFFERENCES, rows_for_differences),
}


def shown(wanted, row):
    """Return the items of the values that have an effect in a row."""
    visible = [(name, value) for name, value in row.items() if not wanted.hidden(row, name)]
    return [item for name, value in visible for item in wanted.items(name, value)]


def all_items(wanted):
    """Return every item with the values that count as it: item -> [(name, value)]."""
    found = {}
    for name, values in wanted.factors.items():
        for value in values:
            for item in wanted.items(name, value):
                found.setdefault(item, []).append((name, value))
    return found


def possible(wanted, ways):
    """Say whether there are values, one of each list, that go together and have effects."""
    for values in product(*ways):
        row = dict(values)
        effects = not any(wanted.hidden(row, name) for name in row)
        if effects and len(row) == len({*values}) and not wanted.broken(row):
            return True
    return False


@pytest.mark.parametrize("name", TABLES)
def test_every_two_meet_that_go_together(name):
    wanted, rows = TABLES[name][0], TABLES[name][1]()
    pairs = {frozenset(two) for row in rows for two in combinations(shown(wanted, row), 2)}
    items = all_items(wanted)

    missing = [
        (one, other)
        for one, other in combinations(items, 2)
        if items[one][0][0] != items[other][0][0]
        and not wanted.apart(one[0], other[0])
        and frozenset((one, other)) not in pairs
        and possible(wanted, (items[one], items[other]))
    ]

    assert not missing
    assert not any(wanted.broken(row) for row in rows)
    assert all([*row] == [*wanted.factors] for row in rows)


def test_every_three_meet_of_what_chooses_a_way():
    special = [
        [item for item in shown(SMALL, row) if item[0] in SMALL.triples] for row in small_rows()
    ]
    triples = {frozenset(three) for items in special for three in combinations(items, 3)}
    items = {item: ways for item, ways in all_items(SMALL).items() if item[0] in SMALL.triples}

    missing = [
        three
        for three in combinations(items, 3)
        if len({name for name, _ in three}) == 3
        and frozenset(three) not in triples
        and possible(SMALL, [items[item] for item in three])
    ]

    assert not missing


def test_rows_have_names_of_their_own_and_are_the_same_every_time():
    rows = covering_rows()

    assert len({*map(label, rows)}) == len(rows)
    small_rows.cache_clear()
    assert small_rows() == rows[: len(small_rows())]


def test_a_cover_of_factors_without_rules_is_that_of_their_pairs():
    factors = {"a": (0, 1, 2), "b": (0, 1, 2), "c": (0, 1, 2), "d": (0, 1, 2)}

    rows = cover(Wanted(factors))

    for (one, these), (other, those) in combinations(factors.items(), 2):
        assert {(row[one], row[other]) for row in rows} == {*product(these, those)}
    assert len(rows) <= 14  # nine would do


def test_values_that_others_hide_meet_beside_what_shows_them():
    factors = {"switch": (0, 1), "hold": (0, 1), "other": (0, 1)}
    rule = Rule({"switch": (1,), "other": (1,)})

    rows = cover(Wanted(factors, [rule], shown_by={"hold": [("switch", (1,))]}))

    assert {(1, 1, 0), (0, 0, 1)} <= {(*row.values(),) for row in rows}
    assert not any(map(rule.broken, rows))


@pytest.mark.parametrize("rule", REFUSED, ids=lambda rule: "-".join(rule.values))
def test_what_does_not_go_together_is_refused(rule):
    # Of every factor each value, beside the first ones of the others.
    first = {name: values[0] for name, values in rule.values.items()}
    parts = [first | {name: value} for name, values in rule.values.items() for value in values]
    for part in parts:
        row = complete(SMALL, part, rule)

        with pytest.raises(ValueError, match=f"^{rule.message}"):
            draw(sr, row).results()


def test_rules_are_about_factors_and_their_values():
    for rule in RULES:
        for name, values in rule.values.items():
            assert {*values} <= {*FACTORS[name].values}, rule
