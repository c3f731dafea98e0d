"""How far two arrays lie apart, and where most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrnn.validate import Array

__all__ = ["Difference", "compare"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The largest difference of two arrays that should be the same.

    Attributes
    ----------
    name : ``"output"``, ``"state h"``, ``"gradient of x"``, ...
    shape : of the array.
    where : index of the largest difference.
    ours, theirs : the two numbers there.
    absolute : their difference.
    relative : to the largest of all numbers of `theirs` (and of `ours`, where that is larger).
    ulp : in units in the last place of the larger of the two numbers.
    largest_ulp : the most such units anywhere; large where numbers are nearly zero.
    tolerance : what `relative` may come to.
    problem : why nothing was compared, or empty.
    """

    name: str
    shape: tuple[int, ...]
    where: tuple[int, ...] = ()
    ours: float = 0.0
    theirs: float = 0.0
    absolute: float = 0.0
    relative: float = 0.0
    ulp: float = 0.0
    largest_ulp: float = 0.0
    tolerance: float = 0.0
    problem: str = ""

    @property
    def ok(self) -> bool:
        """Whether the arrays agree within the tolerance."""
        return not self.problem and self.relative <= self.tolerance

    def __str__(self) -> str:
        """Say how far they lie apart, on one line."""
        if self.problem:
            return f"{self.name}: {self.problem}"
        if self.absolute == 0.0:
            return f"{self.name}: equal"
        place = ", ".join(map(str, self.where))
        return (
            f"{self.name}: {self.absolute:.2g} at [{place}] ({self.ours:.7g} and "
            f"{self.theirs:.7g}), {self.relative:.2g} of the largest, {self.ulp:.3g} ULP; "
            f"allowed {self.tolerance:.2g} of the largest"
        )


def compare(name: str, ours: Array, theirs: Array, tolerance: float) -> Difference:
    """Compare two arrays; numbers that are not finite have to be the same.

    Parameters
    ----------
    name : of what they are.
    ours, theirs : of any floating-point dtypes. Units in the last place are of the coarser one.
    tolerance : relative to the largest number.

    Examples
    --------
    >>> found = compare("y", np.float32([1, 2]), np.float32([1, 2.0000002]), tolerance=1e-6)
    >>> found.where, found.ulp, found.ok
    ((1,), 1.0, True)
    """
    if ours.shape != theirs.shape:
        problem = f"expected shape {ours.shape} as ours, got {theirs.shape}"
        return Difference(name, ours.shape, tolerance=tolerance, problem=problem)
    if not ours.size:
        problem = "expected elements to compare, got none"
        return Difference(name, ours.shape, tolerance=tolerance, problem=problem)
    coarse = max(ours.dtype, theirs.dtype, key=lambda dtype: np.finfo(dtype).eps)
    a, b = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(all="ignore"):
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        apart = np.where(same, 0.0, np.abs(a - b))
        apart = np.where(np.isnan(apart), np.inf, apart)
        larger = np.maximum(np.abs(a), np.abs(b))
        scale = np.max(larger, initial=0.0, where=np.isfinite(larger))
        units = np.spacing(np.where(np.isfinite(larger), larger, 0.0).astype(coarse))
        ulp = apart / units.astype(np.float64)
    where = tuple(map(int, np.unravel_index(np.argmax(apart), apart.shape)))
    absolute = float(apart[where])
    return Difference(
        name,
        ours.shape,
        where,
        float(a[where]),
        float(b[where]),
        absolute,
        absolute / float(scale) if scale else absolute,
        float(ulp[where]),
        float(ulp.max()),
        tolerance,
    )
