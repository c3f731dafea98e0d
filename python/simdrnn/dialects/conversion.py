"""Weights of one package as those of another."""

from __future__ import annotations

from functools import partial
from typing import Any

from simdrnn.dialects.blocks import write_direction
from simdrnn.dialects.containers import Stack, read_stack
from simdrnn.dialects.entries import Forms
from simdrnn.dialects.packing import RowArrays, pack
from simdrnn.dialects.slots import Container, Layout
from simdrnn.dialects.table import CELLS, DIALECTS
from simdrnn.validate import as_bool, as_finite_number, check_choice

__all__ = ["convert", "gate_order"]

# What holds the weights of whole models, too.
_WITH_NAMES = {Container.SUFFIXED, Container.NESTED, Container.FLAT, Container.MODEL}


def _forms(dialect: str, cell: str, argument: str) -> Forms:
    """Return the layouts of a cell by form of its reset gate."""
    check_choice(argument, dialect, DIALECTS)
    forms = DIALECTS[dialect].layouts.get(cell)
    if forms is None:
        title = DIALECTS[dialect].title
        known = " or ".join(repr(name) for name in DIALECTS[dialect].layouts)
        raise ValueError(f"cell: expected {known}, which {title} has, got {cell!r}")
    return forms


def gate_order(dialect: str, cell: str, reset_after: bool | None = None) -> str:
    """Return the letters of a cell's gates in the order in which a dialect's rows have them.

    Parameters
    ----------
    dialect : one of `DIALECTS`.
    cell : ``"lstm"``, ``"gru"`` or ``"rnn"``.
    reset_after : form of the GRU; None for the one that comes first in the table.

    Returns
    -------
    letters of i, f, g, o, of r, z, n, or h.

    Raises
    ------
    ValueError
        If the dialect has no such cell.

    Examples
    --------
    >>> gate_order("onnx", "lstm")
    'iofg'
    """
    check_choice("cell", cell, CELLS)
    forms = _forms(dialect, cell, "dialect")
    if reset_after is None or None in forms:
        return next(iter(forms.values())).order
    if as_bool("reset_after", reset_after) not in forms:
        title = DIALECTS[dialect].title
        raise ValueError(f"reset_after: expected {not reset_after} for {title}, got {reset_after}")
    return forms[reset_after].order


def _read(
    weights: object, source: str, cell: str, forms: list[tuple[bool | None, Layout]],
    bidirectional: bool | None, prefix: str | None,
) -> tuple[bool | None, Stack]:  # fmt: skip
    """Read weights in the first of these forms that they can have."""
    failed, dialect = None, DIALECTS[source]
    if dialect.unpacked is not None:
        weights = dialect.unpacked(weights)
    for form, layout in forms:
        try:
            container = dialect.container
            return form, read_stack(weights, container, layout, cell, bidirectional, prefix)
        except ValueError as error:
            failed = failed or error
    raise failed or ValueError(f"source: expected a form of the {cell}")


def _check_form(dialect: str, forms: Forms, reset_after: bool | None, argument: str) -> None:
    """Raise if a dialect has no GRU of the form."""
    if reset_after not in forms:
        place = "after" if reset_after else "before"
        raise ValueError(
            f"{argument}: expected a dialect whose GRU resets {place} the recurrent product, as "
            f"the weights are for reset_after={reset_after}; {DIALECTS[dialect].title}'s does not"
        )


def _check_prefix(prefix: object, source: str) -> None:
    """Raise where a prefix is none, or weights have no names that could begin with it."""
    if prefix is None:
        return
    if not isinstance(prefix, str):
        raise TypeError(f"prefix: expected a string, got {prefix!r}")
    if DIALECTS[source].container not in _WITH_NAMES:
        title = DIALECTS[source].title
        raise ValueError(
            f"prefix: expected None for {title}, whose layers are alone, got {prefix!r}"
        )


def _adjusted(layout: Layout, dialect: str, forget_bias: float | None) -> Layout:
    """Put in what the user's cells add to the forget gate, where a package lets users choose."""
    if forget_bias is not None and DIALECTS[dialect].forget_bias_chosen and "f" in layout.order:
        return layout._replace(forget_bias=forget_bias)
    return layout


def _write(stack: Stack, target: str, cell: str, layout: Layout) -> Any:
    """Put all arrays together."""
    dialect = DIALECTS[target]
    sizes = {direction.hidden_size for row in stack for direction in row}
    if dialect.container is Container.SUFFIXED and len(sizes) > 1:
        raise ValueError(
            f"weights: expected one hidden_size for all layers, as {dialect.title} has, got "
            f"{' and '.join(map(str, sorted(sizes)))}"
        )
    written = []
    for row in stack:
        arrays = RowArrays(dialect.container, len(row), row[0].dtype)
        written.append(
            [
                write_direction(one, layout, dialect.needs_bias, partial(arrays.allocate, number))
                for number, one in enumerate(row)
            ]
        )
    return pack(
        written, dialect.container, kind=cell, module=dialect.modules.get(cell, ""),
        hidden_size=max(sizes),
    )  # fmt: skip


