"""Steps of optimisers on the compiled engine: one call for all parameters, over the threads.

Every operation is one of IEEE arithmetic on each element, in the order of the formulas in
`simdrnn.optim`: the bits are NumPy's, on any number of threads and every instruction set. Arrays
are contiguous and aligned, float32 or float64; `kept` has a list for each array that a rule keeps
of a parameter, and numbers are rounded to the type of the arrays that they meet.
"""

from __future__ import annotations

from simdrnn._core import adam, rmsprop, scale, sgd, sum_of_squares

__all__ = ["adam", "rmsprop", "scale", "sgd", "sum_of_squares"]
