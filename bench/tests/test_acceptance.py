"""The table of targets: verdicts on made-up numbers, the run, what is shown, the command."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import pytest

from bench.acceptance import __main__ as command
from bench.acceptance import run
from bench.acceptance.allowed import GATE_SLOTS
from bench.acceptance.curves import plot_reports
from bench.acceptance.grid import grid_points
from bench.acceptance.reading import STEP_SECONDS, Bandwidths
from bench.acceptance.record import acceptance_as_json
from bench.acceptance.run import ROWS, Acceptance, run_acceptance
from bench.acceptance.targets import TARGETS, Point, Target, judge, show
from bench.acceptance.verdicts import print_acceptance, short_lines, verdict_table
from helpers_loops import every
from simdrnn.bench.cases import CELLS, GRID, Case
from simdrnn.bench.run import Report
from simdrnn.bench.stats import PASSES, Band, CaseResult
from simdrnn.bench.worker import WorkerError

LEAST = Target("speed", "grid", "a ratio", 1.5, least=True)
CEILINGS = ("peak", "allowed")
MOST = Target("time", "ragged", "a time", 2.0, unit="us")


def quiet(text):
    """Swallow progress."""


def points(key, values, threads=1):
    return [Point(key, f"at {value}", threads, Band(value, value, value)) for value in values]


def a_result(case, ours=0.01, **peers):
    """Return two equal rounds of forward, and training that takes three times as long."""
    result = CaseResult(case, peak=[100.0, 100.0])
    for name, seconds in {"ours": ours, **peers}.items():
        result.seconds[name] = {"forward": [seconds] * 2, "training": [3 * seconds] * 2}
    return result


def a_grid(*results, threads=1, peers=("pytorch",), gigabytes=None):
    """Return a report and bandwidths: those given, in both rounds of every single row."""
    report = Report(threads, 2, peers, list(results))
    bandwidths = Bandwidths(report)
    for result in results:
        if result.case.B == 1 and gigabytes is not None:
            bandwidths.add(result.case, gigabytes, gigabytes)
    return report, bandwidths


def asked(rows=ROWS, *, threads=(1,), peers=("pytorch",), cases=GRID):
    return Acceptance(threads, 2, tuple(rows), peers, cases)


# verdicts


def test_the_bound_itself_is_enough():
    for target, value, reached in (
        (LEAST, 1.5, True), (LEAST, 1.4999, False), (MOST, 2.0, True), (MOST, 2.0001, False),
    ):  # fmt: skip
        assert judge(target, points(target.key, [value]), 1).reached is reached


@every(
    "target, values, text, short",
    [
        (LEAST, [9.0, 1.2, 1.4, 1.5], "short by 0.30", ["at 1.2", "at 1.4"]),
        (MOST, [1.0, 3.0, 2.5], "short by 1.00 us", ["at 3.0", "at 2.5"]),
        (replace(LEAST, unit="%", bound=0.92), [0.9], "short by 2.0 points", ["at 0.9"]),
        (MOST, [-1.0, 0.0], "reached", []),  # of which there is no geometric mean
    ],
    ids=["least", "most", "percent", "negative"],
)
def test_every_point_has_to_reach_the_bound(target, values, text, short):
    verdict = judge(target, points(target.key, values), 1)

    assert verdict.text == text
    assert [point.label for point in verdict.short] == short
    assert not short or verdict.worst.label == short[0]


def test_a_mean_is_judged_on_the_points_of_another_target():
    target = replace(LEAST, key="speed_mean", mean=True, points="speed")

    verdict = judge(target, points("speed", [1.0, 4.0]), 1)

    assert verdict.mean == pytest.approx(2.0)
    assert verdict.reached
    assert verdict.worst.label == "at 1.0"
    assert verdict.short == ()


def test_only_points_of_the_same_threads_count():
    both = points("speed", [1.0], 1) + points("speed", [2.0], 2)

    assert judge(LEAST, both, 2).text == "reached"
    none = judge(LEAST, both, 3)
    assert (none.reached, none.text, none.worst) == (None, "not measured", None)


def test_values_are_shown_in_their_units():
    shown = [show(0.9234, "%"), show(1.234, "x"), show(2.5, "us"), show(5.0, "MB")]

    assert shown == ["92.3 %", "1.23", "2.50 us", "5.00 MB"]


def test_every_target_has_points_and_a_row():
    keys = [target.key for target in TARGETS]

    assert len(set(keys)) == len(keys)
    assert {target.row for target in TARGETS} == set(ROWS)
    assert {target.source for target in TARGETS} <= set(keys)


# points of the grid


def test_the_best_peer_counts_and_the_reference_is_none():
    result = a_result(Case("lstm", 3, 2, 4, 5), reference=0.001, pytorch=0.03, jax=0.02)

    found = grid_points(*a_grid(result, peers=("reference", "pytorch", "jax")))

    values = {point.target: point.band.median for point in found}
    assert values == {"inference": 2.0, "training": 2.0, "pytorch": 3.0}


def test_fractions_of_the_peak_are_for_batches():
    expected = {
        (10, 16, 64, 64): {f"{which}_{of}_64" for which, of in product(PASSES, CEILINGS)},
        (10, 16, 128, 128): {f"{which}_{of}" for which, of in product(PASSES, CEILINGS)},
        (10, 8, 128, 128): set(),
        (10, 16, 64, 96): set(),
        (10, 16, 32, 32): set(),
    }

    for shape, targets in expected.items():
        found = grid_points(*a_grid(a_result(Case("gru", *shape)), peers=()))
        assert {point.target for point in found} == targets, shape


def test_what_is_allowed_has_the_gates_beside_the_products():
    case = Case("lstm", 10, 16, 128, 128)  # 1024 FMAs of products and 44 slots of gates a unit
    result = a_result(case, ours=case.forward_flops() / 80e9)  # 80 of 100 GFLOP/s

    found = {point.target: point.band.median for point in grid_points(*a_grid(result, peers=()))}

    assert found["forward_peak"] == pytest.approx(0.8)
    assert found["forward_allowed"] == pytest.approx(0.8 * (1024 + 44) / 1024)
    # a_result's training takes three times as long; its gates have 75 slots for three products
    assert found["training_allowed"] == pytest.approx(0.8 * (3 * 1024 + 75) / (3 * 1024))


def test_every_cell_of_the_grid_has_its_gates_counted():
    assert set(GATE_SLOTS) == set(CELLS)


@every("slower", ["arithmetic", "reading"])
def test_the_model_of_a_single_row(slower):
    case = Case("gru", 10, 1, 16, 32)
    result = a_result(case, ours=1e-3)
    arithmetic = case.forward_flops() / 100e9
    assert case.recurrent_bytes() == 3 * 32 * 32 * 4
    reading = 2 * arithmetic if slower == "reading" else arithmetic / 2
    gigabytes = 10 * case.recurrent_bytes() / reading / 1e9

    [point] = grid_points(*a_grid(result, peers=(), gigabytes=gigabytes))

    model = max(arithmetic, reading) + 10 * STEP_SECONDS
    assert point.target == "single"
    assert point.band.median == pytest.approx(1e-3 / model)
    assert grid_points(*a_grid(result, peers=())) == []  # without a bandwidth there is no model


# the run


def test_rows_run_once_per_number_of_threads(monkeypatch):
    diary = []

    def fake(name):
        def measure(settings, say):
            diary.append((name, settings.threads))
            say("something")
            yield Point("ragged", name, settings.threads, Band(1.0, 1.0, 1.0))

        return measure

    for name, row in run._SPECIAL.items():
        monkeypatch.setitem(run._SPECIAL, name, replace(row, measure=fake(name)))
    monkeypatch.setattr(run, "run_cases", lambda cases, report, say, also: None)
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
        yield Point("ragged", "a", settings.threads, Band(1.0, 1.0, 1.0))
        raise MemoryError("too\nlarge")

    monkeypatch.setitem(run._SPECIAL, "ragged", run._Row(failing))
    fine = run._Row(lambda settings, say: iter(points("mask", [1.0])))
    monkeypatch.setitem(run._SPECIAL, "mask", fine)
    made = asked(("ragged", "mask"))

    run_acceptance(made, quiet)

    assert made.notes == ["threads 1: ragged stopped: too large"]
    assert made.failed
    assert [point.target for point in made.special] == ["ragged", "mask"]


def test_the_grid_that_fails_keeps_its_cases_and_the_rest_runs(monkeypatch):
    def broken(cases, report, say, also):
        report.results.append(a_result(cases[0], pytorch=0.02))
        raise WorkerError("ours: gone")

    monkeypatch.setattr(run, "run_cases", broken)
    made = asked(("grid",), threads=(1, 2))

    run_acceptance(made, quiet)

    assert made.notes == [f"threads {n}: grid stopped: ours: gone" for n in (1, 2)]
    assert len(made.points()) > 0


def test_single_rows_alone_need_no_peers(monkeypatch):
    seen = []
    monkeypatch.setattr(
        run, "run_cases", lambda cases, report, say, also: seen.append((cases, report.peers))
    )

    run_acceptance(asked(("single",)), quiet)

    [(cases, peers)] = seen
    assert {case.B for case in cases} == {1}
    assert peers == ()


def test_special_rows_alone_leave_the_grid_out(monkeypatch):
    made = asked(("memory",))
    fake = run._Row(lambda settings, say: iter(points("memory", [1.0], 0)), once=True)
    monkeypatch.setitem(run._SPECIAL, "memory", fake)

    run_acceptance(made, quiet)

    assert made.grids == []
    assert [verdict.text for verdict in made.verdicts()] == ["reached"]


def test_a_tiny_grid_runs_to_the_end(monkeypatch, capsys):
    monkeypatch.setattr("bench.acceptance.reading.measure_bandwidth", lambda size, threads: 50.0)
    cases = [Case("lstm", 5, 1, 4, 6), Case("gru", 5, 16, 4, 64)]
    made = asked(("grid",), peers=(), cases=cases)

    run_acceptance(made, quiet)
    print_acceptance(made)

    assert made.notes == []
    assert {point.target for point in made.points()} == {
        "single",
        *(f"{which}_{of}_64" for which, of in product(PASSES, CEILINGS)),
    }
    [(_, bandwidths)] = made.grids
    assert [list(bandwidths.of(case)) for case in cases] == [[50.0] * 2, []]
    assert "not measured" in capsys.readouterr().out


# what is shown


def fallen_short():
    made = asked(("grid", "latency"))
    case = Case("lstm", 10, 16, 64, 64)
    made.grids = [a_grid(a_result(case, ours=0.01, pytorch=0.009))]
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
    assert short_lines([judge(LEAST, points("speed", [2.0]), 1)]) == []


def test_everything_is_printed(monkeypatch, capsys):
    monkeypatch.setattr("simdrnn.bench.table.find_spec", lambda module: None)

    print_acceptance(fallen_short())

    printed = capsys.readouterr().out
    assert all(
        text in printed for text in ("of peak", "speed to reach", "a note", "Falling short:")
    )


def test_json_holds_targets_and_their_points():
    made = fallen_short()
    made.grids.append(a_grid(a_result(Case("gru", 10, 1, 16, 32)), threads=2, gigabytes=50.0))

    data = json.loads(json.dumps(acceptance_as_json(made, {})))

    first, last = data["targets"][0], data["targets"][-1]
    assert (first["target"], first["threads"], first["reached"]) == ("inference", 1, False)
    assert first["points"]["lstm 10,16,64,64"]["median"] == pytest.approx(0.9)
    assert (last["threads"], last["reached"]) == (None, True)
    assert data["notes"] == ["a note"]
    batch, single = (run["cases"][0] for run in data["runs"])
    assert (batch["bandwidth_gbytes"], batch["time_over_model"]) == ([], None)
    assert single["bandwidth_gbytes"] == [50.0, 50.0]
    assert single["time_over_model"]["median"] > 0


def test_the_plot_of_the_grid_is_a_png_per_number_of_threads(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    peers = ("pytorch", "onnxruntime", "jax")
    cases = [case for case in GRID if case.cell == "gru"]
    results = [a_result(case, pytorch=0.02, onnxruntime=0.03, jax=0.04) for case in cases]
    grids = [a_grid(*results, threads=n, peers=peers, gigabytes=500.0) for n in (1, 2)]

    plot_reports(grids, tmp_path / "speed.png")

    for name in ("speed.png", "speed-2-threads.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


# the command


@every(
    "words, message",
    [
        (["--rows", "grid,raster"], "--rows: expected names from grid, single, latency"),
        (["--rows", ""], "--rows: expected names from grid"),
        (["--rounds", "3"], "--rounds: expected an even number"),
        (["--threads", "0"], "--threads: expected a positive integer, got 0"),
        (["--cell", "lru"], "--cell: expected one of lstm, gru, rnn, got 'lru'"),
        (["--json", "/"], "--json: / is a folder, expected a file"),
    ],
    ids=" ".join,
)
def test_bad_option_is_one_sentence_and_exit_2(words, message, capsys):
    code = command.main(words)

    assert code == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_a_plot_needs_rows_to_draw(capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")

    assert command.main(["--rows", "memory", "--plot", "speed.png"]) == 2
    assert "--plot: nothing to draw" in capsys.readouterr().err


def test_one_thread_and_two_are_measured_of_the_whole_grid(monkeypatch):
    found = []
    for cores in (1, 2, 64):
        monkeypatch.setattr(command, "usable_cores", lambda cores=cores: cores)
        found.append(command.plan([])[1])

    assert [made.threads for made in found] == [(1,), (1, 2), (1, 2)]
    made = found[-1]
    assert (made.rounds, made.rows, made.peers) == (4, ROWS, ("pytorch", "onnxruntime", "jax"))
    assert made.cases == list(GRID)
    _, made = command.plan(["--threads", "3", "--cell", "gru"])
    assert made.threads == (3,)
    assert {case.cell for case in made.cases} == {"gru"}


@every(
    "error, code, text",
    [(KeyboardInterrupt, 130, "Stopped by Ctrl-C"), (ValueError, 1, "ragged stopped: ValueError")],
)
def test_what_is_measured_is_printed_whatever_happens(error, code, text, monkeypatch, capsys):
    def stopped(settings, say):
        yield from points("ragged", [1.5])
        raise error

    monkeypatch.setitem(run._SPECIAL, "ragged", run._Row(stopped))

    got = command.main(["--rows", "ragged", "--threads", "1"])

    printed = capsys.readouterr().out
    assert got == code
    assert text in printed
    assert "short by 0.35" in printed


def test_the_command_runs_a_row_and_writes_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(
        run._SPECIAL, "ragged", run._Row(lambda settings, say: iter(points("ragged", [1.0])))
    )
    path = tmp_path / "run.json"

    code = command.main(["--rows", "ragged", "--threads", "1", "--json", str(path)])

    assert code == 0
    assert "ragged lengths" in capsys.readouterr().out
    data = json.loads(path.read_text())
    assert [entry["target"] for entry in data["targets"]] == ["ragged", "equal"]
