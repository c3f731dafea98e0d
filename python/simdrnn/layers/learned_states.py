"""Initial states that are parameters: their names, and the way from parameters to states and back.

They are used where a call is given no state, the same for every row of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from simdrnn.spec.parameters import ParameterSpec, Sizes
from simdrnn.validate import Array

__all__ = ["LearnedStates", "state_specs"]


def state_specs(states: Sequence[str], sizes: Sizes) -> list[tuple[ParameterSpec, ...]]:
    """Return for each state the parameters of all layers and directions.

    Parameters
    ----------
    states : names of the states, h_0 first.
    sizes : H, L and D.

    Examples
    --------
    >>> for spec in state_specs(["h_0"], Sizes(5, 8, num_directions=2))[0]:
    ...     print(*spec[:3])
    h_0_l0 ('H',) (8,)
    h_0_l0_reverse ('H',) (8,)
    """
    ends = [
        f"_l{layer}" + ("_reverse" if direction else "")
        for layer in range(sizes.num_layers)
        for direction in range(sizes.num_directions)
    ]
    letters = (sizes.h_letter, *"H" * (len(states) - 1))
    shapes = zip(states, letters, sizes.state_sizes(len(states)), strict=True)
    return [
        tuple(ParameterSpec(name + end, (letter,), (size,)) for end in ends)
        for name, letter, size in shapes
    ]


class LearnedStates:
    """Initial states (L*D, B, H) made of parameters.

    Parameters
    ----------
    specs : what `state_specs` returned.
    parameters : the layer's, which the states follow.
    """

    def __init__(
        self, specs: list[tuple[ParameterSpec, ...]], parameters: Mapping[str, Array]
    ) -> None:
        self._names = [[spec.name for spec in group] for group in specs]
        self._parameters = parameters

    def states(self, batch: int) -> tuple[Array, ...]:
        """Return S arrays (L*D, B, H), fresh ones."""
        rows = (np.stack([self._parameters[name] for name in names]) for names in self._names)
        return tuple([np.repeat(row[:, None], batch, axis=1) for row in rows])

    def backward(self, d_states: Sequence[Sequence[Array]], params: Mapping[str, Array]) -> None:
        """Write the gradients for the parameters: sums over the batch and over the uses.

        Parameters
        ----------
        d_states : for each use the gradients of what `states` returned. No use: zeros.
        params : the parameters' gradients by name, overwritten.
        """
        for index, names in enumerate(self._names):
            # Summed in float64: along the batch NumPy adds one by one, not pairwise.
            sums = [d_use[index].sum(axis=1, dtype=np.float64) for d_use in d_states]
            total = sum(sums, np.zeros((len(names), 1)))
            for name, value in zip(names, total, strict=True):
                params[name][...] = value
