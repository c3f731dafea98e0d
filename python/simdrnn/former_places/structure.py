"""Where `simdrnn.structure` was in version 0.1.0, for pickles of it."""

from collections.abc import Sequence
from typing import Any

from simdrnn.layers.version_0_1_0 import fill
from simdrnn.spec import structure

__all__ = ["Structure"]

# The fields of version 0.1.0, in its order.
_NAMES = ("merge", "residual", "reverse", "keep_order", "learn_initial_state")


class Structure(structure.Structure):
    """How a network is put together, as pickles of version 0.1.0 have it."""

    __slots__ = ()

    def __setstate__(self, values: Sequence[Any]) -> None:
        """Take the values of a pickle."""
        fill(self, _NAMES, values)
