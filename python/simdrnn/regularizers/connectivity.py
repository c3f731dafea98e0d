"""What holds of a layer's parameters after every update: missing weights, signs, bounds.

An optimiser takes them as ``constraints=[...]`` and keeps them inside its step, so that no call in
another thread ever sees a weight that breaks one.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from simdrnn.layers.gradients import Gradients
from simdrnn.regularizers.names import Names, chosen, gates_of
from simdrnn.training.trainable import Trainable, lend
from simdrnn.validate import Array, array_of

__all__ = ["Bounded", "Connectivity", "Constraint", "Dale", "Fixed"]


class Constraint(ABC):
    """Base of the constraints; see `Connectivity`, `Dale`, `Bounded`, `Fixed`.

    Parameters
    ----------
    layer : a recurrent layer, a stack, a cell, or a module such as `Linear`: whose parameters.
    names : which of them: patterns such as ``"weight_hh*"``, or a list of them.

    Attributes
    ----------
    layer : the same.
    names : of the parameters, in the layer's order.
    """

    __module__ = "simdrnn.regularizers"

    def __init__(self, layer: Trainable, names: Names) -> None:
        self.layer, self.names = layer, tuple(chosen(layer, names))

    def begin(self, arrays: Mapping[str, Array]) -> None:
        """Look at the layer's parameters, `arrays` by name, before they change."""
        return

    def gradient(self, name: str, gradient: Array) -> Array:
        """Return the `gradient` of the parameter `name` as far as it may change it."""
        return gradient

    @abstractmethod
    def end(self, arrays: Mapping[str, Array]) -> None:
        """Make the layer's parameters, `arrays` by name, which have changed, obey in place."""

    def apply_(self) -> None:
        """Make the layer obey, in place: for updates that an optimiser of ours did not make."""
        with lend(self.layer) as arrays:
            self.end(arrays)

    def restrict_(self, grads: Gradients | Mapping[str, Array]) -> None:
        """Take from gradients what may change nothing, in place.

        An optimiser that has the constraint does so itself, before it clips a norm.

        Parameters
        ----------
        grads : what ``backward`` returned, or its ``params``; their arrays are changed.

        Raises
        ------
        TypeError, ValueError : they are neither, or have none for one of the parameters.
        """
        params = grads.params if isinstance(grads, Gradients) else grads
        if not isinstance(params, Mapping):
            found = type(params).__name__
            raise TypeError(f"grads: expected Gradients, or a dict of arrays by name, got {found}")
        for name in self.names:
            if name not in params:
                known = ", ".join(params)
                raise ValueError(f"grads: expected a gradient of {name}, got those of {known}")
            changed = self.gradient(name, params[name])
            if changed is not params[name]:
                params[name][...] = changed


