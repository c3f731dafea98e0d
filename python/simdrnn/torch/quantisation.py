"""What tells that PyTorch's quantisation passes our modules over."""

from __future__ import annotations

import warnings
from typing import Any

from simdrnn.torch.plain import plain_class

__all__ = ["Noticed"]

_NAME = "qconfig"


class Noticed:
    """The attribute ``qconfig`` of our modules: whoever sets it is about to look for PyTorch's.

    ``torch.ao.quantization`` gives each module of a model this attribute, None to those whose class
    it does not know, and then exchanges modules by their exact class. Ours it leaves as they are
    without a word, wherever it would have exchanged the class that they stand for.
    """

    def __get__(self, module: Any, owner: type[Any] | None = None) -> Any:
        """Return the attribute as any other."""
        if module is None:
            return self
        try:
            return module.__dict__[_NAME]
        except KeyError:
            raise AttributeError(_NAME) from None

    def __set__(self, module: Any, value: Any) -> None:
        """Set it, and warn."""
        module.__dict__[_NAME] = value
        kind = type(module).__name__
        warnings.warn(
            f"torch.ao.quantization leaves simdrnn.torch's {kind} as it is: it looks for "
            f"torch.nn.{plain_class(type(module)).__name__} itself. If it was to be quantised, "
            "call simdrnn.torch.revert(model) before",
            UserWarning,
            stacklevel=3,
        )

    def __delete__(self, module: Any) -> None:
        """Take it away again."""
        try:
            del module.__dict__[_NAME]
        except KeyError:
            raise AttributeError(_NAME) from None
