"""The table of targets: verdicts on made-up numbers, the run, what is shown, the options."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import pytest

from helpers_bench import ONE, SMALL, exactly, quiet
from helpers_loops import every
from simdrnn.bench import acceptance, cli, curves, options
from simdrnn.bench.acceptance import ROWS, Acceptance, run_acceptance
from simdrnn.bench.cases import ACCEPTANCE, Case
from simdrnn.bench.grid import grid_points
from simdrnn.bench.machine import as_json
from simdrnn.bench.plot import plot_reports
from simdrnn.bench.ragged import measure_ragged
from simdrnn.bench.run import Report
from simdrnn.bench.stats import STEP_SECONDS, CaseResult
from simdrnn.bench.targets import TARGETS, Point, Target, judge, show
from simdrnn.bench.verdicts import print_acceptance, short_lines, verdict_table
from simdrnn.bench.worker import WorkerError

LEAST = Target("speed", "grid", "a ratio", 1.5, least=True)
MOST = Target("time", "ragged", "a time", 2.0, unit="us")


def points(key, values, threads=1):
    return [Point(key, f"at {value}", threads, exactly(value)) for value in values]


def a_result(case, ours=0.01, **peers):
    """Return two equal rounds of forward, and training that takes three times as long."""
    result = CaseResult(case, peak=[100.0, 100.0])
    for name, seconds in {"ours": ours, **peers}.items():
        result.seconds[name] = {"forward": [seconds] * 2, "training": [3 * seconds] * 2}
    return result


def asked(rows=ROWS, *, threads=(1,), peers=("pytorch",), cases=ACCEPTANCE):
    return Acceptance(threads, 2, tuple(rows), peers, cases)


def arguments(*words):
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return parser.parse_args(words)


# verdicts


@every(
    "target, value, reached",
    [(LEAST, 1.5, True), (LEAST, 1.4999, False), (MOST, 2.0, True), (MOST, 2.0001, False)],
)
def test_the_bound_itself_is_enough(target, value, reached):
    assert judge(target, points(target.key, [value]), 1).reached is reached


def test_every_point_has_to_reach_the_bound():
    verdict = judge(LEAST, points("speed", [9.0, 1.2, 1.4, 1.5]), 1)

    assert verdict.text == "short by 0.30"
    assert verdict.worst.label == "at 1.2"
    assert [point.label for point in verdict.short] == ["at 1.2", "at 1.4"]


def test_the_worst_time_is_the_longest():
    verdict = judge(MOST, points("time", [1.0, 3.0, 2.5]), 1)

    assert verdict.text == "short by 1.00 us"
    assert [point.label for point in verdict.short] == ["at 3.0", "at 2.5"]


def test_a_mean_is_judged_on_the_points_of_another_target():
    target = replace(LEAST, key="speed_mean", mean=True, points="speed")

    verdict = judge(target, points("speed", [1.0, 4.0]), 1)

    assert verdict.mean == pytest.approx(2.0)
    assert verdict.reached
    assert verdict.worst.label == "at 1.0"
    assert verdict.short == ()


def test_fractions_fall_short_by_points_of_a_percentage():
    target = replace(LEAST, unit="%", bound=0.92)

    assert judge(target, points("speed", [0.9]), 1).text == "short by 2.0 points"


def test_only_points_of_the_same_threads_count():
    verdict = judge(LEAST, points("speed", [1.0], 1) + points("speed", [2.0], 2), 2)

    assert verdict.reached
    assert verdict.text == "reached"


def test_without_points_there_is_no_verdict():
    verdict = judge(LEAST, [], 1)

    assert (verdict.reached, verdict.text, verdict.worst) == (None, "not measured", None)


def test_values_without_a_geometric_mean_are_judged():
    verdict = judge(MOST, points("time", [-1.0, 0.0]), 1)

    assert verdict.mean is None
    assert verdict.reached


@every(
    "value, unit, text",
    [(0.9234, "%", "92.3 %"), (1.234, "x", "1.23"), (2.5, "us", "2.50 us"), (5.0, "MB", "5.00 MB")],
)
def test_values_are_shown_in_their_units(value, unit, text):
    assert show(value, unit) == text


def test_every_target_has_points_and_a_row():
    keys = [target.key for target in TARGETS]

    assert len(set(keys)) == len(keys)
    assert {target.row for target in TARGETS} == set(ROWS)
    assert {target.source for target in TARGETS} <= set(keys)


# points of the grid


def test_the_best_peer_counts_and_the_reference_is_none():
    report = Report(1, 2, ("reference", "pytorch", "jax"))
    report.results = [a_result(Case("lstm", *SMALL), reference=0.001, pytorch=0.03, jax=0.02)]

    values = {point.target: point.band.median for point in grid_points(report)}

    assert values == {"inference": 2.0, "training": 2.0, "pytorch": 3.0}


@every(
    "shape, expected",
    [
        ((10, 16, 64, 64), {"forward_peak_64", "training_peak_64"}),
        ((10, 16, 128, 128), {"forward_peak", "training_peak"}),
        ((10, 8, 128, 128), set()),
        ((10, 16, 64, 96), set()),
        ((10, 16, 32, 32), set()),
    ],
    ids=str,
)
def test_fractions_of_the_peak_are_for_batches(shape, expected):
    report = Report(1, 2, (), [a_result(Case("gru", *shape))])

    assert {point.target for point in grid_points(report)} == expected


@pytest.mark.parametrize("bound_by", ["arithmetic", "reading"])
def test_the_model_of_a_single_row(bound_by):
    case = Case("gru", 10, 1, 16, 32)
    result = a_result(case, ours=1e-3)
    arithmetic = case.forward_flops() / 100e9
    assert case.recurrent_bytes() == 3 * 32 * 32 * 4
    reading = 2 * arithmetic if bound_by == "reading" else arithmetic / 2
    result.bandwidth = [10 * case.recurrent_bytes() / reading / 1e9] * 2

    [point] = grid_points(Report(1, 2, (), [result]))

    model = max(arithmetic, reading) + 10 * STEP_SECONDS
    assert point.target == "single"
    assert point.band.median == pytest.approx(1e-3 / model)


def test_a_single_row_without_bandwidth_has_no_model():
    assert a_result(Case("gru", 10, 1, 16, 32)).over_model() is None


# the run


def test_rows_run_once_per_number_of_threads(monkeypatch):
    diary = []

    def fake(name):
        def measure(settings, say):
            diary.append((name, settings.threads))
            say("something")
            yield Point("ragged", name, settings.threads, exactly(1.0))

        return measure

    for name, row in acceptance._SPECIAL.items():
        monkeypatch.setitem(acceptance._SPECIAL, name, replace(row, measure=fake(name)))
    monkeypatch.setattr(acceptance, "run_cases", lambda cases, report, say: None)
    said = []

    run_acceptance(asked(("grid", "ragged", "threads", "latency"), threads=(1, 2)), said.append)

    assert diary == [("latency", 2), ("threads", 2), ("ragged", 1), ("ragged", 2)]
    assert said == [
        "something",
        "threads 2: something",
        *(f"threads {n}: something" for n in (1, 2)),
    ]


def test_a_row_that_fails_is_noted_and_the_next_one_runs(monkeypatch):
    def failing(settings, say):
        yield Point("ragged", "a", settings.threads, exactly(1.0))
        raise MemoryError("too\nlarge")

    monkeypatch.setitem(acceptance._SPECIAL, "ragged", acceptance._Row(failing))
    fine = acceptance._Row(lambda settings, say: iter(points("mask", [1.0])))
    monkeypatch.setitem(acceptance._SPECIAL, "mask", fine)
    made = asked(("ragged", "mask"))

    run_acceptance(made, quiet)

    assert made.notes == ["threads 1: ragged stopped: too large"]
    assert made.failed
    assert [point.target for point in made.special] == ["ragged", "mask"]


def test_the_grid_that_fails_keeps_its_cases_and_the_rest_runs(monkeypatch):
    def broken(cases, report, say):
        report.results.append(a_result(cases[0], pytorch=0.02))
        raise WorkerError("ours: gone")

    monkeypatch.setattr(acceptance, "run_cases", broken)
    made = asked(("grid",), threads=(1, 2))

    run_acceptance(made, quiet)

    assert made.notes == [f"threads {n}: grid stopped: ours: gone" for n in (1, 2)]
    assert len(made.points()) > 0


def test_single_rows_alone_need_no_peers(monkeypatch):
    seen = []
    monkeypatch.setattr(
        acceptance, "run_cases", lambda cases, report, say: seen.append((cases, report.peers))
    )

    run_acceptance(asked(("single",)), quiet)

    [(cases, peers)] = seen
    assert {case.B for case in cases} == {1}
    assert peers == ()


def test_special_rows_alone_leave_the_grid_out(monkeypatch):
    made = asked(("memory",))
    fake = acceptance._Row(lambda settings, say: iter(points("memory", [1.0], 0)), once=True)
    monkeypatch.setitem(acceptance._SPECIAL, "memory", fake)

    run_acceptance(made, quiet)

    assert made.reports == []
    assert [verdict.text for verdict in made.verdicts()] == ["reached"]


@pytest.mark.usefixtures("built")
def test_a_tiny_grid_runs_to_the_end(capsys):
    cases = [Case("lstm", 5, 1, 4, 6), Case("gru", 5, 16, 4, 64)]
    made = asked(("grid",), peers=(), cases=cases)

    run_acceptance(made, quiet)
    print_acceptance(made)

    assert made.notes == []
    assert {point.target for point in made.points()} == {
        "single",
        "forward_peak_64",
        "training_peak_64",
    }
    assert len(made.reports[0].results[0].bandwidth) == 2
    assert "not measured" in capsys.readouterr().out


# what is shown


def fallen_short():
    made = asked(("grid", "latency"))
    case = Case("lstm", 10, 16, 64, 64)
    made.reports = [Report(1, 2, ("pytorch",), [a_result(case, ours=0.01, pytorch=0.009)])]
    made.special = points("cell_call", [1.0], 0)
    made.notes = ["a note"]
    return made


def test_the_table_names_bound_worst_point_and_verdict():
    table = verdict_table(fallen_short().verdicts())

    texts = [[cell.text for cell in row] for row in table]
    assert texts[1][1:] == [
        "1", ">= 1.00", "0.90", "0.90", "lstm 10,16,64,64", "short by 0.10",
    ]  # fmt: skip
    assert texts[-2][-1] == "not measured"
    assert texts[-1][1:] == ["-", "<= 2.00 us", "1.00 us", "1.00 us", "at 1.0", "reached"]


def test_points_that_fall_short_are_listed():
    lines = short_lines(fallen_short().verdicts())

    assert lines[0] == "Falling short:"
    assert lines[1].endswith("every point, threads 1: short at 1 points")
    assert lines[2].split() == ["0.90", "lstm", "10,16,64,64"]


def test_nothing_is_listed_where_nothing_falls_short():
    assert short_lines([judge(LEAST, points("speed", [2.0]), 1)]) == []


def test_everything_is_printed(monkeypatch, capsys):
    monkeypatch.setattr("simdrnn.bench.table.find_spec", lambda module: None)

    print_acceptance(fallen_short())

    printed = capsys.readouterr().out
    assert "of peak" in printed
    assert "speed to reach" in printed
    assert "a note" in printed
    assert "Falling short:" in printed


def test_json_holds_targets_and_their_points():
    made = fallen_short()

    data = json.loads(
        json.dumps(as_json(made.reports, {}, made.verdicts(), made.points(), made.notes))
    )

    first, last = data["targets"][0], data["targets"][-1]
    assert (first["target"], first["threads"], first["reached"]) == ("inference", 1, False)
    assert first["points"]["lstm 10,16,64,64"]["median"] == pytest.approx(0.9)
    assert (last["threads"], last["reached"]) == (None, True)
    assert data["notes"] == ["a note"]


def test_the_plot_of_the_grid_is_a_png_per_number_of_threads(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    results = [a_result(case, pytorch=0.02, onnxruntime=0.03, jax=0.04) for case in ACCEPTANCE]
    for result in results:
        result.bandwidth = [500.0, 500.0] if result.case.B == 1 else []
    peers = tuple(name for name in curves.COLORS if name not in ("ours", "reference"))

    plot_reports([Report(n, 2, peers, results) for n in (1, 2)], tmp_path / "speed.png")

    for name in ("speed.png", "speed-2-threads.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


# the command line


@every(
    "words, message",
    [
        (["--quick"], "--acceptance and --quick exclude each other"),
        (["--shape", "1,1,1,1"], "--acceptance and --shape exclude each other"),
        (["--dtype", "float64"], "--dtype: expected float32 with --acceptance, got 'float64'"),
        (["--rows", "grid,raster"], "--rows: expected names from grid, single, latency"),
        (["--rows", ""], "--rows: expected names from grid"),
        (["--rounds", "3"], "--rounds: expected an even number"),
        (["--threads", "0"], "--threads: expected a positive integer, got 0"),
        (["--peers", "caffe"], "--peers: expected names from"),
        (["--cell", "lru"], "--cell: expected one of lstm, gru, rnn, got 'lru'"),
        (["--json", "/"], "--json: / is a folder, expected a file"),
    ],
    ids=" ".join,
)
def test_bad_option_is_one_sentence_and_exit_2(words, message, capsys):
    code = cli.run(arguments("--acceptance", *words))

    assert code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_a_plot_needs_rows_to_draw(capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")

    code = cli.run(arguments("--acceptance", "--rows", "memory", "--plot", "speed.png"))

    assert code == 2
    assert "--plot: nothing to draw" in capsys.readouterr().err


def test_rows_need_acceptance(capsys):
    assert cli.run(arguments("--quick", "--rows", "grid")) == 2
    assert "--rows goes with --acceptance" in capsys.readouterr().err


@pytest.mark.parametrize(("cores", "threads"), [(1, (1,)), (2, (1, 2)), (64, (1, 2))])
def test_one_thread_and_two_are_measured(cores, threads, monkeypatch):
    monkeypatch.setattr(options, "usable_cores", lambda: cores)

    made = options.plan_acceptance(arguments("--acceptance"))

    assert made.threads == threads
    assert (made.rounds, made.rows, made.peers) == (4, ROWS, ("pytorch", "onnxruntime", "jax"))
    assert made.cases == list(ACCEPTANCE)


def test_one_number_of_threads_is_measured_where_asked_for():
    made = options.plan_acceptance(arguments("--acceptance", "--threads", "3", "--cell", "gru"))

    assert made.threads == (3,)
    assert {case.cell for case in made.cases} == {"gru"}


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [(KeyboardInterrupt, 130, "Stopped by Ctrl-C"), (ValueError, 1, "ragged stopped: ValueError")],
)
def test_what_is_measured_is_printed_whatever_happens(error, code, text, monkeypatch, capsys):
    def stopped(settings, say):
        yield from points("ragged", [1.5])
        raise error

    monkeypatch.setitem(acceptance._SPECIAL, "ragged", acceptance._Row(stopped))

    got = cli.run(arguments("--acceptance", "--rows", "ragged", "--threads", "1"))

    printed = capsys.readouterr().out
    assert got == code
    assert text in printed
    assert "short by 0.35" in printed


@pytest.mark.usefixtures("built")
def test_the_command_runs_a_row_and_writes_json(tmp_path, monkeypatch, capsys):
    tiny = acceptance._Row(lambda settings, say: measure_ragged(ONE, say, [SMALL]))
    monkeypatch.setitem(acceptance._SPECIAL, "ragged", tiny)
    path = tmp_path / "run.json"

    words = ("--rows", "ragged", "--threads", "1", "--rounds", "2", "--json", str(path))
    code = cli.run(arguments("--acceptance", *words))

    assert code == 0
    assert "ragged lengths" in capsys.readouterr().out
    data = json.loads(path.read_text())
    assert [entry["target"] for entry in data["targets"]] == ["ragged", "equal"]
