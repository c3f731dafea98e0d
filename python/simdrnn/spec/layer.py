"""What a layer or single cell is, as data: everything but the values of its parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simdrnn.spec.cell import CellInfo
from simdrnn.spec.options import Options
from simdrnn.spec.parameters import ParameterSpec, Sizes, parameter_specs
from simdrnn.spec.structure import Structure

__all__ = ["LayerSpec", "Values"]


class Values(NamedTuple):
    """Shape of what a layer puts out for one step and row, in letters and in numbers."""

    letters: tuple[str, ...]
    shape: tuple[int, ...]


class LayerSpec(NamedTuple):
    """What a layer is.

    Parameters
    ----------
    info : the cell.
    sizes, dtype, options, structure : of the layer.
    batch_first : layout of its sequences.
    suffixes : whether names of parameters say layer and direction; a single cell's do not.
    """

    info: CellInfo
    sizes: Sizes
    dtype: np.dtype[Any]
    options: Options
    structure: Structure = Structure()
    batch_first: bool = False
    suffixes: bool = True

    @property
    def values(self) -> Values:
        """Shape of one step's output."""
        sizes = self.sizes
        if self.structure.merge == "none":
            return Values(("2", sizes.h_letter), (2, sizes.h_size))
        letters = sizes.h_letter if sizes.merged else f"D*{sizes.h_letter}"
        return Values((letters,), (sizes.output_size,))

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the initial states, as errors and parameters have them."""
        return tuple(f"{state.name}_0" for state in self.info.carried)

    def passes(self) -> list[tuple[ParameterSpec, ...]]:
        """Return the parameters of each layer and direction: ``layer * D + direction``."""
        norm = self.options.placement
        return parameter_specs(self.info, self.sizes, suffixes=self.suffixes, norm=norm)

    def learned_states(self) -> list[tuple[ParameterSpec, ...]]:
        """Return for each state the parameters that it begins with; none where it is zeros.

        Examples
        --------
        >>> from simdrnn.spec.cell import CellInfo
        >>> rnn = CellInfo("rnn", gates=1, separate=0, states=1, saved=0)
        >>> sizes, learned = Sizes(5, 8, num_directions=2), Structure(learn_initial_state=True)
        >>> layer = LayerSpec(rnn, sizes, np.dtype("float32"), Options(), learned)
        >>> for spec in layer.learned_states()[0]:
        ...     print(*spec[:3])
        h_0_l0 ('H',) (8,)
        h_0_l0_reverse ('H',) (8,)
        """
        if not self.structure.learn_initial_state:
            return []
        ends = [
            f"_l{layer}" + ("_reverse" if direction else "")
            for layer in range(self.sizes.num_layers)
            for direction in range(self.sizes.num_directions)
        ]
        letters = (self.sizes.h_letter, *"H" * (self.info.states - 1))
        shapes = zip(
            self.state_names, letters, self.sizes.state_sizes(self.info.states), strict=True
        )
        return [
            tuple(ParameterSpec(name + end, (letter,), (size,)) for end in ends)
            for name, letter, size in shapes
        ]
