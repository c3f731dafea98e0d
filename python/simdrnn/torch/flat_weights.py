"""What PyTorch's layers keep of their weights beside the parameters, without weak references.

PyTorch's layers look at weak references to tell whether a weight was exchanged. But tensors that
weak references point to cannot be swapped (`torch.utils.swap_tensors`, and what is built on it).
The list of weights tells as much, and is kept anyway.
"""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["FlatWeights"]

_REFERENCES = "_flat_weight_refs"  # PyTorch's attribute


class FlatWeights(nn.RNNBase):
    """A layer of PyTorch's that points to its weights by its list of them alone."""

    def _init_flat_weights(self) -> None:
        super()._init_flat_weights()
        self.drop_references()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of a copied or pickled layer."""
        super().__setstate__(state)
        self.drop_references()

    def _weights_have_changed(self) -> bool:
        present = [getattr(self, name, None) for name in self._flat_weights_names]
        return any(old is not new for old, new in zip(self._flat_weights, present, strict=True))

    def restore_references(self) -> None:
        """Be as PyTorch's layers are, for a module that becomes one."""
        super()._init_flat_weights()

    def drop_references(self) -> None:
        """Forget PyTorch's weak references."""
        setattr(self, _REFERENCES, [])
