"""Benchmarks: ours against the NumPy reference, PyTorch and ONNX Runtime, in one interleaved run.

What keeps the numbers honest:

* answers (outputs, and for training every gradient) are compared before anything is timed;
* every implementation runs in a process of its own, with the same number of threads, the same
  weights and the same input;
* rounds are interleaved and their order alternates, so drift of the clock hits all alike;
* the FMA peak is measured in every round too, and ratios are taken within a round;
* calls are repeated on the same data: caches are hot, for everybody.

``simdrnn bench --quick`` prints the table; the modules read in the order `cases`, `peers`,
`worker`, `run`, `stats`, `report`.
"""

from __future__ import annotations
