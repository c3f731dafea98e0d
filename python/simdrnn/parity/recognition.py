"""How a thing that a layer is compared with is called: known by packages already imported."""

from __future__ import annotations

import sys
from typing import Any

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.parity.peers import Peer
from simdrnn.parity.runs import Inputs, run_ours
from simdrnn.validate import Array

__all__ = ["as_peer"]


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
