"""What a comparison of a layer with another package's found."""

from __future__ import annotations

from dataclasses import dataclass, field

from simdrnn.parity.differences import Difference

__all__ = ["TELLING", "ParityReport"]

# A tolerance beyond this tells nothing: wrong weights may lie within it.
TELLING = 1e-2


@dataclass(frozen=True, slots=True, repr=False)
class ParityReport:
    """What `parity_report` found; printing it shows a line for each array.

    Attributes
    ----------
    ours, theirs : what was compared, in words.
    differences : by name: ``"output"``, states, gradients.
    further : the same of inputs that reach what acts on some only: ``"output on zeros"``.
    notes : what was not compared, and why.
    hints : what would explain the differences.
    """

    ours: str
    theirs: str
    differences: dict[str, Difference]
    notes: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    further: dict[str, Difference] = field(default_factory=dict)

    @property
    def failures(self) -> list[Difference]:
        """What does not agree, in the order of comparison."""
        compared = (*self.differences.values(), *self.further.values())
        return [one for one in compared if not one.ok]

    @property
    def blurred(self) -> bool:
        """Whether roundings grow so much in this layer that agreement means nothing."""
        return any(one.tolerance > TELLING for one in self.differences.values())

    @property
    def ok(self) -> bool:
        """Whether all that was compared agrees, and agreement means something."""
        return not self.failures and not self.blurred

    @property
    def verdict(self) -> str:
        """The result in one sentence."""
        if self.failures:
            names = ", ".join(one.name for one in self.failures)
            return f"they differ in {names}"
        if self.blurred:
            return (
                "no verdict: this layer lets roundings grow until they hide what is wrong; compare "
                "fewer steps, or in float64"
            )
        return "they agree, as far as rounding allows"

    def __repr__(self) -> str:
        """Show the verdict."""
        return f"<ParityReport: {self.verdict}>"

    def __str__(self) -> str:
        """Show the verdict, a line for each array, notes and hints; of further ones what fails."""
        lines = [f"{self.ours} and {self.theirs}: {self.verdict}"]
        lines += [f"  {'ok  ' if one.ok else 'FAIL'} {one}" for one in self.differences.values()]
        apart = [one for one in self.further.values() if not one.ok]
        lines += [f"  FAIL {one}" for one in apart]
        if self.further and not apart:
            lines.append(f"  ok   {len(self.further)} more on further inputs")
        lines += [f"  note: {note}" for note in self.notes]
        lines += [f"  hint: {hint}" for hint in self.hints]
        return "\n".join(lines)
