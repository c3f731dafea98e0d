"""What a decoder is made of, and whether that fits together."""

from __future__ import annotations

from typing import NamedTuple

from simdrnn.attention.attention import Attention
from simdrnn.layers.bound import BoundLayer, bound_layer
from simdrnn.layers.parametrised import Parametrised
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.training.modules import Embedding, Linear

__all__ = ["PARTS", "Parts", "check_parts"]

PARTS = ("embedding", "layer", "attention", "combine")

# Options that draw anew in each call: what is one sequence would be as many as it has steps.
_RANDOM = (
    "dropout", "input_dropout", "recurrent_dropout", "candidate_dropout", "weight_dropout",
    "zoneout", "weight_noise",
)  # fmt: skip


class Parts(NamedTuple):
    """The parts of a decoder, and their sizes.

    Attributes
    ----------
    input_size, hidden_size, memory_size, fed_size, output_size : E, H, M, F, and what comes out.
    """

    embedding: Embedding | None
    layer: RecurrentLayer
    attention: Attention
    combine: Linear | None
    input_size: int
    hidden_size: int
    memory_size: int
    fed_size: int
    output_size: int

    @property
    def bound(self) -> BoundLayer:
        """What the layer is bound as."""
        return bound_layer(self.layer)

    def members(self) -> dict[str, Parametrised]:
        """Return the parts that there are, by name."""
        parts = {name: getattr(self, name) for name in PARTS}
        return {name: part for name, part in parts.items() if part is not None}


def check_parts(embedding: object, layer: object, attention: object, combine: object) -> Parts:
    """Return the parts with their sizes, or say what does not fit."""
    if embedding is not None and not isinstance(embedding, Embedding):
        raise TypeError(f"embedding: expected an Embedding or None, got {type(embedding).__name__}")
    if not isinstance(layer, RecurrentLayer):
        raise TypeError(f"layer: expected a recurrent layer, got {type(layer).__name__}")
    if not isinstance(attention, Attention):
        raise TypeError(f"attention: expected an Attention, got {type(attention).__name__}")
    if combine is not None and not isinstance(combine, Linear):
        raise TypeError(f"combine: expected a Linear or None, got {type(combine).__name__}")
    for name, part in {"embedding": embedding, "attention": attention, "combine": combine}.items():
        if part is not None and part.dtype != layer.dtype:
            raise ValueError(f"{name}: expected dtype {layer.dtype} as the layer, got {part.dtype}")
    hidden = _check_layer(layer)
    memory = attention.memory_size
    if attention.query_size is not None and attention.query_size != hidden:
        raise ValueError(
            f"attention: expected query_size = {hidden}, what the layer puts out, "
            f"got {attention.query_size}"
        )
    if memory is None:  # the dot product asks with vectors of the memory's size
        memory = hidden
    fed = memory
    if combine is not None:
        fed = combine.out_features
        if combine.in_features != memory + hidden:
            raise ValueError(
                f"combine: expected in_features = M + H = {memory} + {hidden}, "
                f"got {combine.in_features}"
            )
    inputs = layer.input_size - fed
    if inputs < 1 or (embedding is not None and embedding.embedding_dim != inputs):
        size = "E" if embedding is None else f"{embedding.embedding_dim}"
        raise ValueError(
            f"layer: expected input_size = E + F = {size} + {fed}, got {layer.input_size}"
        )
    output = fed if combine is not None else memory + hidden
    return Parts(embedding, layer, attention, combine, inputs, hidden, memory, fed, output)


def _check_layer(layer: RecurrentLayer) -> int:
    """Return the size of what a layer puts out, if it can be run step by step."""
    bound = bound_layer(layer)
    if layer.bidirectional or bound.structure.reverse:
        raise ValueError("layer: expected a causal layer, got a bidirectional or reversed one")
    if bound.info.step_inputs:
        raise ValueError(f"layer: expected a cell without attention of its own, got {layer!r}")
    for name in _RANDOM:
        value = getattr(layer.options, name)
        if value is not None and value != 0:
            raise ValueError(
                f"layer: expected no {name}, which is drawn once for a sequence, got {value!r}"
            )
    return bound.width
