"""Where `simdrnn.options` was in version 0.1.0, for pickles of it."""

from collections.abc import Sequence
from typing import Any

from simdrnn.layers.version_0_1_0 import fill
from simdrnn.spec import options

__all__ = ["Options"]

# The fields of version 0.1.0, in its order.
_NAMES = (
    "gate_clip", "cell_clip", "proj_clip", "hidden_clip", "step_grad_clip", "step_grad_norm",
    "input_dropout", "recurrent_dropout", "recurrent_dropout_per_gate", "candidate_dropout",
    "zoneout", "weight_dropout", "weight_noise", "activation", "recurrent_activation",
    "output_activation", "num_heads", "layer_norm", "dropout", "activations",
)  # fmt: skip


class Options(options.Options):
    """Options of a layer, as pickles of version 0.1.0 have them."""

    __slots__ = ()

    def __setstate__(self, values: Sequence[Any]) -> None:
        """Take the values of a pickle."""
        fill(self, _NAMES, values)
