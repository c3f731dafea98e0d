"""From PyTorch's recurrent modules in a model to ours, and back."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import nn

from simdrnn.torch.cells import GRUCell, LSTMCell, RNNCell
from simdrnn.torch.layers import GRU, LSTM, RNN
from simdrnn.torch.plain import plain_class

__all__ = ["Conversion", "convert", "revert"]

_log = logging.getLogger("simdrnn")

_OURS: dict[type[nn.Module], type[nn.Module]] = {
    plain_class(ours): ours for ours in (LSTM, GRU, RNN, LSTMCell, GRUCell, RNNCell)
}
_NAMES = {plain.__name__ for plain in _OURS}

Model = TypeVar("Model", bound=nn.Module)


@dataclass
class Conversion:
    """What `convert` or `revert` did to a model; as text, a line for each recurrent module.

    Attributes
    ----------
    changed : names of the modules, as in ``model.named_modules()``, and what they are now.
    kept : names of recurrent modules that were left alone, and why.
    """

    changed: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the report."""
        lines = [f"{name or '(the model)'}: now {now}" for name, now in self.changed.items()]
        lines += [f"{name or '(the model)'}: kept, {why}" for name, why in self.kept.items()]
        return "\n".join(lines) or "no recurrent modules"


def convert(model: Model, *, report: Callable[[Conversion], object] | None = None) -> Model:
    """Let our engine run the recurrent modules of a model.

    Modules change their class in place and stay the objects they are: parameters, buffers, hooks,
    ``training`` and every reference to them stay. `torch.nn.LSTM`, `GRU`, `RNN` and their cells are
    changed, the model itself included; not their subclasses, which may compute something else, nor
    modules whose weights are computed (parametrised, pruned, under weight norm), quantised and
    scripted ones.

    Parameters
    ----------
    model : any module; changed in place.
    report : called with a `Conversion`, e.g. ``report=print``. Without it the report goes to the
        logger ``"simdrnn"`` at level INFO.

    Returns
    -------
    the model.

    Raises
    ------
    TypeError : `model` is no module.

    Examples
    --------
    >>> from torch import nn
    >>> model = convert(nn.Sequential(nn.Embedding(9, 3), nn.GRU(3, 4)), report=print)
    1: now simdrnn.torch.GRU(3, 4)
    >>> revert(model, report=print)[1](model[0].weight)[0].shape
    1: now torch.nn.GRU(3, 4)
    torch.Size([9, 4])
    """
    _check(model)
    done = Conversion()
    for name, module in model.named_modules():
        ours = _OURS.get(type(module))
        why = _reason_to_keep(module)
        if ours is not None and why is None:
            module.__class__ = ours
            done.changed[name] = f"simdrnn.torch.{module}"
        elif why is not None:
            done.kept[name] = why
    _tell(done, report)
    return model


def revert(model: Model, *, report: Callable[[Conversion], object] | None = None) -> Model:
    """Let PyTorch run the recurrent modules of a model again: the inverse of `convert`.

    Modules that were built as ours become PyTorch's, too. Subclasses of ours are left alone.

    Parameters
    ----------
    model : any module; changed in place.
    report : as for `convert`.

    Returns
    -------
    the model.

    Raises
    ------
    TypeError : `model` is no module.
    """
    _check(model)
    done, ours = Conversion(), set(_OURS.values())
    for name, module in model.named_modules():
        if type(module) in ours:
            module.__class__ = plain_class(type(module))
            done.changed[name] = f"torch.nn.{module}"
        elif isinstance(module, tuple(ours)):
            done.kept[name] = f"{type(module).__name__} is a subclass of simdrnn.torch's"
    _tell(done, report)
    return model


def _check(model: object) -> None:
    """Raise where there is nothing to look through."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: expected a torch.nn.Module, got {type(model).__name__}")


def _tell(done: Conversion, report: Callable[[Conversion], object] | None) -> None:
    """Hand the report to whoever wants it."""
    if report is not None:
        report(done)
        return
    for line in str(done).splitlines():
        _log.info(line)


def _reason_to_keep(module: nn.Module) -> str | None:
    """Say why a recurrent module is left alone; None where it is not, or is not recurrent."""
    kind = type(module)
    if kind in _OURS:
        return _computed_weights(module)
    if kind in _OURS.values():
        return "it is one of simdrnn.torch already"
    if kind.__module__.startswith("torch.ao.") and kind.__name__ in _NAMES:
        return f"{kind.__module__}.{kind.__name__} is quantised, or to be quantised"
    if getattr(module, "original_name", None) in _NAMES:
        return "it is scripted"
    if not isinstance(module, tuple(_OURS)):
        return None
    parametrised: Any = getattr(module, "parametrizations", None)
    if parametrised is not None:
        return f"{', '.join(parametrised)} parametrised: weights that are computed"
    return f"{kind.__name__} is a subclass of torch.nn.{plain_class(kind).__name__}"


def _computed_weights(module: nn.Module) -> str | None:
    """Name the weights of a module that are not its parameters, as hooks and pruning leave it."""
    names = getattr(module, "_flat_weights_names", ("weight_ih", "weight_hh"))
    computed = [name for name in names if name not in module._parameters]
    return f"{', '.join(computed)} computed from other parameters" if computed else None
