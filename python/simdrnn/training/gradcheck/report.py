"""What a check of gradients found."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GradcheckReport", "TensorCheck"]


@dataclass(frozen=True, slots=True)
class TensorCheck:
    """What was found for one tensor. Numbers are of its worst comparison, relative to `tolerance`.

    Attributes
    ----------
    name : ``"x"``, ``"state"``, ``"state[0]"``, ... or the name of a parameter.
    compared : entries and directions whose derivatives were compared.
    skipped : entries and directions left out because the loss has a kink there.
    where : the entry as ``"[3, 1]"``, or ``"direction 2"``; empty if nothing was compared.
    expected : the finite difference.
    got : what ``backward`` says.
    difference : between the two.
    tolerance : what rounding and truncation may come to there.
    empty : whether the tensor has no entries.
    """

    name: str
    compared: int = 0
    skipped: int = 0
    where: str = ""
    expected: float = 0.0
    got: float = 0.0
    difference: float = 0.0
    tolerance: float = 0.0
    empty: bool = False

    @property
    def ok(self) -> bool:
        """Whether all that was compared agrees, and something was."""
        agrees = self.difference <= self.tolerance  # NaN does not
        return self.empty or (self.compared > 0 and agrees)

    def __str__(self) -> str:
        """Say what was expected, and what came."""
        if self.empty:
            return f"{self.name}: empty"
        if not self.compared:
            return (
                f"{self.name}: expected an entry without a kink to compare, got {self.skipped} "
                "with; choose a smaller eps, or fewer steps and rows"
            )
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        place = f" {self.where}" if self.where.startswith("direction") else self.where
        return (
            f"{self.name}{place}: expected {self.expected:.10g} within {self.tolerance:.1e}, "
            f"got {self.got:.10g} ({self.compared} compared{skipped})"
        )


@dataclass(frozen=True, slots=True)
class GradcheckReport:
    """What `gradcheck` found; printing it shows a line per tensor.

    Attributes
    ----------
    tensors : name -> `TensorCheck`.
    eps : step of the differences.
    """

    tensors: dict[str, TensorCheck]
    eps: float

    @property
    def failures(self) -> list[TensorCheck]:
        """The tensors whose gradients are not confirmed, worst first."""
        found = [check for check in self.tensors.values() if not check.ok]
        return sorted(found, key=lambda check: -check.difference / max(check.tolerance, 1e-300))

    @property
    def ok(self) -> bool:
        """Whether there are no failures."""
        return not self.failures

    @property
    def skipped(self) -> int:
        """How many entries and directions were left out because of kinks."""
        return sum(check.skipped for check in self.tensors.values())

    def __str__(self) -> str:
        """Show a line per tensor."""
        lines = [f"{'ok  ' if check.ok else 'FAIL'} {check}" for check in self.tensors.values()]
        return "\n".join(lines)
