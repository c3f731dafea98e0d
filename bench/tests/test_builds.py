"""Two builds side by side: with made-up sides, and this build against itself."""

from __future__ import annotations

import json
import sys

import pytest

from bench.builds import __main__ as command
from bench.builds.compare import BuildError, Comparison, Result, compare
from bench.builds.rows import SECTIONS, Row, rows_of
from bench.builds.table import means, print_comparison
from helpers_loops import every

ROW = Row("shapes", "sequence", "LSTM", (3, 2, 4, 5), "forward", 1)
FACTS = {"version": "1", "isa": "scalar", "place": "here", "python": "3", "numpy": "2"}


def quiet(text):
    """Swallow progress."""


class FakeSide:
    """A build whose calls take as long as it is told, and that keeps a diary."""

    def __init__(self, name, seconds, diary, digest="same"):
        self.name, self.seconds, self.diary, self.digest = name, seconds, diary, digest

    def build(self, row):
        if row.layer == "GRU":
            raise BuildError(f"{self.name}: no such layer")
        return self.digest

    def time(self, calls):
        self.diary.append(self.name[0])
        return self.seconds


def compared(before, after, rows=(ROW,), digest="same"):
    diary, comparison = [], Comparison(rounds=4)
    sides = FakeSide("before", before, diary), FakeSide("after", after, diary, digest)
    compare(*sides, rows, comparison, quiet)
    return comparison, "".join(diary)


def test_rounds_alternate_and_a_faster_build_is_above_one():
    comparison, diary = compared(0.02, 0.01)

    assert diary == "baba" + "baabbaab"  # counted, then timed
    [result] = comparison.results
    assert (result.ratio, result.spread, result.fastest) == (2.0, (2.0, 2.0), 2.0)
    assert result.medians() == (0.02, 0.01)
    assert comparison.short() == []


def test_a_slower_build_is_measured_again_in_more_rounds():
    comparison, _ = compared(0.01, 0.02)

    [result] = comparison.results
    assert (len(result.first), len(result.rounds)) == (4, 16)
    assert comparison.short() == [result]


def test_other_bits_and_refused_rows_are_noted():
    refused = Row("shapes", "sequence", "GRU", (3, 2, 4, 5), "forward", 1)

    comparison, _ = compared(0.01, 0.01, [ROW, refused], digest="other")

    assert comparison.notes == [
        "LSTM 3,2,4,5, forward: the builds give different bits",
        "GRU 3,2,4,5, forward without a result: before: no such layer",
    ]
    assert len(comparison.results) == 1


def test_means_are_geometric_and_by_section_pass_and_threads():
    step = Row("steps", "cell step", "GRU", (1, 1, 8, 8), "forward", None)
    results = [Result(ROW, [(2.0, 1.0)] * 2), Result(ROW, [(1.0, 2.0)] * 2),
               Result(step, [(8.0, 1.0)] * 2)]  # fmt: skip

    found = means(results)

    assert list(found) == ["shapes, forward, threads 1", "steps, forward", "everything"]
    assert [count for count, _ in found.values()] == [2, 1, 3]
    assert [mean for _, mean in found.values()] == pytest.approx([1.0, 8.0, 2.0])


def test_the_table_shows_every_row_and_lists_the_slower_ones(monkeypatch, capsys):
    monkeypatch.setattr("simdrnn.bench.table.find_spec", lambda module: None)
    comparison, _ = compared(0.01, 0.02)

    print_comparison({"before": FACTS, "after": FACTS}, comparison)

    printed = capsys.readouterr().out
    assert "before: simdrnn 1 (scalar) of here" in printed
    assert "*0.500" in printed
    assert printed.splitlines()[-1].startswith("  0.500 (fastest 0.500)  LSTM 3,2,4,5, forward")


def test_rows_are_told_apart():
    rows = rows_of(list(SECTIONS), [1, 2])

    names = [(row.label, row.which, row.threads) for row in rows]
    assert len(set(names)) == len(names)
    assert rows_of(["steps"], [1], text="GRU H=8,") == [
        row for row in rows if row.section == "steps" and row.label.startswith("GRU H=8,")
    ]


@every(
    "words, message",
    [
        (["--before", "no-such-python"], "--before: expected an interpreter"),
        (["--rounds", "3"], "--rounds: expected an even number"),
        (["--threads", "1,x"], "--threads: expected positive integers by commas"),
        (["--sections", "waves"], "--sections: expected shapes, options, steps, got 'waves'"),
        (["--only", "waves"], "--only: no row's name contains 'waves'"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_bad_option_is_one_sentence_and_exit_2(words, message, capsys):
    code = command.main(["--before", sys.executable, "--after", sys.executable, *words])

    assert code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


@pytest.fixture
def this_build(tmp_path):
    """Return an interpreter that imports what the tests import, wherever that is installed."""
    path = tmp_path / "python"
    folders = ":".join(folder for folder in sys.path if folder)
    path.write_text(f'#!/bin/sh\nPYTHONPATH="{folders}" exec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_a_build_against_itself(this_build, tmp_path, monkeypatch, capsys):
    rows = [row for row in rows_of(list(SECTIONS), [1]) if row.layer == "RNN"]
    steps = [row for row in rows if row.section == "steps"][:3]
    monkeypatch.setattr(command, "rows_of", lambda *_: steps)
    monkeypatch.setattr("bench.builds.compare._TURN_SECONDS", 1e-4)
    path = tmp_path / "ratios.json"

    words = ("--before", this_build, "--after", this_build, "--rounds", "2", "--json", str(path))
    code = command.main(words)

    assert code == 0
    data = json.loads(path.read_text())
    assert data["notes"] == ["Both sides are the same build: this shows the noise."]
    assert [row["how"] for row in data["rows"]] == ["layer step", "layer step", "cell step"]
    assert all(row["ratio"] > 0 for row in data["rows"])
    assert "geometric mean of 3: everything" in capsys.readouterr().out
