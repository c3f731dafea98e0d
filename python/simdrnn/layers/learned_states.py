"""Initial states that are parameters: the way from parameters to states and back.

They are used where a call is given no state, the same for every row of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from simdrnn.spec.parameters import ParameterSpec
from simdrnn.validate import Array

__all__ = ["LearnedStates"]


class LearnedStates:
    """Initial states (L*D, B, H) made of parameters.

    Parameters
    ----------
    specs : what `LayerSpec.learned_states` returned.
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
