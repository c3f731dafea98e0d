"""A process per implementation: so that thread pools and allocators do not disturb each other.

The child reads pickled requests from its standard input and answers on its standard output.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO

from simdrnn.bench.peak import measure_peak
from simdrnn.bench.peers import IMPLEMENTATIONS, Implementation
from simdrnn.bench.problem import Answers, Problem

__all__ = ["ENVIRONMENT", "Worker", "WorkerError", "thread_environment"]

# Every variable the compared libraries take a number of threads from.
ENVIRONMENT = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "SIMDRNN_NUM_THREADS",
    "PJRT_NPROC",  # JAX: the size of its thread pools, else the CPUs the process may run on
)

# With one thread JAX's products must not be cut for a pool either.
_XLA_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"

# What one round of one implementation should last: long against the timer and a scheduler tick,
# short enough that the machine is the same for everybody within a round.
ROUND_SECONDS = 0.07

# Thread pools (OpenMP, ONNX Runtime) spin a while after a call, on the core the next one needs.
_NAP_SECONDS = 0.005
_SPIN_LIMIT_SECONDS = 0.5


class WorkerError(RuntimeError):
    """An implementation could not do what was asked; the message is one line."""


def thread_environment(threads: int) -> dict[str, str]:
    """Environment of a worker: this process's, the number of threads, and the same packages."""
    environment = dict(os.environ)
    environment.update(dict.fromkeys(ENVIRONMENT, str(threads)))
    if threads == 1:
        environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {_XLA_ONE_THREAD}".strip()
    environment["JAX_PLATFORMS"] = "cpu"  # also where it could use an accelerator
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    environment["PYTHONSAFEPATH"] = "1"  # a stray torch.py in the current folder is not the peer
    return environment


class Worker:
    """Parent's side of one process.

    Parameters
    ----------
    name : one of `IMPLEMENTATIONS`, or anything else for a worker that only measures the peak.
    threads : number of threads the process is told to use.
    """

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simdrnn.bench.worker", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=thread_environment(threads),
            start_new_session=True,  # Ctrl-C is for the parent to act on, not for its workers
        )

    def build(self, problem: Problem) -> str:
        """Make a problem ready; returns the version in use."""
        return str(self._ask("build", problem))

    def answers(self) -> Answers:
        """Output and gradients of the problem."""
        answers: Answers = self._ask("answers")
        return answers

    def calibrate(self, what: str) -> tuple[int, float]:
        """Warm up ``"forward"`` or ``"train"``; returns calls per round and seconds per call."""
        calls, seconds = self._ask("calibrate", what)
        return calls, seconds

    def measure(self, what: str, calls: int) -> tuple[float, bool]:
        """Seconds per call, and whether the threads went to sleep soon afterwards."""
        seconds, quiet = self._ask("measure", what, calls)
        return seconds, quiet

    def peak(self, dtype: str, threads: int) -> float:
        """FMA peak in GFLOP/s, now."""
        return float(self._ask("peak", dtype, threads))

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.terminate()
        self._process.communicate()

    def _ask(self, method: str, *arguments: object) -> Any:
        """Send one request and wait for its answer."""
        requests, replies = self._process.stdin, self._process.stdout
        assert requests is not None  # both are pipes
        assert replies is not None
        try:
            pickle.dump((method, arguments), requests)
            requests.flush()
            succeeded, value = pickle.load(replies)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            code = self._process.wait()
            raise WorkerError(f"{self.name}: its process ended with exit code {code}") from None
        if not succeeded:
            raise WorkerError(f"{self.name}: {value}")
        return value


class _Served:
    """Child's side: the implementation, and the requests it understands."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._implementation: Implementation | None = None

    def build(self, problem: Problem) -> str:
        self._implementation = None  # the previous case's memory goes first
        gc.unfreeze()
        gc.collect()
        self._implementation = IMPLEMENTATIONS[self._name](problem)
        gc.freeze()  # what stays for the whole case need not be walked around each timing
        return self._implementation.version

    def answers(self) -> Answers:
        assert self._implementation is not None
        return self._implementation.answers()

    def calibrate(self, what: str) -> tuple[int, float]:
        call = self._call(what)
        calls, seconds, last = 1, float("inf"), 0.0
        # Doubled, not one by one: around each timing garbage is collected, which takes as long as
        # many calls of a small shape.
        while last < ROUND_SECONDS / 2:
            calls = calls if last == 0.0 else 2 * calls
            last = calls * seconds_per_call(call, calls)
            seconds = min(seconds, last / calls)
        settle()
        return max(1, round(ROUND_SECONDS / seconds)), seconds

    def measure(self, what: str, calls: int) -> tuple[float, bool]:
        call = self._call(what)
        # Wakes threads, and brings back what other processes pushed out: weights from the caches,
        # and freed memory, which some hosts of virtual machines take away within seconds.
        call()
        return seconds_per_call(call, calls), settle()

    def peak(self, dtype: str, threads: int) -> float:
        peak = measure_peak(dtype, threads)
        settle()
        return peak

    def _call(self, what: str) -> Callable[[], Any]:
        assert self._implementation is not None
        call: Callable[[], Any] = getattr(self._implementation, what)
        return call


def seconds_per_call(call: Callable[[], Any], calls: int) -> float:
    """Time `calls` calls in a row, garbage collection off as in `timeit`."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - start) / calls
    finally:
        gc.enable()


def settle() -> bool:
    """Wait until no thread of this process burns CPU, or half a second; returns whether it is so.

    The pause that thread pools need before another process may be timed. Not a fixed length:
    processor time counts every thread, so it can be watched.
    """
    end = time.perf_counter() + _SPIN_LIMIT_SECONDS
    while time.perf_counter() < end:
        before = time.process_time()
        time.sleep(_NAP_SECONDS)
        if time.process_time() - before < 0.1 * _NAP_SECONDS:
            return True
    return False


def serve(name: str, requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until there are no more; a failure is an answer, not an end."""
    served = _Served(name)
    while True:
        try:
            method, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            reply = (True, getattr(served, method)(*arguments))
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            reply = (False, reason)
        pickle.dump(reply, replies)
        replies.flush()


def main() -> None:
    """Entry of the child process."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever a library prints must not end up between the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.argv[1], sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
