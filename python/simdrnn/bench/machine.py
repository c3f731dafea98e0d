"""Where and with what a run was made, and the run as JSON."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from simdrnn.bench.run import Report
from simdrnn.bench.stats import PASSES, Band, CaseResult
from simdrnn.bench.worker import ENVIRONMENT

__all__ = ["as_json", "band_as_json", "cpu_model", "machine_facts", "usable_cores"]

# Raised when a reader of the files would have to change.
SCHEMA = 3

# Settings of thread pools and dispatch that a user may have made and that change times.
_PREFIXES = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "SIMDRNN_")


def cpu_model() -> str:
    """Name of the processor, as the system has it."""
    path = Path("/proc/cpuinfo")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Return how many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_facts() -> dict[str, Any]:
    """Processor, cores, versions, build of the library and settings of the environment."""
    from simdrnn.runtime import config

    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "simdrnn": dict(config()),
        "environment": {
            name: value for name, value in sorted(os.environ.items()) if name.startswith(_PREFIXES)
        },
    }


def as_json(reports: Sequence[Report], facts: dict[str, Any]) -> dict[str, Any]:
    """Turn a run into plain data: every round of everything, and what the tables show of it.

    Parameters
    ----------
    reports : one per number of threads.
    facts : from `machine_facts`.
    """
    return {
        "schema": SCHEMA,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": facts,
        "runs": [_run(report) for report in reports],
    }


def _run(report: Report) -> dict[str, Any]:
    return {
        "threads": report.threads,
        "rounds": report.rounds,
        "worker_environment": dict.fromkeys(ENVIRONMENT, str(report.threads)),
        "versions": report.versions,
        "notes": report.notes,
        "cases": [_case(result) for result in report.results],
    }


def _case(result: CaseResult) -> dict[str, Any]:
    return {
        **result.case.as_dict(),
        "flops": {which: result.flops(which) for which in PASSES},
        "peak_gflops": result.peak,
        "mismatch": result.mismatch,
        "results": {
            name: {which: _pass(result, name, which, times) for which, times in passes.items()}
            for name, passes in result.seconds.items()
        },
    }


def _pass(result: CaseResult, name: str, which: str, times: list[float]) -> dict[str, Any]:
    return {
        "rounds_seconds": times,
        "seconds": band_as_json(result.time(name, which)),
        "gflops": band_as_json(result.speed(name, which)),
        "fraction_of_peak": band_as_json(result.fraction(name, which)),
        "time_over_ours": band_as_json(result.ratio(name, which)),
    }


def band_as_json(band: Band | None) -> dict[str, float] | None:
    """Turn median and range into plain data."""
    if band is None:
        return None
    return {"median": band.median, "low": band.low, "high": band.high}
