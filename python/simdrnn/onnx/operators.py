"""The recurrent operators of ONNX, as they differ from our layers in names and order.

ONNX, "Operators": RNN, GRU and LSTM, versions 7, 14 and 22, https://onnx.ai/onnx/operators/.
Version 14 added ``layout``, version 22 a dtype. Equations and defaults are the same in all.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ARGUMENTS", "LEAST_OPSET", "OPERATORS", "PEEPHOLES", "Operator"]

LEAST_OPSET = 7
"""The first operator set in which the operators have their present meaning."""


class Operator(NamedTuple):
    """One of the three operators.

    Parameters
    ----------
    name : as nodes have it.
    gates : the blocks of rows of W and R, by the letters that our cells have for them: the LSTM's
        i, o, f, c and the GRU's z, r, h of the specification.
    states : h first.
    slots : our options for the activations that ONNX calls f, g and h.
    """

    name: str
    gates: str
    states: tuple[str, ...]
    slots: tuple[str, ...]


OPERATORS: dict[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("RNN", "h", ("h",), ("activation",)),
        Operator("GRU", "zrn", ("h",), ("recurrent_activation", "activation")),
        Operator(
            "LSTM",
            "iofg",
            ("h", "c"),
            ("recurrent_activation", "activation", "output_activation"),
        ),
    )
}

# The blocks of P, by the same letters.
PEEPHOLES = "iof"

# Inputs of a node, by place. RNN and GRU have the first six.
ARGUMENTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
