"""Benchmarks: ours against NumPy, PyTorch, ONNX Runtime and JAX, and against what is promised.

What keeps the numbers honest:

* answers (outputs, and for training every gradient) are compared before anything is timed;
* every implementation runs in a process of its own, with the same number of threads, the same
  weights and the same input; what JAX compiles is compiled before the clock starts;
* rounds are interleaved and their order alternates, so drift of the clock hits all alike;
* the FMA peak is measured in every round too, and for one row the bandwidth of reading its
  recurrent weights; ratios are taken within a round;
* calls are repeated on the same data: caches are hot, for everybody.

``simdrnn bench --quick`` prints the table; the modules read in the order `cases`, `peers`,
`worker`, `run`, `stats`, `report`.

``simdrnn bench --acceptance`` holds everything that is promised against its bound: `targets` is
the table and the verdicts, `grid` takes points from the table above, `latency`, `choice`,
`ragged`, `variants` and `memory` measure the rest (by `alternate`, in one process, as both sides
of a ratio are ours), `acceptance` runs them and `verdicts` prints what came out.
"""

from __future__ import annotations
