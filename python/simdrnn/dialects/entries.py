"""What entries of the table are written with: a dialect, and the layouts that several share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from simdrnn.dialects.slots import Container, Layout, Slot, bias, kernel

__all__ = [
    "Dialect",
    "Forms",
    "apple",
    "dense",
    "folded",
    "gate",
    "inputs",
    "joint",
    "kernels",
    "onnx_inputs",
    "optional",
    "peepholes",
    "two_biases",
]

# Layouts of a cell by the form of its reset gate; cells without one have the single form None.
Forms = Mapping[bool | None, Layout]


class Dialect(NamedTuple):
    """How one package names and arranges weights.

    Parameters
    ----------
    title : the package's name, as its authors write it.
    container : what holds the arrays of a stack of layers.
    layouts : by cell, then by form of the reset gate.
    classes : the package's names of the cells.
    symbols : the package's own letters where they differ from ours, by our letter.
    needs_bias : whether the package has no layers without biases; zeros are written then.
    modules : by cell, the module's name that stands before nested names.
    forget_bias_chosen : whether users choose what the cell adds to the forget gate.
    unpacked : makes the container of an object of the package, where that is not one itself.
    source : where the facts come from.
    """

    title: str
    container: Container
    layouts: Mapping[str, Forms]
    classes: Mapping[str, str]
    symbols: Mapping[str, str] = {}
    needs_bias: bool = False
    modules: Mapping[str, str] = {}
    forget_bias_chosen: bool = False
    unpacked: Callable[[object], object] | None = None
    source: str = ""


def optional(slot: Slot) -> Slot:
    """Return a slot that layers may do without."""
    return slot._replace(optional=True)


def peepholes(name: str) -> tuple[Slot, ...]:
    """Return one array of peephole weights for each gate that has them; `name` has a place."""
    return tuple(optional(Slot(name.format(g), (("peephole", g),))) for g in "ifo")


def two_biases(gates: str, *more: Slot) -> Layout:
    """Return PyTorch's two weights and two biases."""
    return Layout(
        (
            Slot("weight_ih", (("input", gates),)),
            Slot("weight_hh", (("recurrent", gates),)),
            Slot("bias_ih", (("input_bias", gates),)),
            Slot("bias_hh", (("recurrent_bias", gates),)),
            *more,
        )
    )


def kernels(gates: str, *biases: Slot) -> Layout:
    """Return the transposed weights that Keras calls kernels, as others do, too."""
    return Layout(
        (
            kernel("kernel", "input", gates),
            kernel("recurrent_kernel", "recurrent", gates),
            *(biases or (bias("bias", gates),)),
        )
    )


def inputs(gates: str, *last: Slot) -> Layout:
    """Return inputs of ONNX's operators, which OpenVINO has, too."""
    return Layout((Slot("W", (("input", gates),)), Slot("R", (("recurrent", gates),)), *last))


def onnx_inputs(gates: str, *more: Slot) -> Layout:
    """Return the inputs of ONNX's operators."""
    return inputs(gates, Slot("B", (("input_bias", gates), ("recurrent_bias", gates))), *more)


def joint(name: str, gates: str, weight: str = "kernel", one: str = "bias") -> tuple[Slot, ...]:
    """Return one matrix for x and h, and one bias."""
    return kernel(f"{name}{weight}", "fused", gates), bias(f"{name}{one}", gates)


def folded(gates: str) -> Layout:
    """Return kernels as Keras's CuDNN layers have them, and both biases in one array."""
    return Layout(
        (
            kernel("kernel", "input", gates)._replace(folded=True),
            kernel("recurrent_kernel", "recurrent", gates)._replace(folded=True),
            Slot("bias", (("input_bias", gates), ("recurrent_bias", gates))),
        )
    )


def apple(names: Mapping[str, str], *more: Slot) -> Layout:
    """Return CoreML's weights: two matrices and a bias for each gate, by its name there."""
    return Layout(
        (
            *(Slot(f"{name}WeightMatrix", (("input", g),)) for g, name in names.items()),
            *(Slot(f"{name}RecursionMatrix", (("recurrent", g),)) for g, name in names.items()),
            *(bias(f"{name}BiasVector", g) for g, name in names.items()),
            *more,
        )
    )


def gate(name: str, letter: str, *more: Slot) -> tuple[Slot, ...]:
    """Return one of madmom's gates: transposed weights, a bias and perhaps peepholes."""
    return (
        kernel(f"{name}/weights", "input", letter),
        bias(f"{name}/bias", letter),
        kernel(f"{name}/recurrent_weights", "recurrent", letter),
        *more,
    )


def dense(name: str, part: str, gates: str, kept: str | None = None) -> tuple[Slot, ...]:
    """Return a dense layer of Flax; `kept` is what its bias is, if it has one."""
    weights = kernel(f"{name}/kernel", part, gates)
    return (weights,) if kept is None else (weights, Slot(f"{name}/bias", ((kept, gates),)))
