"""What `simdrnn.diagnose` returns: findings that say themselves in words and in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simdrnn.diagnosis.cures import suggest
from simdrnn.diagnosis.findings import Findings, LayerDiagnosis, NonFinite, worst
from simdrnn.diagnosis.plot import draw
from simdrnn.diagnosis.words import describe, describe_network

__all__ = ["Diagnosis", "NetworkDiagnosis", "part_name"]


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis(Findings):
    """What `simdrnn.diagnose` found; printing it says so in words, and what to try.

    Attributes
    ----------
    cell, options : the layer's cell and its options.
    layers : one `LayerDiagnosis` per layer and direction.
    first_nonfinite : the first NaN or infinity, or None.
    projected : whether h is projected.
    verdict, troubles : the worst of the layers, and all that is wrong.
    """

    @property
    def suggestions(self) -> list[str]:
        """What to try, in words."""
        return suggest(self)

    def __str__(self) -> str:
        """Say what was found and what to try."""
        return describe(self, self.suggestions)

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


@dataclass(frozen=True, slots=True, eq=False)
class NetworkDiagnosis:
    """What `simdrnn.diagnose` found in a stack or a model; printing it says so in words.

    Attributes
    ----------
    parts : `Diagnosis` of each level of a stack and each recurrent part of a model, by the names
        that their parameters begin with: ``"0"``, ``"rnn"``, ``"rnn.1"``.
    layers : one `LayerDiagnosis` per layer and direction of all of them.
    first_nonfinite : the first NaN or infinity, or None: on the way up, then on the way back.
    verdict : the worst of the parts.
    troubles : what is wrong, by part: see `Diagnosis`. Parts that are well have none.
    """

    parts: dict[str, Diagnosis]

    @property
    def layers(self) -> tuple[LayerDiagnosis, ...]:
        """What was found in each layer and direction."""
        return tuple(layer for found in self.parts.values() for layer in found.layers)

    @property
    def first_nonfinite(self) -> NonFinite | None:
        """The first value that is not finite."""
        found = [own.first_nonfinite for own in self.parts.values()]
        known = [own for own in found if own is not None]
        ahead = [own for own in known if own.during == "forward"]
        return next(iter(ahead or reversed(known)), None)

    @property
    def verdict(self) -> str:
        """The worst of the parts: explode before vanish before steady before unknown."""
        return worst(self.layers)

    @property
    def troubles(self) -> dict[str, tuple[str, ...]]:
        """What is wrong, by part."""
        return {name: found.troubles for name, found in self.parts.items() if found.troubles}

    @property
    def suggestions(self) -> list[str]:
        """What to try, part by part, in words."""
        told: dict[str, list[str]] = {}
        for name, found in self.parts.items():
            for suggestion in suggest(found, _expression(name)):
                told.setdefault(suggestion, []).append(part_name(name))
        return [f"{', '.join(names)}: {text}" for text, names in told.items()]

    def __str__(self) -> str:
        """Say what was found and what to try."""
        return describe_network(self.parts, self.verdict, self.first_nonfinite, self.suggestions)

    def plot(self, figure: Any = None) -> Any:
        """Draw norms, saturation, Jacobians and clips of all parts: see `Diagnosis.plot`."""
        return draw(self, figure)


def part_name(name: str) -> str:
    """Return what people call a part.

    Examples
    --------
    >>> part_name("0"), part_name("rnn.1"), part_name("rnn")
    ('level 0', 'rnn, level 1', 'rnn')
    """
    words = [f"level {own}" if own.isdigit() else own for own in name.split(".")]
    return ", ".join(words)


def _expression(name: str) -> str:
    """Write what a part is in a program.

    Examples
    --------
    >>> _expression("0"), _expression("rnn.1")
    ('stack[0]', 'model.rnn[1]')
    """
    first, *rest = name.split(".")
    text = f"stack[{first}]" if first.isdigit() else f"model.{first}"
    return text + "".join(f"[{own}]" if own.isdigit() else f".{own}" for own in rest)
