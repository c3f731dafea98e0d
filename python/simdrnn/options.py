"""Options that any cell can carry: clips in the forward pass and inside back-propagation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from simdrnn.cells import CellInfo
from simdrnn.validate import as_positive_number

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Clips of one layer; None switches one off. Each has its true derivative: 0 where reached.

    Parameters
    ----------
    gate_clip : bound on the argument of every gate activation.
    cell_clip : bound on c after its update; the clipped c is what is carried. LSTM only.
    hidden_clip : bound on h after its update; the clipped h is output and carried.
    step_grad_clip : at every step of back-propagation, bound on each element of the part of
        dL/dh_t that arrives from later steps, before dL/dy_t is added.
    step_grad_norm : the same, as a bound on that part's Euclidean norm, row by row.
        With both, the elements are clipped first.

    Examples
    --------
    >>> Options(cell_clip=10.0)
    Options(cell_clip=10.0)
    """

    gate_clip: float | None = None
    cell_clip: float | None = None
    hidden_clip: float | None = None
    step_grad_clip: float | None = None
    step_grad_norm: float | None = None

    def __post_init__(self) -> None:
        """Check every value that is not None and store it as float."""
        for name, value in self.active().items():
            object.__setattr__(self, name, as_positive_number(name, value))

    def __repr__(self) -> str:
        """Show what is switched on."""
        return f"Options({', '.join(f'{name}={value}' for name, value in self.active().items())})"

    def active(self) -> dict[str, float]:
        """Return the options that are switched on, by name."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value is not None}

    @classmethod
    def parse(cls, cell: CellInfo, given: Mapping[str, object]) -> Options:
        """Build the options of a layer from its constructor's keyword arguments.

        Parameters
        ----------
        cell : the cell that will carry them.
        given : values by name; None is off.

        Raises
        ------
        TypeError : a name is unknown.
        ValueError : a value is out of range, or the cell has nothing for the option to act on.
        """
        known = [field.name for field in fields(cls)]
        for name in given:
            if name == "forget_bias" and given[name] is not None:
                raise ValueError(
                    f"forget_bias: expected a cell with a forget gate, got {cell.name}"
                )
            if name not in known and name != "forget_bias":
                raise TypeError(f"{name}: unknown option; expected one of {', '.join(known)}")
        if given.get("cell_clip") is not None and cell.states < 2:
            raise ValueError(f"cell_clip: expected a cell with a c state, got {cell.name}")
        return cls(**{name: given[name] for name in known if name in given})  # type: ignore[arg-type]
