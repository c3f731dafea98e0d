"""How the benchmark measures: cases, comparison of answers, peers, workers and rounds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from helpers_loops import every
from simdrnn.bench.cases import CELLS, GRID, QUICK, Case
from simdrnn.bench.jax_network import from_kernels, to_kernels
from simdrnn.bench.onnx_model import onnx_weights
from simdrnn.bench.peers import PEERS, unavailable
from simdrnn.bench.problem import Answers, make_problem, mismatch
from simdrnn.bench.run import SLOW_ROUNDS, SLOW_SECONDS, Report, measure_case
from simdrnn.bench.stats import Band
from simdrnn.bench.worker import ENVIRONMENT, Worker, WorkerError, thread_environment

SMALL = Case("lstm", 5, 3, 4, 6)


def quiet(text):
    """Swallow progress."""


def random_weights(case):
    """Parameters of a case under PyTorch's names, without needing any layer."""
    rng = np.random.default_rng(1)
    weights = {}
    for layer in range(case.layers):
        for suffix in ("", "_reverse")[: case.directions]:
            rows = CELLS[case.cell] * case.H
            shapes = {
                "weight_ih": (rows, case.input_size(layer)),
                "weight_hh": (rows, case.H),
                "bias_ih": (rows,),
                "bias_hh": (rows,),
            }
            for kind, shape in shapes.items():
                value = rng.uniform(-1, 1, shape) / np.sqrt(case.H)
                weights[f"{kind}_l{layer}{suffix}"] = value.astype(case.dtype)
    return weights


class FakeEntrant:
    """An implementation that answers from memory and keeps a diary of its calls."""

    def __init__(self, name, answers, diary, seconds):
        self.name = name
        self.stored = answers
        self.diary = diary
        self.seconds = seconds

    def answers(self):
        return self.stored

    def calibrate(self, what):
        return 1, self.seconds

    def measure(self, what, calls):
        self.diary.append((self.name, what))
        return self.seconds, True


def some_answers(scale=1.0, *, gradients=True):
    rng = np.random.default_rng(2)
    output = rng.standard_normal((SMALL.T, SMALL.B, SMALL.H)).astype("float32")
    d_x = rng.standard_normal((SMALL.T, SMALL.B, SMALL.I)).astype("float32") * np.float32(scale)
    return Answers(output, {"x": d_x} if gradients else {})


def measured(answers_of_peer, *, rounds=2, peer_seconds=0.02):
    """Measure `SMALL` with fakes; returns the report and the diary."""
    diary = []
    entrants = {
        "ours": FakeEntrant("ours", some_answers(), diary, 0.01),
        "pytorch": FakeEntrant("pytorch", answers_of_peer, diary, peer_seconds),
    }
    report = Report(threads=1, rounds=rounds, peers=("pytorch",))

    def peak(result):
        diary.append(("peak", None))
        result.peak.append(100.0)

    measure_case(SMALL, entrants, report, quiet, [peak])
    return report, diary


# cases


def test_flops_count_both_products_of_every_layer_and_direction():
    gates = {"lstm": 4, "gru": 3, "rnn": 1}
    stacked = Case("gru", 10, 3, 5, 7, layers=2, bidirectional=True)

    for cell, count in gates.items():
        case = Case(cell, 10, 3, 5, 7)
        assert case.forward_flops() == 2 * count * 7 * (5 + 7) * 10 * 3
        assert case.training_flops() == 3 * case.forward_flops()
    assert stacked.forward_flops() == 2 * 3 * 7 * ((5 + 7) + (14 + 7)) * 2 * 10 * 3


def test_label_names_everything_unusual():
    case = Case("gru", 10, 3, 5, 7, "float64", layers=2, bidirectional=True)

    assert case.label == "gru 10,3,5,7 x2 bi float64"


@every(
    "changes, message",
    [
        ({"cell": "lru"}, "cell: expected one of lstm, gru, rnn, got 'lru'"),
        ({"dtype": "float16"}, "dtype: expected one of float32, float64, got 'float16'"),
        ({"layers": -1}, "layers: expected a positive integer, got -1"),
    ],
)
def test_case_rejects_bad_values(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)


def test_lists_cover_every_cell_once():
    for listed in (QUICK, GRID):
        assert {case.cell for case in listed} == set(CELLS)
        assert len(set(listed)) == len(listed)


# comparison of answers


def test_answers_of_one_network_match():
    assert mismatch(SMALL, some_answers(), some_answers()) is None
    assert mismatch(SMALL, some_answers(), some_answers(gradients=False)) is None


@every("number, start", [(0.01, "output: differs by"), (np.nan, "output: differs by nan")])
def test_planted_output_error_is_found(number, start):
    wrong = some_answers()
    wrong.output[2, 1, 3] += np.float32(number)

    assert mismatch(SMALL, some_answers(), wrong).startswith(start)


def test_planted_gradient_error_is_found():
    found = mismatch(SMALL, some_answers(), some_answers(scale=1.01))

    assert found.startswith("gradient of x: differs by")


def test_wrong_shape_is_a_mismatch():
    theirs = Answers(some_answers().output[:, :, :-1])

    found = mismatch(SMALL, some_answers(), theirs)

    assert found == "output: shape (5, 3, 6) here, (5, 3, 5) there"


def test_problem_is_the_same_every_time_in_the_dtype_of_the_case():
    case = replace(SMALL, dtype="float64")

    first, second = (make_problem(case, random_weights(case), 1) for _ in range(2))

    assert np.array_equal(first.x, second.x)
    assert np.array_equal(first.d_output, second.d_output)
    assert first.x.dtype == first.d_output.dtype == np.float64


# peers


