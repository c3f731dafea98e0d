"""Options on how the layers and directions of a network are put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from simdrnn.spec.parameters import Sizes
from simdrnn.validate import as_bool, check_choice

__all__ = ["MERGES", "Structure"]

# How two directions join. "none" keeps them apart, on an axis of their own.
MERGES = ("concat", "sum", "mul", "ave", "none")


@dataclass(frozen=True, slots=True)
class Structure:
    """How the layers and directions of a network are put together; defaults are PyTorch's.

    Parameters
    ----------
    merge : how the directions of a bidirectional layer join: ``"concat"`` to (T, B, 2*H);
        ``"sum"``, ``"mul"`` or ``"ave"``, the mean, to (T, B, H), which is then also what the next
        layer gets; ``"none"``, in a single layer, to (T, B, 2, H).
    residual : whether each layer adds its input to its (merged) output, at real steps, where both
        have the same size; elsewhere the output stays as it is. With dropout, the input is what
        dropout leaves of the output below.
    reverse : whether a network of one direction takes the steps from the last to the first, as the
        reverse direction of a bidirectional one does.
    keep_order : whether outputs of a reversed network stand at their times. If not, they come in
        the order they were made in: each row's real length turned around, padding still after it.
    learn_initial_state : whether the states that a call without `state` begins with are parameters
        ``h_0_l0`` (and ``c_0_l0``), (H,) each and the same for all rows. They start at zero.

    Examples
    --------
    >>> Structure(merge="sum")
    Structure(merge='sum')
    >>> Structure(merge="max")
    Traceback (most recent call last):
    ValueError: merge: expected 'concat' or 'sum' or 'mul' or 'ave' or 'none', got 'max'
    """

    merge: str = "concat"
    residual: bool = False
    reverse: bool = False
    keep_order: bool = True
    learn_initial_state: bool = False

    def __post_init__(self) -> None:
        """Check every value."""
        check_choice("merge", self.merge, MERGES)
        for field in fields(self)[1:]:
            object.__setattr__(self, field.name, as_bool(field.name, getattr(self, field.name)))

    def __repr__(self) -> str:
        """Show what is not the default."""
        shown = (f"{name}={value!r}" for name, value in self.active().items())
        return f"Structure({', '.join(shown)})"

    def active(self) -> dict[str, str | bool]:
        """Return what is not the default, by name."""
        values = ((field, getattr(self, field.name)) for field in fields(self))
        return {field.name: value for field, value in values if value != field.default}

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> tuple[Structure, dict[str, object]]:
        """Take the structure out of a constructor's keyword arguments; return also the rest."""
        names = cls.names()
        own = {name: value for name, value in given.items() if name in names}
        rest = {name: value for name, value in given.items() if name not in names}
        return cls(**own), rest  # type: ignore[arg-type]

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of all of them."""
        return tuple(field.name for field in fields(cls))

    @property
    def composed(self) -> bool:
        """Whether an engine's own stacking of layers is not enough; see `engine.composed`."""
        return self.merge != "concat" or self.residual or self.reverse

    @property
    def apart(self) -> bool:
        """Whether the output is another array than the top layer's hidden states."""
        return self.merge != "concat" or self.residual or not self.keep_order

    def sizes(self, sizes: Sizes) -> Sizes:
        """Return the sizes with what merging makes of them, if they go with this structure.

        Raises
        ------
        ValueError : an option has nothing to act on, or contradicts another.
        """
        if self.merge != "concat" and sizes.num_directions == 1:
            raise ValueError(f"merge: expected bidirectional=True with it, got {self.merge!r}")
        if self.merge == "none" and sizes.num_layers > 1:
            raise ValueError(
                "merge: expected 'concat', 'sum', 'mul' or 'ave' in a network of several layers, "
                f"got 'none' with num_layers={sizes.num_layers}"
            )
        if self.reverse and sizes.num_directions == 2:
            raise ValueError("reverse: expected bidirectional=False with it, got True")
        if not self.keep_order and not self.reverse:
            raise ValueError("keep_order: expected reverse=True with False, got reverse=False")
        merged = sizes._replace(merged=self.merge in ("sum", "mul", "ave"))
        width = merged.output_size
        if self.residual and self.merge == "none":
            raise ValueError("residual: expected directions that merge, got merge='none'")
        if self.residual and sizes.num_layers == 1 and width != sizes.input_size:
            raise ValueError(
                "residual: expected a layer whose input and output have the same size, "
                f"got one layer from {sizes.input_size} to {width}"
            )
        return merged
