"""What a layer can be compared with, and how it is called: known by packages already imported."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from simdrnn.dialects.arrays import as_weights
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.parity.runs import Inputs, run_ours
from simdrnn.validate import Array

__all__ = ["Peer", "as_peer", "as_result", "flatten"]


class Peer:
    """A plain function from x to an output, or to an output and states.

    Attributes
    ----------
    name : in words.
    dtype : of what it is given; None for the layer's.
    batch_first : whether its sequences are (B, T, ...); None for as the layer has them.
    takes_state : whether initial states can be handed to it.
    why_no_gradients : said in the report where there are none; empty where there are.
    """

    dtype: np.dtype[Any] | None = None
    batch_first: bool | None = None
    takes_state = False
    why_no_gradients = "gradients: theirs is only known as a function"

    def __init__(self, thing: Any) -> None:
        self.thing = thing
        self.name = getattr(thing, "__name__", None) or type(thing).__name__

    def run(self, x: Array, states: tuple[Array, ...]) -> list[Array]:
        """Return the output, then whatever else comes with it, as arrays.

        Parameters
        ----------
        x : (T, B, I) or (B, T, I), as `batch_first` says.
        states : initial ones, (L*D, B, H), if it takes them.
        """
        return [*flatten(self.thing(x))]

    def gradients(
        self, x: Array, states: tuple[Array, ...], d_results: list[Array | None]
    ) -> dict[str, Array]:
        """Return gradients by name, given those of the results that `run` returned."""
        raise NotImplementedError

    def renamed(self, gradients: dict[str, Array], layer: RecurrentLayer) -> dict[str, Array]:
        """Return gradients of our layer by the names that `gradients` has, as far as it can."""
        return gradients


def as_result(value: Any) -> Array:
    """Return an array of what a function returned."""
    return as_weights("theirs", value)


def flatten(result: Any, convert: Callable[[Any], Any] = as_result) -> Iterable[Any]:
    """Yield the arrays of nested tuples, lists and dicts."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (tuple, list)):
        for member in result:
            yield from flatten(member, convert)
    elif result is not None:
        yield convert(result)


class LayerPeer(Peer):
    """Another layer of ours, of either engine."""

    takes_state = True
    why_no_gradients = ""

    def __init__(self, thing: RecurrentLayer) -> None:
        super().__init__(thing)
        self.name = f"{type(thing).__module__.removesuffix('.layers')}.{thing!r}"
        self.dtype, self.batch_first = thing.dtype, thing.batch_first

    def run(self, x: Array, states: tuple[Array, ...]) -> list[Array]:
        """Run the layer."""
        return list(run_ours(self.thing, Inputs(x, states)).values())

    def gradients(
        self, x: Array, states: tuple[Array, ...], d_results: list[Array | None]
    ) -> dict[str, Array]:
        """Run the layer there and back."""
        d_output, *d_states = d_results
        given = tuple(one for one in d_states if one is not None)
        found = run_ours(self.thing, Inputs(x, states, d_output, given or None))
        return {name: one for name, one in found.items() if name.startswith("gradient")}


def _onnx_peer(theirs: Any) -> Peer | None:
    """Return the peer of an ONNX model or session."""
    onnx, runtime = sys.modules.get("onnx"), sys.modules.get("onnxruntime")
    is_model = onnx is not None and isinstance(theirs, onnx.ModelProto)
    if not is_model and (runtime is None or not isinstance(theirs, runtime.InferenceSession)):
        return None
    from simdrnn.parity.onnx_peer import OnnxPeer

    return OnnxPeer(theirs, is_model)


def _keras_peer(theirs: Any) -> Peer | None:
    """Return the peer of a Keras layer or model."""
    keras = sys.modules.get("keras")
    # While it is being imported, it has no layers yet.
    base = getattr(getattr(keras, "layers", None), "Layer", None)
    if base is None or not isinstance(theirs, base):
        return None
    from simdrnn.parity.keras_peer import KerasPeer

    return KerasPeer(theirs)


def _torch_peer(theirs: Any) -> Peer | None:
    """Return the peer of a PyTorch module."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(theirs, torch.nn.Module):
        return None
    from simdrnn.parity.torch_peer import TorchPeer

    return TorchPeer(theirs)


def as_peer(theirs: Any) -> Peer:
    """Return how `theirs` is called.

    Raises
    ------
    TypeError
        If it is nothing that can be called.
    """
    if isinstance(theirs, RecurrentLayer):
        return LayerPeer(theirs)
    # On PyTorch, Keras's layers are modules of it, too: they are asked for first.
    for recognise in (_onnx_peer, _keras_peer, _torch_peer):
        peer = recognise(theirs)
        if peer is not None:
            return peer
    if not callable(theirs):
        raise TypeError(
            "theirs: expected a PyTorch module, a Keras layer, an ONNX model or session, a layer "
            f"of simdrnn, or a function of x, got {type(theirs).__name__}"
        )
    return Peer(theirs)
