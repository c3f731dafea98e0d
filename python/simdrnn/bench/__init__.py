"""Benchmarks: ours against NumPy, PyTorch, ONNX Runtime and JAX.

What keeps the numbers honest:

* answers (outputs, and for training every gradient) are compared before anything is timed;
* every implementation runs in a process of its own, with the same number of threads, the same
  weights and the same input; what JAX compiles is compiled before the clock starts;
* rounds are interleaved and their order alternates, so drift of the clock hits all alike;
* the FMA peak is measured in every round too, and ratios are taken within a round;
* calls are repeated on the same data: caches are hot, for everybody.

``simdrnn bench --quick`` prints the table; the modules read in the order `cases`, `peers`,
`worker`, `run`, `stats`, `report`. What holds the library against its promises is no part of the
package: it is in ``bench/`` of the repository, and builds on this.
"""

from __future__ import annotations
