"""What the benchmark says: statistics, the table, advice, files and the command line."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import pytest

from helpers_loops import every
from simdrnn.bench import cli
from simdrnn.bench.cases import QUICK, Case
from simdrnn.bench.machine import as_json
from simdrnn.bench.plot import plot_reports, plot_unavailable
from simdrnn.bench.report import advice, plain_table, print_report
from simdrnn.bench.run import Report
from simdrnn.bench.stats import Band, CaseResult, geometric_mean

SMALL = Case("lstm", 5, 3, 4, 6)


def made_up_report():
    """Two cases with one win, one loss and one undecided ratio."""
    fast, slow = CaseResult(QUICK[0]), CaseResult(replace(QUICK[1], bidirectional=True))
    fast.peak = slow.peak = [100.0, 100.0]
    fast.seconds = {
        "ours": {"forward": [0.010, 0.010], "training": [0.030, 0.030]},
        "pytorch": {"forward": [0.020, 0.020], "training": [0.015, 0.015]},
    }
    slow.seconds = {
        "ours": {"forward": [0.010, 0.010], "training": [0.030, 0.030]},
        "pytorch": {"forward": [0.009, 0.011]},
    }
    return Report(1, 2, ("pytorch",), [fast, slow], {"ours": "1.0", "pytorch": "2.0"}, ["a note"])


def arguments(*words):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(words)


# statistics


def test_ratio_is_taken_within_rounds():
    result = CaseResult(SMALL)
    result.seconds = {"ours": {"forward": [1.0, 4.0]}, "pytorch": {"forward": [2.0, 8.0]}}

    assert result.ratio("pytorch", "forward") == Band(2.0, 2.0, 2.0)


def test_ratio_uses_rounds_both_took_part_in():
    result = CaseResult(SMALL)
    result.seconds = {"ours": {"forward": [1.0, 1.0, 9.0]}, "pytorch": {"forward": [2.0, 4.0]}}

    assert result.ratio("pytorch", "forward") == Band(3.0, 2.0, 4.0)


def test_ratio_of_a_pass_nobody_ran_is_none():
    assert CaseResult(SMALL).ratio("pytorch", "training") is None


def test_fraction_is_speed_over_the_peak_of_the_round():
    result = CaseResult(SMALL)
    seconds = SMALL.forward_flops() / 50e9
    result.seconds = {"ours": {"forward": [seconds, 2 * seconds]}}
    result.peak = [100.0, 50.0]

    assert result.fraction("ours", "forward").median == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("band", "decided"),
    [(Band(1.2, 1.1, 1.3), True), (Band(0.8, 0.7, 0.9), True), (Band(1.1, 0.9, 1.2), False)],
)
def test_band_is_decided_if_it_excludes_one(band, decided):
    assert band.decided() is decided


def test_geometric_mean_cancels_opposite_ratios():
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1.0)


def test_geometric_mean_of_nothing_is_none():
    assert geometric_mean([]) is None


# the table


def test_table_shows_wins_losses_and_undecided():
    _, header, win, undecided, mean = plain_table(made_up_report()).splitlines()

    assert header.split()[-2:] == ["forward", "training"]
    assert win.split()[-2:] == ["2.00", "0.50"]
    assert undecided.split()[-2:] == ["~1.00", "-"]
    assert mean.split() == ["geometric", "mean", "1.41", "0.50"]


def test_table_columns_are_aligned():
    lines = plain_table(made_up_report()).splitlines()

    assert len({len(line) for line in lines}) == 1


def test_table_without_results_is_two_lines_of_headings():
    assert len(plain_table(Report(1, 2, ())).splitlines()) == 2


def test_report_prints_without_rich(monkeypatch, capsys):
    monkeypatch.setattr("simdrnn.bench.table.find_spec", lambda module: None)

    print_report(made_up_report())

    printed = capsys.readouterr().out
    assert plain_table(made_up_report()) in printed
    assert "a note" in printed


def test_report_prints_every_number_with_rich(capsys):
    pytest.importorskip("rich", reason="rich is not installed")

    print_report(made_up_report())

    assert set(plain_table(made_up_report()).split()) <= set(capsys.readouterr().out.split())


def test_report_prints_mismatches(monkeypatch, capsys):
    monkeypatch.setattr("simdrnn.bench.table.find_spec", lambda module: None)
    report = Report(1, 2, ("pytorch",), [CaseResult(SMALL, mismatch="they disagree")])

    print_report(report)

    assert f"{SMALL.label}: they disagree" in capsys.readouterr().out


@every(
    "theirs, start",
    [
        ([0.5, 0.6], "Do not switch for forward"),
        ([0.9, 1.1], "No reason to switch for forward"),
        ([1.01, 1.05], "Hardly worth switching for forward"),
        ([2.0, 2.0], "Switching pays for forward"),
    ],
)
def test_advice_follows_the_band(theirs, start):
    result = CaseResult(SMALL)
    result.seconds = {"ours": {"forward": [1.0, 1.0]}, "pytorch": {"forward": theirs}}

    assert advice(result, ("pytorch",))[0].startswith(start)


def test_advice_does_not_count_the_reference():
    result = CaseResult(SMALL)
    result.seconds = {"ours": {"forward": [1.0]}, "reference": {"forward": [9.0]}}

    assert "nothing installed to compare with" in advice(result, ("reference",))[0]


def test_advice_without_measurements_admits_it():
    assert advice(CaseResult(SMALL), ("pytorch",)) == ["Nothing was timed, so there is no advice."]


# files


def test_json_holds_rounds_ratios_and_machine():
    data = json.loads(json.dumps(as_json([made_up_report()], {"cpu": "some"})))

    assert data["machine"] == {"cpu": "some"}
    case = data["runs"][0]["cases"][0]
    assert (case["cell"], case["T"], case["mismatch"]) == ("lstm", 100, None)
    forward = case["results"]["pytorch"]["forward"]
    assert forward["rounds_seconds"] == [0.020, 0.020]
    assert forward["time_over_ours"] == {"median": 2.0, "low": 2.0, "high": 2.0}


def test_json_keys_are_the_documented_ones():
    data = as_json([made_up_report()], {})

    assert set(data) == {"schema", "date", "machine", "runs", "targets", "notes"}
    assert set(data["runs"][0]) == {
        "threads",
        "rounds",
        "worker_environment",
        "versions",
        "notes",
        "cases",
    }


def test_plot_writes_a_png(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")

    plot_reports([made_up_report()], tmp_path / "speed.png")

    assert (tmp_path / "speed.png").read_bytes().startswith(b"\x89PNG")


def test_plot_says_what_to_install(monkeypatch):
    monkeypatch.setattr("simdrnn.bench.plot.find_spec", lambda module: None)

    assert plot_unavailable() == "--plot needs matplotlib: pip install matplotlib"


# the command line


@every(
    "words, message",
    [
        (["--threads", "0"], "--threads: expected a positive integer, got 0"),
        (["--rounds", "3"], "--rounds: expected an even number"),
        (["--rounds", "0"], "--rounds: expected an even number"),
        (["--cell", "lru"], "--cell: expected one of lstm, gru, rnn, got 'lru'"),
        (["--cell", "lru", "--shape", "1,1,1,1"], "cell: expected one of lstm, gru, rnn"),
        (["--dtype", "float16"], "dtype: expected one of float32, float64, got 'float16'"),
        (["--shape", "1,2,3"], "--shape: expected four integers T,B,I,H, got '1,2,3'"),
        (["--shape", "1,2,x,4"], "--shape: expected four integers T,B,I,H, got '1,2,x,4'"),
        (["--shape", "0,1,1,1"], "T: expected a positive integer, got 0"),
        (["--shape", "9999999999,99,9,9"], "does not fit into memory"),
        (["--shape", "1,1,1,1", "--quick"], "--shape and --quick exclude each other"),
        (["--peers", "caffe"], "--peers: expected names from"),
        (["--json", "/no/such/folder/x.json"], "--json: there is no folder /no/such/folder"),
        (["--json", "/"], "--json: / is a folder, expected a file"),
    ],
    ids=" ".join,
)
def test_bad_option_is_one_sentence_and_exit_2(words, message, capsys):
    code = cli.run(arguments(*words))

    assert code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_options_select_cell_and_dtype(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(cli, "run_cases", lambda cases, report, say: seen.extend(cases))

    code = cli.run(arguments("--quick", "--cell", "gru", "--dtype", "float64"))

    assert code == 0
    assert {(case.cell, case.dtype) for case in seen} == {("gru", "float64")}


def test_peers_none_times_only_ours(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(cli, "run_cases", lambda cases, report, say: seen.append(report.peers))

    cli.run(arguments("--quick", "--peers", "none"))

    assert seen == [()]


def test_interrupt_prints_what_is_there(monkeypatch, capsys):
    def interrupted(cases, report, say):
        report.results += made_up_report().results
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_cases", interrupted)

    code = cli.run(arguments("--quick", "--peers", "pytorch"))

    printed = capsys.readouterr().out
    assert code == 130
    assert QUICK[0].label in printed
    assert "Stopped by Ctrl-C" in printed


def test_shape_command_gives_advice_and_json(tmp_path, capsys):
    pytest.importorskip("simdrnn._core", reason="the extension is not built")
    path = tmp_path / "run.json"

    words = ("--shape", "5,2,3,4", "--rounds", "2", "--peers", "reference", "--json", str(path))
    code = cli.run(arguments(*words))

    printed = capsys.readouterr().out
    assert code == 0
    assert "nothing installed to compare with" in printed
    assert "LSTM(3, 4), T=5, B=2" in printed  # sr.explain
    assert json.loads(path.read_text())["machine"]["cpu"]
