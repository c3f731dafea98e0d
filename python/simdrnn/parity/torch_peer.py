"""PyTorch's modules as what a layer is compared with."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from simdrnn.parity.peers import Peer, flatten
from simdrnn.parity.probes import Constants, constants_of_code
from simdrnn.validate import Array

__all__ = ["TorchPeer", "differentiate", "to_numpy"]


def to_numpy(tensor: Any) -> Array:
    """Return a tensor's numbers; those of types that NumPy lacks as float32."""
    torch = sys.modules["torch"]
    plain = tensor.detach().cpu()
    return np.asarray(plain.float() if plain.dtype == torch.bfloat16 else plain)


def differentiate(
    results: Sequence[Any], d_results: Sequence[Array | None], by: Mapping[str, Any]
) -> dict[str, Array]:
    """Return gradients of tensors by named tensors, through PyTorch's autograd.

    Parameters
    ----------
    results, d_results : tensors, and gradients of the loss by them; None for those that do not
        count.
    by : name -> tensor that requires gradients; those that nothing depends on are left out.
    """
    torch = sys.modules["torch"]
    pairs = [
        (result, torch.as_tensor(d_result, dtype=result.dtype, device=result.device))
        for result, d_result in zip(results, d_results, strict=True)
        if d_result is not None
    ]
    found = torch.autograd.grad(
        [result for result, _ in pairs], [*by.values()], [d_result for _, d_result in pairs],
        allow_unused=True,
    )  # fmt: skip
    return {name: to_numpy(one) for name, one in zip(by, found, strict=True) if one is not None}


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """Switch dropout off, in each module as it was afterwards."""
    were = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in were.items():
            part.training = training


class TorchPeer(Peer):
    """A module: one of PyTorch's recurrent layers, or any that maps a sequence to a sequence."""

    why_no_gradients = ""

    def __init__(self, thing: Any) -> None:
        torch = sys.modules["torch"]
        super().__init__(thing)
        self._torch = torch
        self.name = (
            f"torch.nn.{thing}"
            if type(thing).__module__.startswith("torch.nn")
            else str(type(thing).__name__)
        )
        first = next(iter(thing.parameters()), None)
        self._dtype = torch.float32 if first is None else first.dtype
        self._device = None if first is None else first.device
        self.dtype = to_numpy(torch.empty(0, dtype=self._dtype)).dtype
        self.takes_state = isinstance(thing, torch.nn.RNNBase)
        self.batch_first = getattr(thing, "batch_first", None)

    def constants(self) -> Constants:
        """Return numbers of modules, and of the code that runs them."""
        found: list[Any] = []
        for module in self.thing.modules():
            found += vars(module).values()
            for one in vars(module).values():
                found += constants_of_code(one)
            found += [one.item() for one in module.buffers(recurse=False) if one.numel() == 1]
            if not type(module).__module__.startswith("torch."):
                found += constants_of_code(type(module).forward)
        return Constants.among(found)

    def _call(self, x: Any, states: Sequence[Any]) -> list[Any]:
        """Run the module on tensors."""
        with _evaluating(self.thing):
            if not states:
                result = self.thing(x)
            else:
                result = self.thing(x, states[0] if len(states) == 1 else tuple(states))
        return [*flatten(result, lambda tensor: tensor)]

    def _tensor(self, array: Array, requires_grad: bool = False) -> Any:
        """Return a copy of an array as a tensor."""
        tensor = self._torch.tensor(array, dtype=self._dtype, device=self._device)
        return tensor.requires_grad_(requires_grad)

    def run(self, x: Array, states: tuple[Array, ...]) -> list[Array]:
        """Run the module."""
        with self._torch.no_grad():
            return [*map(to_numpy, self._call(self._tensor(x), [*map(self._tensor, states)]))]

    def gradients(
        self, x: Array, states: tuple[Array, ...], d_results: list[Array | None]
    ) -> dict[str, Array]:
        """Run the module there and back; its own gradients stay as they are."""
        with self._torch.enable_grad():
            by = {"gradient of x": self._tensor(x, True)}
            initial = [self._tensor(one, True) for one in states]
            by |= {f"gradient of initial {n}": s for n, s in zip("hc", initial, strict=False)}
            results = self._call(by["gradient of x"], initial)
            by |= {
                f"gradient of {name}": parameter
                for name, parameter in self.thing.named_parameters()
                if parameter.requires_grad
            }
            return differentiate(results, d_results, by)
