"""Every row beside the grid, measured with as little as it takes: form, not speed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import simdrnn
from bench.acceptance import reading
from bench.acceptance.alternate import Rounds, Settings, alternate
from bench.acceptance.latency import measure_latency
from bench.acceptance.memory import growth, measure_memory
from bench.acceptance.ragged import measure_masks, measure_ragged
from bench.acceptance.step_options import measure_options
from bench.acceptance.thread_count import measure_choice, measure_stack
from bench.acceptance.variants import measure_denormals, measure_variants
from helpers_loops import every
from simdrnn.bench.cases import CELLS, Case
from simdrnn.bench.stats import Band
from simdrnn.bench.worker import WorkerError

SMALL = (3, 2, 4, 5)
ONE = Settings(threads=1, rounds=2, seconds=1e-4)
TWO = Settings(threads=2, rounds=2, seconds=1e-4)


def quiet(text):
    """Swallow progress."""


def test_rounds_alternate_and_each_call_has_its_own_times():
    diary = []
    calls = {name: lambda name=name: diary.append(name) for name in "ab"}

    rounds = alternate(calls, Settings(threads=1, rounds=2, seconds=0.0))

    assert "".join(diary) == "aabb" + "aabb" + "bbaa"  # warm and count; forwards; backwards
    assert [len(times) for times in rounds.seconds.values()] == [2, 2]


def test_ratios_are_taken_within_rounds():
    rounds = Rounds(["a", "b"])
    rounds.seconds = {"a": [2.0, 8.0], "b": [1.0, 4.0]}

    assert rounds.ratio("a", "b", scale=0.5) == Band(1.0, 1.0, 1.0)


@every(
    "measure, settings, given, counts",
    [
        # Two cells, two passes.
        (measure_ragged, ONE, [SMALL], {"ragged": 4, "equal": 4}),
        (measure_masks, ONE, [SMALL], {"mask": 4, "reset": 4}),
        # Dropout does nothing in inference.
        (measure_variants, ONE, [SMALL], {"float64": 2, "variants": 2 * 3 + 1}),
        (measure_denormals, ONE, SMALL, {"denormals": len(CELLS) * 2 * 2}),
        (measure_latency, ONE, [8], {"layer_call": len(CELLS), "cell_call": len(CELLS)}),
        (measure_stack, TWO, SMALL, {"stack": 4}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_rows_give_a_positive_time_for_each_of_their_points(measure, settings, given, counts):
    found = list(measure(settings, quiet, given))

    targets = [point.target for point in found]
    assert {target: targets.count(target) for target in targets} == counts
    assert all(point.band.median > 0 for point in found)
    assert {point.threads for point in found} <= {0, settings.threads}


def test_options_are_measured_on_the_cells_that_take_them():
    found = list(measure_options(ONE, quiet, SMALL))

    names = [point.label.rsplit(" ", 2)[0] for point in found if point.target == "options"]
    assert names.count("zoneout") == len(CELLS)
    assert names.count("peephole") == 1
    assert sum(point.target == "layer_norm" for point in found) == len(CELLS) * 2


def test_the_choice_of_threads_is_measured_and_the_limit_put_back():
    before = simdrnn.get_num_threads()

    found = list(measure_choice(TWO, quiet, [Case("rnn", *SMALL)]))

    assert [point.label for point in found] == ["rnn 3,2,4,5 forward", "rnn 3,2,4,5 training"]
    assert simdrnn.get_num_threads() == before


def test_memory_is_measured_in_a_process_of_its_own():
    found = list(measure_memory(ONE, quiet, {"training": 20}, 30))

    assert [point.label for point in found] == ["20 calls, training"]
    with pytest.raises(WorkerError, match="the process that calls ended"):
        list(measure_memory(ONE, quiet, {"forward": -1}, 0))


def test_memory_grows_by_what_is_kept(monkeypatch):
    resident = iter([100.0, 107.0])
    monkeypatch.setattr("bench.acceptance.memory._resident", lambda: next(resident))

    assert growth("forward", 10, 3) == 7.0


def test_bandwidth_is_measured_of_any_size_on_any_number_of_threads(tmp_path, monkeypatch):
    source = Path(reading.__file__).parents[1] / "native"
    for words in (
        ["-S", source, "-B", tmp_path, f"-DSIMDRNN_BENCH_PLACE={tmp_path}"], ["--build", tmp_path],
    ):  # fmt: skip
        subprocess.run(["cmake", *map(str, words)], check=True, capture_output=True)
    monkeypatch.setattr(reading, "_LIBRARY", tmp_path / "reading.so")

    rates = {
        (size, threads): reading.measure_bandwidth(size, threads, seconds=1e-4)
        for size in (1, 100, 4096, 100_000)
        for threads in (1, 2, 7)
    }

    assert min(rates.values()) > 0
    for size, threads, name in ((0, 1, "size"), (-4, 1, "size"), (4, 0, "threads")):
        with pytest.raises(ValueError, match=f"{name}: expected a positive integer"):
            reading.measure_bandwidth(size, threads)


def test_what_is_not_built_says_how(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_LIBRARY", tmp_path / "reading.so")

    with pytest.raises(reading.ReadingError, match=r"not built \(cmake -S bench/native"):
        reading.measure_bandwidth(100, 1)
