"""Write docs/dialects.md: how each package arranges the weights of its recurrent layers.

All of it is the table in `simdrnn.dialects.table`. Takes the path of the page; without one, prints
it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from simdrnn.dialects.entries import Dialect
from simdrnn.dialects.slots import Container, Layout, Slot
from simdrnn.dialects.table import CELLS, DIALECTS

_HEAD = """\
# Dialects

Written by `tools/write_dialects_page.py` from the table that `sr.dialects.convert` works with; a
test checks that it is up to date.

```python
w = sr.dialects.convert(keras_layer.get_weights(), "keras", "torch", cell="gru")
torch_layer.load_state_dict({name: torch.from_numpy(array) for name, array in w.items()})
```

The tables list gates in the order of the arrays, in each package's own letters. Shapes: I inputs, H
hidden units, P the size of a projection (H without one), D directions. `convert` finds names with
anything before them, as in `encoder.rnn.weight_ih_l0` or `rnn/basic_lstm_cell/kernel:0`, and
writes them without. The weights of a whole model may be handed over: other modules' are passed
over, and where several are recurrent, `prefix="encoder.rnn"` chooses one. Biases: "both" are two
that are added, "sum" is one.

Numbers stay the same bit for bit, but where two biases become one, or where a forget bias that a
cell adds when it runs is put into the weights and there is one bias for it: these are rounded once.
Where one bias becomes two, the recurrent one is zero, or what the cell added, so that coming back
is exact. What a package has no place for is refused: a form of the GRU, peepholes, a projection, a
recurrent bias of n that is not zero.
"""

_NOTES = """\
## What weights do not say

* **`hard_sigmoid`** is not one function. ONNX's and Keras 2's is 0.2 x + 0.5, cut at 0 and 1; Keras
  3's is x / 6 + 0.5. Weights of Keras 2 need `recurrent_activation=("hard_sigmoid", 0.2, 0.5)`,
  those of Keras 3 `"keras_hard_sigmoid"`. Before Keras 2.3 it was the default of LSTM and GRU.
* Keras's CuDNN layers keep cuDNN's matrices in the shape of kernels: the memory of each gate's
  columns is that of its rows. Only their bias, of twice the length, tells them from other layers.
* Core ML cuts the sums of gates at 50 and -50: `gate_clip=50.0`. Its messages may be handed over
  as they are (`layer.uniDirectionalLSTM.weightParams`, `layer.gru`), flat matrices too. Where
  `params.forgetBias` is set, `forget_bias=1.0`.
* A parsed file of GuitarML may be handed over whole. What it computes is `lin(rec(x)) + x` where
  its `skip` is 1: `lin.weight` and `lin.bias` are a `simdrnn.Linear`'s.
* madmom's layers may be handed over as they are, `BidirectionalLayer` too. A GRU's `hid_init` is no
  weight, and activations other than sigmoid and tanh are refused.
* DyNet's parameters are `builder.get_parameters()`, each `.as_array()`: Wx, Wh, b of each layer.
* A whole file of RTNeural becomes layers by `sr.dialects.load_rtneural("model.json")`.
"""

_FORMS = {
    True: "reset after the recurrent product: n = tanh(W x + b + r * (R h + b'))",
    False: "reset before the recurrent product: n = tanh(W x + R (r * h) + b)",
}

_PARTS = {"input_bias": "input", "recurrent_bias": "recurrent", "bias": "sum"}


def row(*cells: str) -> str:
    """Write one row of a table."""
    return f"| {' | '.join(cells)} |"


def table(*head: str) -> list[str]:
    """Write the head of a table."""
    return [row(*head), row(*["---"] * len(head))]


def times(count: int, letter: str) -> str:
    """Write 4*H, but H for one."""
    return letter if count == 1 else f"{count}*{letter}"


def shape(slot: Slot, directions: bool, projected: bool) -> str:
    """Write the shape of an array in letters."""
    part = slot.pieces[0][0]
    outputs = "P" if projected else "H"
    widths = {"input": "I", "recurrent": outputs, "fused": f"I+{outputs}", "projection": "H"}
    letters = [times(slot.gates, "H") if slot.gates else "P"]
    if slot.stacked:
        count = len(slot.pieces)
        letters = [str(count), times(slot.gates // count, "H")]
    letters += [widths[part]] if part in widths else []
    letters = letters[::-1] if slot.transposed else letters
    letters = ["D", *letters] if directions else letters
    return f"({', '.join(letters)}{',' if len(letters) == 1 else ''})"


def symbols(dialect: Dialect, gates: Iterable[str]) -> str:
    """Write gates in the package's letters."""
    return ", ".join(dialect.symbols.get(gate, gate) for gate in gates)


