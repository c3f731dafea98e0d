"""Loops over tables say which rows fail, and keep rows from one another."""

from __future__ import annotations

import pytest

from helpers_loops import every, in_turn


def test_all_rows_that_fail_are_named():
    @every("number", [1, 2, 3, 4])
    @every("word", ["one", "two"])
    def body(number, word):
        assert (number, word) != (2, "two"), "not two"
        assert number != 4

    with pytest.raises(AssertionError) as error:
        body()

    said = str(error.value)
    assert said.startswith("2 of 4 rows fail:")
    assert all(part in said for part in ("\n  2: ", "not two", "\n  4: "))
    assert "\n  3: " not in said
    assert error.value.__cause__ is not None


def test_failures_of_pytest_count_and_skipped_rows_do_not():
    @every("row", ["fails", "skips", "passes"])
    def body(row):
        if row == "skips":
            pytest.skip("not here")
        with pytest.raises(ValueError, match="wanted"):
            raise ValueError("wanted" if row == "passes" else "other")

    @every("row", ["skips"])
    def skipped(row):
        pytest.skip("not here")

    with pytest.raises(AssertionError, match="1 of 3 rows fail:\n  fails: "):
        body()
    with pytest.raises(pytest.skip.Exception):
        skipped()


def test_rows_have_fixtures_of_their_own(rng, tmp_path, monkeypatch):
    seen = []

    @every("outer", "ab")
    @every("inner", "xy")
    def body(outer, inner, rng, tmp_path, monkeypatch):
        assert list(tmp_path.iterdir()) == []
        (tmp_path / "file").touch()
        monkeypatch.setenv("SIMDRNN_TESTED", "yes")
        seen.append(rng.random())

    body(rng=rng, tmp_path=tmp_path, monkeypatch=monkeypatch)
    first, seen[:] = list(seen), []
    (tmp_path / "again").mkdir()
    body(rng=rng, tmp_path=tmp_path / "again", monkeypatch=monkeypatch)

    assert len(set(first)) == 4
    assert seen == first


def test_every_value_has_its_turn_and_the_whole_is_there_when_asked_for():
    cells, patterns, stacks = "abcdefg", [1, 2, 3, 4], [(1, False), (1, True), (2, True)]

    names, table = in_turn({"cell": cells, "pattern": patterns, "layers, both": stacks}, rounds=2)

    assert names == "cell, pattern, layers, both"
    few = table(False)
    assert len(few) == 14
    assert [{row[k] for row in few} for k in (0, 1)] == [{*cells}, {*patterns}]
    assert {row[2:] for row in few} == {*stacks}
    assert len({*few}) == 14
    assert len(table(True)) == 7 * 4 * 3


def test_tables_without_rows_and_wrong_names_are_mistakes():
    @every("row", [])
    def body(row):
        pass

    with pytest.raises(AssertionError, match="no rows for row"):
        body()
    with pytest.raises(AssertionError, match="body takes no column"):
        every("column", [1])(body)


@every("whole", [True, False])
def test_the_option_for_everything_reaches_the_table(whole, pytestconfig, monkeypatch):
    seen = []

    @every("last", [0])
    @every(*in_turn({"one": [1, 2, 3], "two": [1, 2]}))
    def body(one, two, last):
        seen.append((one, two))

    monkeypatch.setattr(pytestconfig.option, "exhaustive", whole)
    body(pytestconfig=pytestconfig)

    assert len(seen) == (6 if whole else 3)
