"""Layers one after the other, as files of audio plug-ins have them: called, and saved for C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from simdrnn.engine.activate import activate
from simdrnn.layers.parametrised import Parametrised
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.savable import handle_for_c, save_for_c, stepped_stages
from simdrnn.layers.stepped import chained
from simdrnn.training.modules import Linear
from simdrnn.validate import Array

__all__ = ["ACTIVATIONS", "Chain"]

# By name, with alpha: see `simdrnn.spec.activations`. Softmax is over all numbers of a step.
ACTIVATIONS = {"tanh": 0.0, "relu": 0.0, "sigmoid": 0.0, "softmax": 0.0, "elu": 1.0}


class Chain:
    """Layers one after the other, as a file of RTNeural or of NAM has them.

    Parameters
    ----------
    layers : `simdrnn.LSTM`, `simdrnn.GRU`, `simdrnn.Linear`, and names of activations between
        them: ``"tanh"``, ``"relu"``, ``"sigmoid"``, ``"softmax"``, ``"elu"``. An attribute, too.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> chain = Chain([sr.LSTM(1, 8, seed=0), sr.Linear(8, 1, seed=1), "tanh"])
    >>> output, state = chain(np.ones((100, 1, 1), "float32"))
    >>> output.shape
    (100, 1, 1)
    """

    def __init__(self, layers: Sequence[RecurrentLayer | Linear | str]) -> None:
        self.layers = list(layers)

    def __call__(self, x: Array, state: Sequence[Any] | None = None) -> tuple[Array, list[Any]]:
        """Run all layers.

        Parameters
        ----------
        x : (T, B, I), or (T, I).
        state : a state for each recurrent layer, as a call returned them; None is zeros, or what
            the layer has learned.

        Returns
        -------
        output : (T, B, O), or (T, O).
        state : after the last step: a list with one for each recurrent layer.
        """
        recurrent = [one for one in self.layers if isinstance(one, RecurrentLayer)]
        given = list(state) if state is not None else [None] * len(recurrent)
        if len(given) != len(recurrent):
            raise ValueError(
                f"state: expected one for each of {len(recurrent)} recurrent layers, got "
                f"{len(given)}"
            )
        final: list[Any] = []
        for one in self.layers:
            if isinstance(one, RecurrentLayer):
                x, after = one(x, given[len(final)])
                final.append(after)
            elif isinstance(one, Linear):
                x = one(x)
            else:
                x = activate(one, x, ACTIVATIONS[one])
        return x, final

    def save(self, path: Any) -> None:
        """Write a file that functions in C read: see ``docs/c_api.md``.

        Parameters
        ----------
        path : str or path-like, which ends with ``.simdrnn``.

        Raises
        ------
        TypeError, ValueError : `path` is no such path; a layer cannot be stepped.
        OSError : the file cannot be written.
        """
        save_for_c(path, self._parameters(), self._stepped())

    def c_handle(self) -> Any:
        """Return the model of now for functions in C: see `simdrnn.LSTM.c_handle`."""
        return handle_for_c(self._parameters(), self._stepped())

    def _parameters(self) -> dict[str, Array]:
        """Return the parameters of all layers, each under its layer's place."""
        return {
            f"{place}.{name}": array
            for place, one in enumerate(self.layers)
            if isinstance(one, Parametrised)
            for name, array in one.parameters().items()
        }

    def _stepped(self) -> dict[str, Any]:
        """Return what it is to those who step it: see `simdrnn.layers.stepped`."""
        owners = [one for one in self.layers if isinstance(one, (RecurrentLayer, Linear))]
        dtypes = {one.dtype for one in owners}
        if not owners or len(dtypes) > 1:
            raise ValueError(
                "layers: expected recurrent layers and Linear of one dtype, got "
                f"{sorted(map(str, dtypes))}"
            )
        first = self.layers[0]
        if isinstance(first, str):
            raise ValueError(f"layers[0]: expected a layer, got the activation {first!r}")
        size = first.input_size if isinstance(first, RecurrentLayer) else first.in_features
        stages: list[dict[str, Any]] = []
        for place, one in enumerate(self.layers):
            if isinstance(one, str):
                named = one if one == "softmax" else [one, ACTIVATIONS[one], 0.0]
                stages.append({"kind": "activation", "activation": named})
            else:
                stages += stepped_stages(one, f"{place}.")
        return chained(np.dtype(dtypes.pop()), size, stages)

    def __repr__(self) -> str:
        """Show the layers."""
        return f"Chain({self.layers!r})"
