"""The attributes ``activations``, ``activation_alpha`` and ``activation_beta``.

Numbers are taken from the two lists in turn, only by the activations that have such a parameter, as
ONNX Runtime does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from simdrnn.spec.activations import (
    ACTIVATIONS,
    Activation,
    default_parameters,
    parse_activation,
)

__all__ = ["read_activations", "write_activations"]

# Our name -> ONNX's. The identity has none there; it is written as 1 x + 0.
_NAMES = {
    name: "".join(word.capitalize() for word in name.split("_"))
    for name in ACTIVATIONS
    if name != "identity"
}
_KNOWN = {name.lower(): ours for ours, name in _NAMES.items()}


def read_activations(
    label: str, names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> tuple[Activation, ...]:
    """Return the activations that a node's attributes name; numbers that lack are ONNX's defaults.

    Parameters
    ----------
    label : of the node, for messages.
    names : in the order of the attribute; case does not matter.
    alphas, betas : the lists of numbers.

    Raises
    ------
    ValueError : a name is unknown; a number lacks and has no default, is left over or not allowed.

    Examples
    --------
    >>> found = read_activations("node 'n' (RNN)", ["LeakyRelu", "Tanh", "Elu"], [0.5], [])
    >>> [one.argument for one in found]
    [('leaky_relu', 0.5), 'tanh', ('elu', 1.0)]
    """
    left = iter(alphas), iter(betas)
    found = tuple(_one(f"{label}: activations", name, left) for name in names)
    for attribute, rest in zip(("activation_alpha", "activation_beta"), left, strict=True):
        extra = len(list(rest))
        if extra:
            raise ValueError(
                f"{label}: {attribute}: expected one number for each activation that takes one "
                f"({', '.join(names)}), got {extra} more"
            )
    return found


def _one(argument: str, name: str, left: tuple[Iterator[float], Iterator[float]]) -> Activation:
    known = _KNOWN.get(name.lower())
    if known is None:
        raise ValueError(f"{argument}: expected one of {', '.join(_NAMES.values())}, got {name!r}")
    defaults = default_parameters(known)
    given = [next(numbers, default) for numbers, default in zip(left, defaults, strict=False)]
    if None in given:
        raise ValueError(
            f"{argument}: expected activation_alpha and activation_beta for {name}, which has "
            "no defaults, got none"
        )
    return parse_activation(argument, (known, *(float(number or 0.0) for number in given)))


def write_activations(activations: Iterable[Activation]) -> dict[str, list[str] | list[float]]:
    """Return the attributes for activations in the order of ONNX's slots, directions behind.

    Every number is written, also where it is the default: ONNX Runtime's differ.

    Examples
    --------
    >>> found = write_activations([Activation("sigmoid"), Activation("hard_sigmoid", 0.25, 0.5)])
    >>> found["activations"], found["activation_alpha"], found["activation_beta"]
    (['Sigmoid', 'HardSigmoid'], [0.25], [0.5])
    """
    names: list[str] = []
    alphas: list[float] = []
    betas: list[float] = []
    for one in activations:
        shown = Activation("affine", 1.0, 0.0) if one.name == "identity" else one
        names.append(_NAMES[shown.name])
        numbers = (shown.alpha, shown.beta)[: len(default_parameters(shown.name))]
        alphas += numbers[:1]
        betas += numbers[1:]
    attributes: dict[str, list[str] | list[float]] = {"activations": names}
    if alphas:
        attributes["activation_alpha"] = alphas
    if betas:
        attributes["activation_beta"] = betas
    return attributes
