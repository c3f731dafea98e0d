"""What a layer's owner may promise of its weights, and how calls check them."""

from __future__ import annotations

import numpy.typing as npt
import torch
from torch import nn

from simdrnn.layers.explanation import Explanation, explained
from simdrnn.runtime import get_num_threads
from simdrnn.torch.packed import packed_for, takes
from simdrnn.torch.spec import Spec
from simdrnn.validate import as_count, as_positive

__all__ = ["FrozenWeights"]

_CHECKED = {
    False: "compared at every call with those that are packed",
    True: "promised to be frozen: not compared, but by calls that want their gradients",
}


class FrozenWeights(nn.Module):
    """A promise that a layer or cell can carry.

    Attributes
    ----------
    frozen_weights : whether nobody writes to the weights in ways that PyTorch does not see:
        ``weight.data``, a NumPy view, another process. Calls that want no gradient of a weight then
        do not compare the values with those that are packed. What PyTorch sees is noticed all the
        same: an optimiser, ``load_state_dict``, another tensor or other memory in a weight's place.
    """

    frozen_weights: bool = False

    def extra_repr(self) -> str:
        """Return what PyTorch says of the layer, and the promise."""
        said = super().extra_repr()
        return f"{said}, frozen_weights=True" if self.frozen_weights else said

    def _explained(
        self,
        spec: Spec,
        weights: list[torch.Tensor],
        steps: int,
        batch: int,
        lengths: npt.ArrayLike | None,
        num_threads: int | None,
    ) -> Explanation:
        """Say how calls would be run."""
        packed = packed_for(spec, weights) if takes(spec, weights) else None
        if packed is None:
            raise TypeError(
                "layer: expected float32 or float64 weights on the CPU, as PyTorch's own path "
                f"runs others, got {weights[0].dtype} on {weights[0].device}"
            )
        threads = min(torch.get_num_threads(), get_num_threads())
        if num_threads is not None:
            threads = min(as_positive("num_threads", num_threads), threads)
        T, B = as_count("T", steps), as_count("B", batch)
        workspace, said = packed.workspace_bytes(T, B), _CHECKED[self.frozen_weights]
        return explained(packed.network, repr(self), T, B, lengths, threads, workspace, said)
