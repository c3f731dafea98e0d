"""From PyTorch's recurrent modules in a model to ours, and back."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import nn

from simdrnn.torch.cells import GRUCell, LSTMCell, RNNCell
from simdrnn.torch.flat_weights import FlatWeights
from simdrnn.torch.layers import GRU, LSTM, RNN
from simdrnn.torch.plain import OWN_BASE, make_plain, plain_class
from simdrnn.torch.promise import FrozenWeights
from simdrnn.torch.subclassing import obstacle, on_engine
from simdrnn.validate import as_bool

__all__ = ["Conversion", "convert", "revert"]

_log = logging.getLogger("simdrnn")

_OURS: dict[type[nn.Module], type[nn.Module]] = {
    plain_class(ours): ours for ours in (LSTM, GRU, RNN, LSTMCell, GRUCell, RNNCell)
}
_ALREADY = "it is one of simdrnn.torch already"
_NEWLINE = "\n"
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


def convert(
    model: Model,
    subclasses: bool = False,
    frozen_weights: bool = False,
    *,
    report: Callable[[Conversion], object] | None = None,
) -> Model:
    """Let our engine run the recurrent modules of a model.

    Modules change their class in place and stay the objects they are: parameters, buffers, hooks,
    ``training`` and every reference to them stay. `torch.nn.LSTM`, `GRU`, `RNN` and their cells are
    changed, the model itself included; not modules whose weights are computed (parametrised,
    pruned, under weight norm), quantised and scripted ones. Where nothing was changed, a
    ``UserWarning`` says what was found and why it stays, unless all of it is ours already.

    Parameters
    ----------
    model : any module; changed in place.
    subclasses : whether modules of subclasses of PyTorch's are changed, too. Their own methods stay
        in force, and find ours by ``super()``; those whose ``forward`` does not call it, or that
        override what PyTorch's calls on the way, are left alone.
    frozen_weights : whether to give all modules of ours in the model their owner's promise that
        nobody writes to the weights unseen: then they need not be compared at every call. See
        `LSTM.frozen_weights`, the attribute that this sets.
    report : called with a `Conversion`, e.g. ``report=print``. Without it the report goes to the
        logger ``"simdrnn"`` at level INFO.

    Returns
    -------
    the model.

    Raises
    ------
    TypeError : `model` is no module, or one of the others no bool.

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
    too, promised = as_bool("subclasses", subclasses), as_bool("frozen_weights", frozen_weights)
    done = Conversion()
    for name, module in model.named_modules():
        recurrent = isinstance(module, tuple(_OURS))
        why = _reason_to_keep(module, too)
        if recurrent and why is None:
            why = _make_ours(module)
        if promised and isinstance(module, FrozenWeights):
            module.frozen_weights = True
        if why is not None:
            done.kept[name] = why
        elif recurrent:
            done.changed[name] = _shown(module)
    _tell(done, report)
    if not done.changed and not (done.kept and {*done.kept.values()} == {_ALREADY}):
        warnings.warn(
            f"simdrnn.torch.convert changed nothing: {str(done).replace(_NEWLINE, '; ')}",
            UserWarning,
            stacklevel=2,
        )
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
        own = OWN_BASE in vars(type(module))
        if own or type(module) in ours:
            make_plain(module)
            done.changed[name] = str(module) if own else f"torch.nn.{module}"
        elif isinstance(module, tuple(ours)):
            done.kept[name] = f"{type(module).__name__} is a subclass of simdrnn.torch's"
    _tell(done, report)
    return model


def _make_ours(module: nn.Module) -> str | None:
    """Change the class of a module of PyTorch's; say why where Python does not let us."""
    kind = type(module)
    ours = _OURS[plain_class(kind)]
    try:
        module.__class__ = ours if kind in _OURS else on_engine(kind, ours)
    except TypeError as error:  # of a class that lets nobody derive from it, or has slots
        return f"{kind.__name__} cannot change its class: {error}"
    if isinstance(module, FlatWeights):
        FlatWeights.drop_references(module)  # by our name: the class may have one of its own
    return None


def _shown(module: nn.Module) -> str:
    """Say what a module is now, for the report."""
    if OWN_BASE in vars(type(module)):
        return f"{module} on simdrnn.torch.{plain_class(type(module)).__name__}"
    return f"simdrnn.torch.{module}"


def _check(model: object) -> None:
    """Raise where there is nothing to look through."""
    if isinstance(model, nn.Module):
        return
    found = type(model).__name__
    if isinstance(model, Mapping):
        found += (
            ": pass the model whose state_dict() it is, or see simdrnn.dialects.convert, which "
            "turns weights alone over"
        )
    raise TypeError(f"model: expected a torch.nn.Module, got {found}")


def _tell(done: Conversion, report: Callable[[Conversion], object] | None) -> None:
    """Hand the report to whoever wants it."""
    if report is not None:
        report(done)
        return
    for line in str(done).splitlines():
        _log.info(line)


def _reason_to_keep(module: nn.Module, subclasses: bool) -> str | None:
    """Say why a recurrent module is left alone; None where it is not, or is not recurrent."""
    kind = type(module)
    if kind in _OURS:
        return _computed_weights(module)
    if isinstance(module, tuple(_OURS.values())):
        return _ALREADY
    if kind.__module__.startswith("torch.ao.") and kind.__name__ in _NAMES:
        return f"{kind.__module__}.{kind.__name__} is quantised, or to be quantised"
    if getattr(module, "original_name", None) in _NAMES:
        return "it is scripted"
    if not isinstance(module, tuple(_OURS)):
        return None
    parametrised: Any = getattr(module, "parametrizations", None)
    if parametrised is not None:
        return f"{', '.join(parametrised)} parametrised: weights that are computed"
    plain = plain_class(kind)
    why = obstacle(module, _OURS[plain]) or _computed_weights(module)
    if why is None and not subclasses:
        why = "subclasses=True changes it, too"
    return why and f"{kind.__name__} is a subclass of torch.nn.{plain.__name__}: {why}"


def _computed_weights(module: nn.Module) -> str | None:
    """Name the weights of a module that are not its parameters, as hooks and pruning leave it."""
    names = getattr(module, "_flat_weights_names", ("weight_ih", "weight_hh"))
    computed = [name for name in names if name not in module._parameters]
    return f"{', '.join(computed)} computed from other parameters" if computed else None