def biases(dialect: Dialect, layout: Layout) -> str:
    """Say which biases there are."""
    pieces = [piece for slot in layout.slots if slot.is_bias for piece in slot.pieces]
    by_part: dict[str, str] = {}
    for part, gates in pieces:
        by_part[part] = by_part.get(part, "") + gates
    if set(by_part) == {"bias"}:
        return "sum"
    if "bias" not in by_part and by_part["input_bias"] == by_part["recurrent_bias"]:
        return "both"
    return "; ".join(f"{_PARTS[part]} {symbols(dialect, g)}" for part, g in by_part.items())


def remarks(dialect: Dialect, layout: Layout) -> str:
    """Say what else differs."""
    found = []
    if dialect.forget_bias_chosen and "f" in layout.order and not layout.forget_bias:
        found.append("the cell may add `forget_bias` to f")
    if layout.forget_bias:
        what = "`forget_bias`" if dialect.forget_bias_chosen else f"{layout.forget_bias:g}"
        found.append(f"the cell adds {what} to f")
    if layout.z_flipped:
        found.append("h' = (1 - z) h + z a: weights of z are negated")
    if layout.apart:
        found.append(f"no recurrent bias of {symbols(dialect, layout.apart)}")
    if any(slot.optional and not slot.is_bias for slot in layout.slots):
        found.append("arrays in brackets are optional")
    return "; ".join(found)


def cell_rows(cell: str) -> list[str]:
    """Write a table for each form of a cell."""
    lines = []
    for form in (True, False) if cell == "gru" else (None,):
        if form is not None:
            lines += [f"### {_FORMS[form]}", ""]
        lines += table("dialect", "class", "gates", "arrays", "biases", "")
        for name, dialect in DIALECTS.items():
            layout = dialect.layouts.get(cell, {}).get(form)
            if layout is None:
                continue
            arrays = []
            projected = any(slot.pieces[0][0] == "projection" for slot in layout.slots)
            for slot in layout.slots:
                text = shape(slot, dialect.container is Container.DIRECTIONS, projected)
                path = f"{dialect.modules.get(cell, '')}/{slot.name}".lstrip("/")
                array = f"`{path}` {text}"
                arrays.append(f"[{array}]" if slot.optional else array)
            lines.append(
                row(
                    f"`{name}`",
                    dialect.classes[cell],
                    symbols(dialect, layout.order),
                    ", ".join(arrays),
                    biases(dialect, layout),
                    remarks(dialect, layout),
                )
            )
        lines.append("")
    return lines


def page() -> str:
    """Return the whole page."""
    lines = [_HEAD, *table("dialect", "package", "container", "without biases")]
    for name, dialect in DIALECTS.items():
        without = "zeros are written" if dialect.needs_bias else "arrays are left out"
        lines.append(row(f"`{name}`", dialect.title, dialect.container.value, without))
    lines += [
        "",
        "A container that holds one layer or one direction is, for more of them, a list of",
    ]
    lines += [
        "such: by layer, and within a layer forward, then backward. Slashes stand between the",
        "names of nested dicts.",
        "",
    ]
    for cell in CELLS:
        lines += [f"## {cell.upper()}", "", *cell_rows(cell)]
    lines += [_NOTES, "## Where this is from", ""]
    lines += [f"* `{name}`: {dialect.source}." for name, dialect in DIALECTS.items()]
    return "\n".join([*lines, ""])


def main() -> None:
    """Write the page to the path given, or print it."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
