"""A graph that is ready to run: steps, one after the other, on values by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from onnx import TypeProto

from simdrnn.validate import Array

__all__ = ["Block", "Step"]


class Step(Protocol):
    """What runs on values by name and puts what it makes among them."""

    def run(self, values: dict[str, Any]) -> None:
        """Run the step."""


@dataclass(frozen=True)
class Block:
    """A graph that is ready to run.

    Parameters
    ----------
    inputs, outputs : names.
    constants : values that are outputs and depend on no input.
    steps : in order.
    captured : names that steps read and that the graphs around this one make.
    types : of the outputs, as far as they are known.
    """

    inputs: list[str]
    outputs: list[str]
    constants: dict[str, Array]
    steps: list[Step]
    captured: list[str]
    types: list[TypeProto]

    def run(self, given: Sequence[Any], around: Mapping[str, Any]) -> list[Any]:
        """Return the outputs.

        Parameters
        ----------
        given : values of `inputs`.
        around : values of the graphs around this one, by name.
        """
        values = {name: around[name] for name in self.captured}
        values |= self.constants
        values |= zip(self.inputs, given, strict=True)
        for step in self.steps:
            step.run(values)
        return [values[name] for name in self.outputs]
