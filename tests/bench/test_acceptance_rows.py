"""Every row of the table of targets, measured with as little as it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from helpers_bench import ONE, SMALL, exactly, quiet
from helpers_loops import every
from simdrnn.bench.alternate import Rounds, alternate
from simdrnn.bench.cases import CELLS, Case
from simdrnn.bench.choice import measure_choice, measure_stack
from simdrnn.bench.latency import measure_latency
from simdrnn.bench.memory import growth, measure_memory
from simdrnn.bench.ragged import measure_masks, measure_ragged
from simdrnn.bench.step_options import measure_options
from simdrnn.bench.variants import measure_denormals, measure_variants
from simdrnn.bench.worker import WorkerError

TWO = replace(ONE, threads=2)


def test_rounds_alternate_and_each_call_has_its_own_times():
    diary = []
    calls = {name: lambda name=name: diary.append(name) for name in "ab"}

    rounds = alternate(calls, replace(ONE, seconds=0.0))

    assert "".join(diary) == "aabb" + "aabb" + "bbaa"  # warm and count; forwards; backwards
    assert [len(times) for times in rounds.seconds.values()] == [2, 2]


def test_ratios_are_taken_within_rounds():
    rounds = Rounds(["a", "b"])
    rounds.seconds = {"a": [2.0, 8.0], "b": [1.0, 4.0]}

    assert rounds.ratio("a", "b", scale=0.5) == exactly(1.0)


def measured(measure, settings, *given):
    """Run a row; return the labels by target, all points having positive times."""
    found = {}
    for point in measure(settings, quiet, *given):
        assert point.band.median > 0
        assert point.threads in (0, settings.threads)
        found.setdefault(point.target, []).append(point.label)
    return found


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("measure", "targets"),
    [(measure_ragged, {"ragged", "equal"}), (measure_masks, {"mask", "reset"})],
)
def test_masks_are_measured(measure, targets):
    found = measured(measure, ONE, [SMALL])

    assert set(found) == targets
    assert all(len(labels) == 4 for labels in found.values())  # two cells, two passes


@pytest.mark.usefixtures("built")
def test_variants_are_measured():
    found = measured(measure_variants, ONE, [SMALL])

    assert len(found["float64"]) == 2
    assert len(found["variants"]) == 2 * 3 + 1  # dropout does nothing in inference


@pytest.mark.usefixtures("built")
def test_options_are_measured():
    found = measured(measure_options, ONE, SMALL)

    assert set(found) == {"options", "layer_norm"}
    assert len(found["layer_norm"]) == len(CELLS) * 2
    names = [label.rsplit(" ", 2)[0] for label in found["options"]]
    assert names.count("zoneout") == len(CELLS)
    assert "peephole" in names
    assert "weight_dropout" in names


def test_denormals_are_measured():
    found = measured(measure_denormals, ONE, SMALL)

    assert len(found["denormals"]) == len(CELLS) * 2 * 2


@pytest.mark.usefixtures("built")
def test_one_call_is_measured():
    found = measured(measure_latency, ONE, [8])

    assert found == {key: [f"{c} H=8" for c in CELLS] for key in ("layer_call", "cell_call")}


@pytest.mark.usefixtures("built")
def test_the_choice_of_threads_is_measured_and_the_limit_put_back():
    import simdrnn

    before = simdrnn.get_num_threads()

    found = measured(measure_choice, TWO, [Case("rnn", *SMALL)])

    assert found == {"choice": ["rnn 3,2,4,5 forward", "rnn 3,2,4,5 training"]}
    assert simdrnn.get_num_threads() == before


@pytest.mark.usefixtures("built")
def test_stacks_are_measured():
    found = measured(measure_stack, TWO, SMALL)

    assert len(found["stack"]) == 4


@pytest.mark.usefixtures("built")
def test_memory_is_measured_in_a_process_of_its_own():
    found = list(measure_memory(ONE, quiet, {"forward": 20, "training": 20}, 30))

    assert [point.label for point in found] == ["20 calls, forward", "20 calls, training"]


@pytest.mark.usefixtures("built")
def test_memory_grows_by_what_is_kept(monkeypatch):
    resident = iter([100.0, 107.0])
    monkeypatch.setattr("simdrnn.bench.memory._resident", lambda: next(resident))

    assert growth("forward", 10, 3) == 7.0


def test_a_failed_process_is_an_error():
    with pytest.raises(WorkerError, match="the process that calls ended"):
        list(measure_memory(ONE, quiet, {"forward": -1}, 0))


@every("size", [1, 100, 4096, 100_000])
@every("threads")
@every("isa")
def test_bandwidth_is_measured(isa, size, threads):
    from simdrnn.bench.peak import measure_bandwidth

    assert measure_bandwidth(size, threads, seconds=1e-4) > 0


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("size", "threads", "name"), [(0, 1, "bytes"), (-4, 1, "bytes"), (4, 0, "threads")]
)
def test_bandwidth_of_nothing_is_refused(size, threads, name):
    from simdrnn.bench.peak import measure_bandwidth

    with pytest.raises(ValueError, match=f"{name}: expected a positive integer"):
        measure_bandwidth(size, threads)
