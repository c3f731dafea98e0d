"""What `simdrnn.diagnose` returns: findings that say themselves in words and in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simdrnn.diagnosis.findings import Findings
from simdrnn.diagnosis.plot import draw
from simdrnn.diagnosis.words import describe, suggest

__all__ = ["Diagnosis"]


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis(Findings):
    """What `simdrnn.diagnose` found; printing it says so in words, and what to try.

    Attributes
    ----------
    cell, options : the layer's cell and its options.
    layers : one `LayerDiagnosis` per layer and direction.
    first_nonfinite : the first NaN or infinity, or None.
    projected : whether h is projected.
    """

    @property
    def suggestions(self) -> list[str]:
        """What to try, in words."""
        return suggest(self)

    def __str__(self) -> str:
        """Say what was found and what to try."""
        return describe(self)

    def plot(self, figure: Any = None) -> Any:
        """Draw norms, saturation, Jacobians and clips with matplotlib.

        Parameters
        ----------
        figure : a ``matplotlib.figure.Figure`` to draw into; None makes one.

        Returns
        -------
        The figure.

        Raises
        ------
        ImportError : matplotlib is not installed.
        """
        return draw(self, figure)