class Connectivity(Constraint):
    """Which weights exist: all others are exactly 0, now and after every update.

    They get no gradient either, so that they count in no norm and no decay.

    Parameters
    ----------
    layer : see `Constraint`.
    mask : True where there is a weight, (rows, columns) as the parameter is; of a weight of several
        gates also as one of them is, (H, columns). ``weight_hh[i, j]`` leads from unit j to unit i,
        ``weight_ih[i, j]`` from input j. Booleans, or zeros and ones.
    names : which parameters; all of them have the same mask.

    Raises
    ------
    TypeError, ValueError : an argument does not fit, or a pattern matches no parameter.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.CTRNN(2, 3, seed=0)
    >>> alone = Connectivity(layer, ~np.eye(3, dtype=bool))  # no unit sees itself
    >>> np.diag(layer.weight_hh_l0).tolist()
    [0.0, 0.0, 0.0]
    >>> optimizer = sr.optim.Adam(layer, lr=0.1, constraints=[alone])
    """

    __module__ = "simdrnn.regularizers"

    def __init__(self, layer: Trainable, mask: object, names: Names = "weight_hh*") -> None:
        super().__init__(layer, names)
        self.mask = _as_mask(mask)
        parameters = layer.parameters()
        self._missing = {
            name: self._missing_of(name, parameters[name]) for name in self.names
        }  # fmt: skip
        self.apply_()

    def _missing_of(self, name: str, parameter: Array) -> Array:
        """Return where a parameter has no weight."""
        mask, gates = self.mask, gates_of(self.layer, name, parameter)
        of_a_gate = (parameter.shape[0] // gates, *parameter.shape[1:])
        if mask.shape == of_a_gate:
            mask = np.concatenate([mask] * gates)
        if mask.shape != parameter.shape:
            also = f", or {of_a_gate} for every gate," if gates > 1 else ""
            raise ValueError(
                f"mask: expected shape {parameter.shape}{also} as {name} has, got {mask.shape}"
            )
        missing: Array = ~mask
        return missing

    def gradient(self, name: str, gradient: Array) -> Array:
        """Return the `gradient` of the parameter `name` with 0 where there is no weight."""
        return np.where(self._missing[name], gradient.dtype.type(0), gradient)

    def end(self, arrays: Mapping[str, Array]) -> None:
        """Make what does not exist in `arrays` 0."""
        for name, missing in self._missing.items():
            arrays[name][missing] = 0.0


class Dale(Constraint):
    """Dale's law: all weights that leave a unit have its sign, or are 0.

    When it is made, every weight keeps its size and gets its unit's sign. After an update a weight
    that has crossed 0 becomes 0 (the nearest one that obeys: projected gradient descent), and may
    grow again. (Song, Yang and Wang 2016 rectify a weight inside the network instead, where it has
    no gradient once it is below 0.)

    Parameters
    ----------
    layer : see `Constraint`.
    signs : 1 or -1 for each unit, as many as the weights have columns; or a number in [0, 1], the
        share of units that excite, which are the first ones: 0.8 is usual.
    names : which parameters: matrices with a column for each unit. For a layer that reads the units
        out, ``Dale(head, constraint.signs, "weight")``.

    Attributes
    ----------
    signs : (H,) of 1.0 and -1.0.

    Raises
    ------
    TypeError, ValueError : an argument does not fit, or a pattern matches no parameter.

    References
    ----------
    Eccles, Fatt and Koketsu 1954, "Cholinergic and inhibitory synapses in a pathway from motor-axon
    collaterals to motoneurones"; Song, Yang and Wang 2016, "Training excitatory-inhibitory
    recurrent neural networks for cognitive tasks", PLoS Computational Biology 12(2).

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.CTRNN(2, 5, seed=0)
    >>> law = Dale(layer, 0.8)
    >>> law.signs.tolist()
    [1.0, 1.0, 1.0, 1.0, -1.0]
    >>> bool((layer.weight_hh_l0 * law.signs >= 0).all())
    True
    """

    __module__ = "simdrnn.regularizers"

    def __init__(self, layer: Trainable, signs: object, names: Names = "weight_hh*") -> None:
        super().__init__(layer, names)
        parameters = layer.parameters()
        columns = {parameters[name].shape[1:] for name in self.names}
        if len(columns) != 1 or columns == {()}:
            raise ValueError(
                "names: expected matrices with as many columns, "
                f"got {', '.join(f'{n} {parameters[n].shape}' for n in self.names)}"
            )
        self.signs = _as_signs(signs, columns.pop()[0])
        with lend(layer) as arrays:
            for name in self.names:
                arrays[name][...] = np.copysign(arrays[name], self.signs)

    def end(self, arrays: Mapping[str, Array]) -> None:
        """Make what has crossed 0 in `arrays` be 0."""
        excites = self.signs > 0
        for name in self.names:
            array = arrays[name]
            np.copyto(array, 0.0, where=np.where(excites, array < 0, array > 0))


class Bounded(Constraint):
    """Parameters that stay between two numbers.

    Parameters
    ----------
    layer : see `Constraint`.
    low, high : the bounds, rounded to the layer's dtype; either may be infinite.
    names : which parameters.

    Raises
    ------
    TypeError, ValueError : an argument does not fit, or a pattern matches no parameter.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.CTRNN(2, 3, dtype="float64")
    >>> layer.leak_l0 = np.array([0.001, 0.5, 1.5])
    >>> bounds = Bounded(layer, 0.01, 1.0, "leak*")  # time constants from dt to 100 dt
    >>> layer.leak_l0.tolist()
    [0.01, 0.5, 1.0]
    """

    __module__ = "simdrnn.regularizers"

    def __init__(self, layer: Trainable, low: float, high: float, names: Names) -> None:
        super().__init__(layer, names)
        self.low, self.high = _as_bound("low", low), _as_bound("high", high)
        if not self.low <= self.high:
            raise ValueError(f"high: expected at least low={low!r}, got {high!r}")
        self.apply_()

    def end(self, arrays: Mapping[str, Array]) -> None:
        """Move what lies outside in `arrays` to the nearest bound; NaN stays."""
        for name in self.names:
            np.clip(arrays[name], self.low, self.high, out=arrays[name])


class Fixed(Constraint):
    """Parameters that no update changes, nor weight decay: they are what they are assigned.

    Parameters
    ----------
    layer : see `Constraint`.
    names : which parameters.

    Raises
    ------
    TypeError, ValueError : an argument does not fit, or a pattern matches no parameter.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.CTRNN(2, 3, seed=0)
    >>> layer.leak_l0 = np.full(3, 0.1, "float32")  # dt = 10 ms, tau = 100 ms
    >>> optimizer = sr.optim.AdamW(layer, constraints=[Fixed(layer, "leak*")])
    """

    __module__ = "simdrnn.regularizers"

    def __init__(self, layer: Trainable, names: Names) -> None:
        super().__init__(layer, names)
        self._before: dict[str, Array] = {}
        self.begin(layer.parameters())

    def begin(self, arrays: Mapping[str, Array]) -> None:
        """Note what the parameters, `arrays` by name, are."""
        self._before = {name: np.array(arrays[name]) for name in self.names}

    def gradient(self, name: str, gradient: Array) -> Array:
        """Return zeros in place of the `gradient` of the parameter `name`."""
        return np.zeros_like(gradient)

    def end(self, arrays: Mapping[str, Array]) -> None:
        """Make the parameters, `arrays` by name, what they were."""
        for name, value in self._before.items():
            arrays[name][...] = value


def _as_mask(value: object) -> Array:
    """Return an array of booleans, if it says yes or no everywhere."""
    mask = array_of("mask", value, "booleans, or zeros and ones")
    if mask.dtype.kind not in "buif":
        raise TypeError(f"mask: expected booleans, or zeros and ones, got {mask.dtype}")
    if not np.isin(mask, (0, 1)).all():
        raise ValueError("mask: expected booleans, or zeros and ones, got other numbers")
    return mask.astype(bool)


def _as_signs(value: object, units: int) -> Array:
    """Return the signs of so many units."""
    if isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_)):
        share = float(value)
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"signs: expected a share in [0, 1] or an array, got {value!r}")
        return np.where(np.arange(units) < round(share * units), 1.0, -1.0)
    if not isinstance(value, (Sequence, np.ndarray)) or isinstance(value, str):
        raise TypeError(f"signs: expected a share or an array of 1 and -1, got {value!r}")
    signs = array_of("signs", value, "a share or an array of 1 and -1")
    if signs.shape != (units,):
        raise ValueError(f"signs: expected shape ({units},), one for each unit, got {signs.shape}")
    if signs.dtype.kind not in "if" or not np.isin(signs, (1, -1)).all():
        raise ValueError("signs: expected 1 and -1 alone, got others")
    return signs.astype(np.float64)


def _as_bound(name: str, value: object) -> float:
    """Return a number that is not NaN."""
    if not isinstance(value, numbers.Real) or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}: expected a number, got {value!r}")
    if math.isnan(float(value)):
        raise ValueError(f"{name}: expected a number, got {value!r}")
    return float(value)
