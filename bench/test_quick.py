"""The quick grid under pytest-benchmark: ours alone, to compare one commit with another.

``pytest bench --benchmark-autosave``, then the same with ``--benchmark-compare`` on the other
commit. Against peers, and interleaved: ``simdrnn bench --quick``.
"""

from __future__ import annotations

import pytest

pytest.importorskip("pytest_benchmark", reason="needs the [bench] extra: pytest-benchmark")
pytest.importorskip("simdrnn._core", reason="the extension is not built")

from bench.acceptance.layers import input_of, layer_of, passes
from simdrnn.bench.cases import QUICK
from simdrnn.bench.stats import PASSES


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.label)
def test_quick(benchmark, case, which):
    call = passes(layer_of(case), input_of(case), num_threads=1)[which]
    call()  # packs the weights

    benchmark(call)

    flops = case.forward_flops() if which == "forward" else case.training_flops()
    if benchmark.stats is not None:  # None under --benchmark-disable
        benchmark.extra_info["gflops"] = flops / benchmark.stats.stats.median / 1e9
