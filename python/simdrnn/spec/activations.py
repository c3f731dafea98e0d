"""Activations by name, with alpha and beta: what users may ask for, checked.

The formulas are ONNX's; ``docs/engines.md`` lists them with their derivatives. Where alpha or beta
is not given, the default is that of the ONNX operator of that name, as the ONNX specification of
RNN, GRU and LSTM says. (ONNX Runtime departs from it inside those three: there ThresholdedRelu's
alpha defaults to 0, not 1, and ScaledTanh's and Affine's to 0, which makes them constant. Here the
latter two must be given.)
"""

from __future__ import annotations

from typing import NamedTuple

from simdrnn.validate import as_finite_number

__all__ = ["ACTIVATIONS", "Activation", "default_parameters", "parse_activation"]

# Greatest magnitude that every dtype of a layer can hold: float32's.
_LARGEST = (2 - 2**-23) * 2.0**127

# Name -> defaults of alpha and beta, one for each that it takes; None must be given.
_DEFAULTS: dict[str, tuple[float | None, ...]] = {
    "sigmoid": (),
    "tanh": (),
    "relu": (),
    "leaky_relu": (0.01,),
    "thresholded_relu": (1.0,),
    "elu": (1.0,),
    "hard_sigmoid": (0.2, 0.5),
    "softsign": (),
    "softplus": (),
    "scaled_tanh": (None, None),
    "affine": (None, None),
    "identity": (),
}

# A derivative is found from the activation's value. With a negative alpha these are not monotone,
# and one value belongs to arguments with different derivatives.
_NOT_NEGATIVE = {
    "leaky_relu": "below it, arguments of both signs share values, which then have no one slope",
    "thresholded_relu": "below it, 0 and what stays short of the threshold share a value",
    "elu": "below it, arguments of both signs share values, which then have no one slope",
}

ACTIVATIONS: tuple[str, ...] = tuple(_DEFAULTS)
"""Names of the activations."""


def default_parameters(name: str) -> tuple[float | None, ...]:
    """Return the defaults of alpha and beta, as many as an activation takes; None must be given.

    Examples
    --------
    >>> default_parameters("hard_sigmoid")
    (0.2, 0.5)
    """
    return _DEFAULTS[name]


class Activation(NamedTuple):
    """An activation and its parameters; those that it does not take are 0.

    Parameters
    ----------
    name : one of `ACTIVATIONS`.
    alpha, beta : its parameters, as ONNX calls them.
    """

    name: str
    alpha: float = 0.0
    beta: float = 0.0

    @property
    def argument(self) -> str | tuple[str | float, ...]:
        """The shortest argument that `parse_activation` turns back into this one.

        Examples
        --------
        >>> parse_activation("activation", "tanh").argument
        'tanh'
        >>> parse_activation("activation", "elu").argument
        ('elu', 1.0)
        """
        parameters = (self.alpha, self.beta)[: len(_DEFAULTS[self.name])]
        return (self.name, *parameters) if parameters else self.name


# Constants of other libraries, under names of their own. Keras's hard sigmoid is relu6(x + 3) / 6;
# since version 3 no longer ONNX's 0.2 x + 0.5.
_ALIASES = {"keras_hard_sigmoid": Activation("hard_sigmoid", 1 / 6, 0.5)}

# "hard_sigmoid" and ONNX's "HardSigmoid" in lower case.
_SPELLINGS = {
    spelling: name for name in (*_DEFAULTS, *_ALIASES) for spelling in (name, name.replace("_", ""))
}


def parse_activation(argument: str, value: object) -> Activation:
    """Return the activation that a user's argument names, checked, with its defaults filled in.

    Parameters
    ----------
    argument : name of the argument, for messages.
    value : a name, ``(name, alpha)`` or ``(name, alpha, beta)``; an `Activation`. Names are those
        of `ACTIVATIONS` or ONNX's (``"HardSigmoid"``), in any case. ``"keras_hard_sigmoid"`` is
        ``("hard_sigmoid", 1/6, 0.5)``.

    Raises
    ------
    TypeError : `value`, its name or a parameter is of another type.
    ValueError : the name is unknown; there are more parameters than it takes, or fewer than it
        needs; one is not finite or beyond float32, or would keep the derivative from being a
        function of the activation's value.

    Examples
    --------
    >>> parse_activation("activation", "LeakyRelu")
    Activation(name='leaky_relu', alpha=0.01, beta=0.0)
    >>> parse_activation("activation", ("hard_sigmoid", 0.25))
    Activation(name='hard_sigmoid', alpha=0.25, beta=0.5)
    >>> parse_activation("activation", ("tanh", 2.0))
    Traceback (most recent call last):
    ValueError: activation: expected 'tanh' alone, which takes no alpha or beta, got ('tanh', 2.0)

    ONNX, "Operators": RNN, GRU, LSTM and those of the activations,
    https://onnx.ai/onnx/operators/.
    """
    name, given = _split(argument, value)
    known = _SPELLINGS.get(name.lower())
    if known is None:
        names = ", ".join((*_DEFAULTS, *_ALIASES))
        raise ValueError(f"{argument}: expected one of {names}, got {name!r}")
    if known in _ALIASES:
        if given:
            alias = _ALIASES[known].argument
            raise ValueError(
                f"{argument}: expected {known!r} alone, short for {alias}, got {value!r}"
            )
        return _ALIASES[known]
    defaults = _DEFAULTS[known]
    if isinstance(value, Activation) and not any(given[len(defaults) :]):
        given = given[: len(defaults)]  # the others only fill the tuple
    if len(given) > len(defaults):
        takes = ("alone, which takes no alpha or beta", "with alpha alone", "with alpha and beta")
        raise ValueError(f"{argument}: expected {known!r} {takes[len(defaults)]}, got {value!r}")
    numbers = given + defaults[len(given) :]
    if None in defaults[len(given) :]:
        raise ValueError(f"{argument}: expected ({known!r}, alpha, beta), got {value!r}")
    letters = ("alpha", "beta")
    return Activation(
        known,
        *(_parameter(argument, known, *pair) for pair in zip(letters, numbers, strict=False)),
    )


def _split(argument: str, value: object) -> tuple[str, tuple[object, ...]]:
    """Return the name and the parameters that were given with it."""
    parts = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not (1 <= len(parts) <= 3 and isinstance(parts[0], str)):
        raise TypeError(
            f"{argument}: expected a name, (name, alpha) or (name, alpha, beta), got {value!r}"
        )
    return parts[0], parts[1:]


def _parameter(argument: str, name: str, letter: str, value: object) -> float:
    """Return an activation's alpha or beta, checked, as float."""
    number = as_finite_number(f"{argument} {letter}", value)
    if abs(number) > _LARGEST:
        raise ValueError(
            f"{argument} {letter}: expected a number within float32's range, got {number}"
        )
    if number < 0 and letter == "alpha" and name in _NOT_NEGATIVE:
        raise ValueError(
            f"{argument} alpha: expected a number of at least 0 for {name!r} "
            f"({_NOT_NEGATIVE[name]}), got {number}"
        )
    return number
