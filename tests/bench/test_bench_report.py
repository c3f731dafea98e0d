"""What the benchmark says: statistics, the table, advice, files and the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from helpers_loops import every
from simdrnn.bench import cli
from simdrnn.bench.cases import GRID, QUICK, Case
from simdrnn.bench.machine import as_json
from simdrnn.bench.plot import plot_report, plot_unavailable
from simdrnn.bench.report import advice, plain_table, print_report
from simdrnn.bench.run import Report
from simdrnn.bench.stats import Band, CaseResult, geometric_mean
from simdrnn.cli import main

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


# statistics


def test_ratios_are_of_rounds_both_took_part_in():
    result = CaseResult(SMALL)
    result.seconds = {"ours": {"forward": [1.0, 4.0, 9.0]}, "pytorch": {"forward": [2.0, 16.0]}}

    assert result.ratio("pytorch", "forward") == Band(3.0, 2.0, 4.0)
    assert result.ratio("pytorch", "training") is None


def test_fraction_is_speed_over_the_peak_of_the_round():
    result = CaseResult(SMALL)
    seconds = SMALL.forward_flops() / 50e9
    result.seconds = {"ours": {"forward": [seconds, 2 * seconds]}}
    result.peak = [100.0, 50.0]

    assert result.fraction("ours", "forward").median == pytest.approx(0.5)


def test_band_is_decided_if_it_excludes_one():
    bands = [Band(1.2, 1.1, 1.3), Band(0.8, 0.7, 0.9), Band(1.1, 0.9, 1.2)]

    assert [band.decided() for band in bands] == [True, True, False]


def test_geometric_mean_cancels_opposite_ratios():
    assert geometric_mean([2.0, 0.5]) == pytest.approx(1.0)
    assert geometric_mean([]) is None


# the table


def test_table_shows_wins_losses_and_undecided_in_columns():
    lines = plain_table(made_up_report()).splitlines()

    _, header, win, undecided, mean = lines
    assert header.split()[-2:] == ["forward", "training"]
    assert win.split()[-2:] == ["2.00", "0.50"]
    assert undecided.split()[-2:] == ["~1.00", "-"]
    assert mean.split() == ["geometric", "mean", "1.41", "0.50"]
    assert len({len(line) for line in lines}) == 1


def test_report_prints_without_rich(monkeypatch, capsys):
    monkeypatch.setattr("simdrnn.bench.table.find_spec", lambda module: None)
    report = made_up_report()
    report.results.append(CaseResult(SMALL, mismatch="they disagree"))

    print_report(report)

    printed = capsys.readouterr().out
    assert plain_table(made_up_report()) in printed
    assert "a note" in printed
    assert f"{SMALL.label}: they disagree" in printed


def test_report_prints_every_number_with_rich(capsys):
    pytest.importorskip("rich", reason="rich is not installed")

    print_report(made_up_report())

    assert set(plain_table(made_up_report()).split()) <= set(capsys.readouterr().out.split())


def test_nothing_measured_is_two_lines_of_headings_and_no_advice():
    assert len(plain_table(Report(1, 2, ())).splitlines()) == 2
    assert advice(CaseResult(SMALL), ("pytorch",)) == ["Nothing was timed, so there is no advice."]


@every(
    "peer, theirs, start",
    [
        ("pytorch", [0.5, 0.6], "Do not switch for forward"),
        ("pytorch", [0.9, 1.1], "No reason to switch for forward"),
        ("pytorch", [1.01, 1.05], "Hardly worth switching for forward"),
        ("pytorch", [2.0, 2.0], "Switching pays for forward"),
        ("reference", [9.0, 9.0], "For forward there is nothing installed to compare with"),
    ],
)
def test_advice_follows_the_band(peer, theirs, start):
    result = CaseResult(SMALL)
    result.seconds = {"ours": {"forward": [1.0, 1.0]}, peer: {"forward": theirs}}

    assert advice(result, (peer,))[0].startswith(start)


# files


def test_json_holds_rounds_ratios_and_machine():
    data = json.loads(json.dumps(as_json([made_up_report()], {"cpu": "some"})))

    assert set(data) == {"schema", "date", "machine", "runs"}
    assert data["machine"] == {"cpu": "some"}
    [run] = data["runs"]
    assert set(run) == {"threads", "rounds", "worker_environment", "versions", "notes", "cases"}
    case = run["cases"][0]
    assert (case["cell"], case["T"], case["mismatch"]) == ("lstm", 100, None)
    forward = case["results"]["pytorch"]["forward"]
    assert forward["rounds_seconds"] == [0.020, 0.020]
    assert forward["time_over_ours"] == {"median": 2.0, "low": 2.0, "high": 2.0}


@every("cases", [QUICK[:2], GRID], ids=["few", "grid"])
def test_plot_writes_a_png(cases, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    report = made_up_report()
    seconds = report.results[0].seconds
    report.results = [CaseResult(case, seconds, peak=[100.0, 100.0]) for case in cases]

    plot_report(report, tmp_path / "speed.png")

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
        (["--cell", "lru"], "--cell: expected one of lstm, gru, rnn, got 'lru'"),
        (["--cell", "lru", "--shape", "1,1,1,1"], "cell: expected one of lstm, gru, rnn"),
        (["--dtype", "float16"], "dtype: expected one of float32, float64, got 'float16'"),
        (["--shape", "1,2,x,4"], "--shape: expected four integers T,B,I,H, got '1,2,x,4'"),
        (["--shape", "9999999999,99,9,9"], "does not fit into memory"),
        (["--shape", "1,1,1,1", "--quick"], "--shape and --quick exclude each other"),
        (["--peers", "caffe"], "--peers: expected names from"),
        (["--json", "/no/such/folder/x.json"], "--json: there is no folder /no/such/folder"),
        (["--json", "/"], "--json: / is a folder, expected a file"),
    ],
    ids=" ".join,
)
def test_bad_option_is_one_sentence_and_exit_2(words, message, capsys):
    code = main(["bench", *words])

    assert code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_acceptance_says_where_it_is_measured(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--acceptance", "--rows", "ragged"])

    assert stop.value.code == 2
    assert "in a checkout of the sources: python -m bench.acceptance" in capsys.readouterr().err


def test_options_select_cell_dtype_and_peers(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(cli, "run_cases", lambda cases, report, say: seen.append((cases, report)))

    code = main(["bench", "--quick", "--cell", "gru", "--dtype", "float64", "--peers", "none"])

    [(cases, report)] = seen
    assert code == 0
    assert {(case.cell, case.dtype) for case in cases} == {("gru", "float64")}
    assert report.peers == ()


def test_interrupt_prints_what_is_there(monkeypatch, capsys):
    def interrupted(cases, report, say):
        report.results += made_up_report().results
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run_cases", interrupted)

    code = main(["bench", "--quick", "--peers", "pytorch"])

    printed = capsys.readouterr().out
    assert code == 130
    assert QUICK[0].label in printed
    assert "Stopped by Ctrl-C" in printed


def test_shape_command_measures_advises_and_writes_json(tmp_path, capsys):
    pytest.importorskip("simdrnn._core", reason="the extension is not built")
    path = tmp_path / "run.json"

    words = ("--shape", "5,2,3,4", "--rounds", "2", "--peers", "reference", "--json", str(path))
    code = main(["bench", *words])

    printed = capsys.readouterr().out
    assert code == 0
    assert "nothing installed to compare with" in printed
    assert "LSTM(3, 4), T=5, B=2" in printed  # sr.explain
    data = json.loads(path.read_text())
    assert data["machine"]["cpu"]
    [case] = data["runs"][0]["cases"]
    assert len(case["peak_gflops"]) == 2
    assert set(case["results"]["reference"]) == {"forward", "training"}