def convert(
    weights: object,
    source: str,
    target: str,
    *,
    cell: str,
    reset_after: bool | None = None,
    bidirectional: bool | None = None,
    forget_bias: float | None = None,
    prefix: str | None = None,
) -> Any:
    """Return the weights of a package's recurrent layers as another package has them.

    Numbers are copied, so bit for bit the same, with two exceptions, each rounded once: where two
    biases become one, their sum; where the forget gate's bias moves between the weights and the
    cell that adds it when it runs (TensorFlow 1, DyNet, Haiku), bias plus or minus that number. A
    GRU whose z has the other meaning gets negated weights of z, which is exact. Where one bias
    becomes two, the recurrent one is zero, or what the cell added.

    Parameters
    ----------
    weights : a dict or a list, as docs/dialects.md shows for each dialect: PyTorch's
        ``state_dict()`` of the layer, Keras's ``get_weights()``, a dict of the inputs of an ONNX
        node. All arrays have one floating-point dtype, which the results have, too. What a
        dialect keeps for one layer or one direction is a list for more of them, by layer, and
        within a layer forward, then backward.
    source, target : names of the dialects, keys of `DIALECTS`.
    cell : ``"lstm"``, ``"gru"`` or ``"rnn"``.
    reset_after : whether the GRU's reset gate acts after the recurrent product; None finds out
        from the biases' shapes and from what both dialects have, and takes it for True where
        neither tells (ONNX to Keras: it is the node's ``linear_before_reset``).
    bidirectional : whether lists hold both directions of each layer; None finds out from the
        numbers of inputs, which may not tell.
    forget_bias : what cells of TensorFlow 1, DyNet and Core ML add to the forget gate when they
        run, by their argument of that name; None is their default: 1, 1 and 0.
    prefix : what the names of the layer's weights begin with, where `weights` are those of a whole
        model: ``"encoder.rnn"``. It can be left out where the model has one such layer.

    Returns
    -------
    a dict or a list in the form of `target`; its arrays share no memory with `weights`.

    Raises
    ------
    TypeError
        If `weights` or something in it is not of the dialect's kind.
    ValueError
        If names or shapes do not fit, or `target` cannot express the weights: a GRU's form, a
        cell, peepholes or a projection that it does not have.

    Examples
    --------
    >>> import numpy as np
    >>> import simdrnn as sr
    >>> layer = sr.GRU(3, 4, seed=0)
    >>> kernel, recurrent_kernel, bias = convert(layer.state_dict(), "torch", "keras", cell="gru")
    >>> kernel.shape, recurrent_kernel.shape, bias.shape
    ((3, 12), (4, 12), (2, 12))
    >>> back = convert([kernel, recurrent_kernel, bias], "keras", "torch", cell="gru")
    >>> all(np.array_equal(back[name], value) for name, value in layer.state_dict().items())
    True

    The weights of one layer out of a whole model's:

    >>> model = {f"encoder.rnn.{name}": value for name, value in layer.state_dict().items()}
    >>> model |= {f"decoder.rnn.{name}": value for name, value in layer.state_dict().items()}
    >>> len(convert(model, "torch", "keras", cell="gru", prefix="decoder.rnn"))
    3
    """
    check_choice("cell", cell, CELLS)
    sources, targets = _forms(source, cell, "source"), _forms(target, cell, "target")
    if bidirectional is not None:
        bidirectional = as_bool("bidirectional", bidirectional)
    bias = None if forget_bias is None else as_finite_number("forget_bias", forget_bias)
    _check_prefix(prefix, source)
    if reset_after is not None:
        if cell != "gru":
            raise ValueError(f"reset_after: expected None for cell={cell!r}, got {reset_after!r}")
        _check_form(source, sources, as_bool("reset_after", reset_after), "source")
        _check_form(target, targets, as_bool("reset_after", reset_after), "target")
        sources = {bool(reset_after): sources[reset_after]}
    # What both dialects have comes first: it is the form of weights that do not show theirs.
    order = sorted(sources, key=lambda form: form not in targets)
    forms = [(form, _adjusted(sources[form], source, bias)) for form in order]
    form, stack = _read(weights, source, cell, forms, bidirectional, prefix)
    _check_form(target, targets, form, "target")
    return _write(stack, target, cell, _adjusted(targets[form], target, bias))
