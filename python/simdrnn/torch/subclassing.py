"""Subclasses of PyTorch's recurrent modules, with our loops below their own methods.

A class of somebody's own, ``Mine(nn.LSTM)``, gets a subclass ``Mine`` with our `LSTM` as second
base. So all that it defines stays in force, and what it finds by ``super()``, or does not define,
is ours instead of PyTorch's.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any

from torch import nn

from simdrnn.torch.plain import OWN_BASE, plain_class

__all__ = ["obstacle", "on_engine"]

# What PyTorch's layers ask of themselves on the way, and ours do not.
_ASKED = {
    "_flat_weights", "check_forward_args", "check_hidden_size", "check_input",
    "get_expected_cell_size", "get_expected_hidden_size", "permute_hidden",
}  # fmt: skip
# What ours ask of themselves by a public name.
_PROMISE = "frozen_weights"


def _own(kind: type[nn.Module]) -> Iterator[type[Any]]:
    """Yield the classes that come before PyTorch's in the order of resolution."""
    plain = plain_class(kind)
    yield from kind.__mro__[: kind.__mro__.index(plain)]


def obstacle(module: nn.Module, ours: type[nn.Module]) -> str | None:
    """Say why a module of a subclass of PyTorch's cannot be run by one of ours; None if it can.

    Parameters
    ----------
    module : of the subclass.
    ours : the class that stands for PyTorch's.
    """
    kind = type(module)
    defined = {name: value for one in reversed([*_own(kind)]) for name, value in vars(one).items()}
    asked = sorted(_ASKED & defined.keys())
    if asked:
        return f"{kind.__name__} overrides {', '.join(asked)}, which our loop does not ask"
    names = {name for one in _own(ours) for name in vars(one)}
    taken = {name for name in names if name.startswith("_") and not name.startswith("__")} - _ASKED
    taken.add(_PROMISE)
    children = {name for name, _ in module.named_children()}
    shadowed = sorted(taken & (defined.keys() | module.__dict__.keys() | children))
    if shadowed:
        return f"{kind.__name__} has {', '.join(shadowed)} of its own, a name that ours uses"
    weights = getattr(module, "_flat_weights_names", ("weight_ih", "weight_hh"))
    computed = [name for name in weights if name in defined]
    if computed:
        return f"{kind.__name__} computes {', '.join(computed)}"
    forward = defined.get("forward")
    if forward is not None and not _calls_super(forward):
        return f"{kind.__name__} has a forward of its own, which does not call super().forward"
    return None


def _calls_super(function: Any) -> bool:
    """Tell whether a method may call its super's: where its code cannot be read, it may."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is None or any("super" in one.co_names for one in _codes(code))


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield the code of a function, and of functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def on_engine(kind: type[nn.Module], ours: type[nn.Module]) -> type[nn.Module]:
    """Return the class that has the methods of `kind`, and ours where these call ``super()``.

    Parameters
    ----------
    kind : a subclass of PyTorch's class.
    ours : the class of ours that stands for PyTorch's.

    Returns
    -------
    a class with the name of `kind`; always the same one as long as it is in use.
    """
    for made in kind.__subclasses__():
        if vars(made).get(OWN_BASE) is kind:
            return made

    def fill(body: dict[str, Any]) -> None:
        body |= {
            OWN_BASE: kind,
            "__module__": kind.__module__,
            "__qualname__": kind.__qualname__,
            "__doc__": kind.__doc__,
            "__reduce_ex__": _reduce,
        }

    return types.new_class(kind.__name__, (kind, ours), exec_body=fill)


def _reduce(self: Any, protocol: Any) -> Any:
    """Pickle and copy by the class that somebody can import."""
    kind: Any = next(one for one in type(self).__mro__ if OWN_BASE in vars(one))
    made = super(kind, self).__reduce_ex__(max(int(protocol), 2))
    if not isinstance(made, tuple) or made[1][:1] != (kind,):
        return made
    arguments = (vars(kind)[OWN_BASE], kind.__bases__[1], *made[1][1:])
    return _new, arguments, *made[2:]


def _new(kind: type[nn.Module], ours: type[nn.Module], *arguments: Any) -> nn.Module:
    """Make an empty module, for `pickle`."""
    made = on_engine(kind, ours)
    return made.__new__(made, *arguments)