@every("cell, order", [("lstm", "iofg"), ("gru", "zrn"), ("rnn", "h")])
def test_onnx_weights_reorder_gates(cell, order):
    case = Case(cell, 5, 3, 4, 2)
    ours = {"lstm": "ifgo", "gru": "rzn", "rnn": "h"}[cell]
    rows = np.repeat([ord(gate) for gate in ours], case.H).astype("float32")
    weights = {
        "weight_ih_l0": np.repeat(rows[:, None], case.I, axis=1),
        "weight_hh_l0": np.repeat(rows[:, None], case.H, axis=1),
        "bias_ih_l0": rows,
        "bias_hh_l0": rows,
    }

    W, R, B = onnx_weights(case, weights, 0)

    want = np.repeat([ord(gate) for gate in order], case.H)
    assert np.array_equal(W[0, :, 0], want)
    assert np.array_equal(R[0, :, 0], want)
    assert np.array_equal(B[0], np.concatenate([want, want]))


over_peer_cases = every(
    "case",
    [SMALL, Case("rnn", 5, 3, 4, 6), Case("gru", 5, 3, 4, 6, layers=2, bidirectional=True)],
    ids=lambda case: case.label,
)


@pytest.mark.peers
@over_peer_cases
def test_peers_agree_on_the_same_weights(case):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    from simdrnn.bench.peers import OnnxRuntime, PyTorch

    problem = make_problem(case, random_weights(case), 1)

    assert mismatch(case, PyTorch(problem).answers(), OnnxRuntime(problem).answers()) is None


@pytest.mark.peers
@every("dtype", ["float32", "float64"])
@over_peer_cases
def test_jax_agrees_on_the_same_weights(case, dtype):
    pytest.importorskip("simdrnn._core", reason="the extension is not built")
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    from simdrnn.bench.peers import Jax, Ours

    case = replace(case, dtype=dtype)
    problem = make_problem(case, random_weights(case), 1)
    wide = jax.config.jax_enable_x64  # which a peer sets for its own process

    try:
        theirs = Jax(problem).answers()
    finally:
        jax.config.update("jax_enable_x64", wide)

    assert mismatch(case, Ours(problem).answers(), theirs) is None
    assert set(theirs.gradients) == {"x", *problem.weights}
    assert theirs.output.dtype == dtype


def test_kernels_become_weights_again():
    weights = random_weights(SMALL)

    again = from_kernels(to_kernels(weights))

    assert all(np.array_equal(again[name], value) for name, value in weights.items())


def test_missing_peers_say_what_to_install(monkeypatch):
    monkeypatch.setattr("simdrnn.bench.peers.find_spec", lambda module: None)

    reasons = {name: unavailable(name) for name in PEERS}

    assert reasons.pop("reference") is None
    assert all("pip install" in reason for reason in reasons.values())


# workers


def test_worker_environment_sets_every_thread_variable(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--some")

    one, two = thread_environment(1), thread_environment(2)

    assert {two[name] for name in ENVIRONMENT} == {"2"}
    assert two["JAX_PLATFORMS"] == "cpu"
    assert two["XLA_FLAGS"] == "--some"
    assert one["XLA_FLAGS"] == "--some --xla_cpu_multi_thread_eigen=false"


def test_worker_survives_an_error_and_its_death_is_one():
    worker = Worker("nonsense", 1)
    try:
        for _ in range(2):
            with pytest.raises(WorkerError, match=r"^nonsense: 'nonsense'$"):
                worker.build(make_problem(SMALL, random_weights(SMALL), 1))
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(WorkerError, match="its process ended with exit code -9"):
            worker.answers()
    finally:
        worker.close()


# rounds


def test_mismatch_stops_the_case_before_timing():
    report, diary = measured(some_answers(scale=1.5))

    assert diary == []
    assert report.disagrees()
    assert report.results[0].mismatch.startswith("ours and pytorch disagree, nothing was timed")


def test_failure_of_ours_stops_the_case():
    class Failing(FakeEntrant):
        def answers(self):
            raise WorkerError("ours: out of luck")

    report = Report(threads=1, rounds=2, peers=())

    measure_case(SMALL, {"ours": Failing("ours", None, [], 0.01)}, report, quiet, [])

    assert report.results[0].mismatch == "nothing was timed: ours: out of luck"


def test_rounds_alternate_their_order_and_each_measures_the_ceilings():
    report, diary = measured(some_answers(), rounds=2)

    assert len(diary) == 10
    assert diary[5:] == diary[:5][::-1]
    assert report.results[0].peak == [100.0] * 2


def test_peer_without_gradients_is_timed_forward_only():
    report, _ = measured(some_answers(gradients=False))

    assert list(report.results[0].seconds["pytorch"]) == ["forward"]


def test_slow_implementation_takes_part_in_the_first_rounds_only():
    report, _ = measured(some_answers(), rounds=6, peer_seconds=2 * SLOW_SECONDS)

    seconds = report.results[0].seconds
    assert len(seconds["pytorch"]["forward"]) == SLOW_ROUNDS
    assert len(seconds["ours"]["forward"]) == 6


def test_interrupted_case_keeps_its_rounds():
    class Interrupted(FakeEntrant):
        def measure(self, what, calls):
            if len(self.diary) == 3:
                raise KeyboardInterrupt
            return super().measure(what, calls)

    entrants = {"ours": Interrupted("ours", some_answers(), [], 0.01)}
    report = Report(threads=1, rounds=10, peers=())

    with pytest.raises(KeyboardInterrupt):
        measure_case(SMALL, entrants, report, quiet, [])

    assert report.results[0].time("ours", "forward") == Band(0.01, 0.01, 0.01)
