"""Write docs/features.md: every option, what it does, where it acts, and which cells take it.

Nothing is said twice: meanings and sources are docstrings, and which cell takes an option is found
by asking its constructor. Takes the path of the page; without one, prints it.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import simdrnn as sr
from simdrnn import reference
from simdrnn.layers.constructors import bound_to
from simdrnn.layers.kinds import AnyLayer
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.streaming import Stream
from simdrnn.reference.layers import REFERENCE
from simdrnn.spec import activations
from simdrnn.spec.options import Options
from simdrnn.spec.parameters import INITIALIZERS
from simdrnn.spec.structure import Structure

_HEAD = """\
# Features

Written by `tools/write_features_page.py` from docstrings, signatures and what constructors accept;
a test checks that it is up to date. `docs/cells.md` has the equations of the cells,
`docs/engines.md` the exact meaning of every option.

Layers on both engines, the compiled one and the NumPy twin, take the same arguments, and give
gradients through all of them. Single cells take the options of a step; they do not train, so those
that act in training do nothing there.
"""

# Where an option acts, and its source where the docstring names none. A new option needs a line.
_PLACES: dict[str, tuple[str, str]] = {
    "gate_clip": ("gates, before their activation", "ONNX operators, `clip`"),
    "cell_clip": ("c, after its update", "Sak et al. 2014, arXiv:1402.1128"),
    "proj_clip": ("h, after its projection", "TensorFlow, `proj_clip`"),
    "hidden_clip": ("h, after its update", ""),
    "step_grad_clip": ("every step of backward", "Graves 2013, arXiv:1308.0850"),
    "step_grad_norm": ("every step of backward", "Pascanu et al. 2013, arXiv:1211.5063"),
    "input_dropout": ("input of every layer; training", ""),
    "recurrent_dropout": (
        "h before the recurrent product; training",
        "Gal and Ghahramani 2016, arXiv:1512.05287",
    ),
    "recurrent_dropout_per_gate": ("h before each gate's recurrent product; training", "Keras"),
    "candidate_dropout": ("candidate, before it enters the state; training", ""),
    "zoneout": ("all states, after their update", ""),
    "state_noise": (
        "argument of an RNN's activation, current of a CTRNN; training",
        "Song et al. 2016, PLoS Comput. Biol. 12(2)",
    ),
    "weight_dropout": ("`weight_hh`, once per call; training", ""),
    "weight_noise": ("all weights, once per call; training", ""),
    "layer_norm": (
        "W x, R h and, where there is one, c",
        "Ba et al. 2016, arXiv:1607.06450; haste, PyTorch, TensorFlow Addons",
    ),
    "activation": ("candidate", "ONNX operators, `activations`"),
    "recurrent_activation": ("gates", "ONNX operators, `activations`"),
    "num_heads": ("recurrent matrices", "Beck et al. 2024, arXiv:2405.04517"),
    "output_activation": ("c on its way to h", "ONNX operators, `activations`"),
    "dropout": ("between layers; training", "Zaremba et al. 2014, arXiv:1409.2329"),
    "merge": ("outputs of both directions", "Schuster and Paliwal 1997; Keras, `merge_mode`"),
    "residual": ("output of every layer", "Wu et al. 2016, arXiv:1609.08144"),
    "reverse": ("order of the steps", "Keras, `go_backwards`"),
    "keep_order": ("order of the outputs", "Flax, `keep_order`"),
    "learn_initial_state": ("states before the first step", "Forcada and Carrasco 1995"),
}

# Tried in turn to find out of what kind an option is.
_TRIALS = (0.5, True, "softsign", 1)


def entries(text: str | None) -> dict[str, str]:
    """Return the entries of a docstring's section of parameters, each on one line."""
    pattern = r"^Parameters\n-+\n(.*?)(?=\n\n\w[\w ]*\n-+\n|\Z)"
    section = re.search(pattern, _clean(text), re.S | re.M)
    lines = section.group(1) if section else ""
    found = re.findall(r"^(\w[\w, ]*) : (.*(?:\n +.*)*)", lines, re.M)
    return {names: " ".join(meaning.split()) for names, meaning in found}


def each(text: str | None) -> dict[str, str]:
    """Return the entries with those apart that share a line."""
    return {name: meaning for names, meaning in entries(text).items() for name in names.split(", ")}


def _clean(text: str | None) -> str:
    return inspect.cleandoc(text or "")


def summary(thing: object) -> str:
    """Return the first line of a docstring."""
    return _clean(thing.__doc__).splitlines()[0]


def references(thing: object) -> str:
    """Return a docstring's section of references, on one line."""
    match = re.search(r"^References\n-+\n(.*?)(?=\n\n|\Z)", _clean(thing.__doc__), re.S | re.M)
    return " ".join(match.group(1).split()) if match else ""


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


# Which cell takes what


# Options that only layers with an argument of their own take.
_OF_A_LAYER = {"proj_clip": "`LSTM` with `proj_size`"}

# What an option needs beside itself.
_NEEDS: dict[str, dict[str, Any]] = {"recurrent_dropout_per_gate": {"recurrent_dropout": 0.5}}


def constructor(cell: str) -> Callable[..., RecurrentLayer]:
    """Return a class whose layers are of a cell, whatever public class has it as an option."""
    return bound_to(REFERENCE)(type("Layer", (AnyLayer,), {"_cell": staticmethod(lambda: cell)}))


def takes(cell: str, **options: Any) -> bool:
    """Tell whether a layer of the cell can be made with these options."""
    try:
        constructor(cell)(1, 1, **options)
    except ValueError:
        return False
    return True


def with_its_own(option: str, value: Any) -> dict[str, Any]:
    """Give an option a value, together with the option that it is about."""
    return {option: value} | _NEEDS.get(option, {})


def trial(option: str) -> Any:
    """Return a value of the kind that an option takes."""
    for value in _TRIALS:
        try:
            if any(takes(cell, **with_its_own(option, value)) for cell in reference.CELLS):
                return value
        except TypeError:
            continue
    raise ValueError(f"{option}: expected a cell that takes one of {_TRIALS}, got none")


def step_options() -> dict[str, dict[str, bool]]:
    """Return for each option of a step which cells take it, and which a pair for zoneout."""
    names = [f.name for f in fields(Options) if f.repr and f.name not in _OF_A_LAYER]
    given = [(name, with_its_own(name, trial(name))) for name in names]
    given.append(("zoneout=(p_h, p_c)", {"zoneout": (0.25, 0.5)}))
    return {
        name: {cell: takes(cell, **options) for cell in reference.CELLS} for name, options in given
    }


def of_options() -> str:
    """Describe the options of a step, and say which cells take those that not all take."""
    meanings, taken = each(Options.__doc__), step_options()
    rows = []
    for field in fields(Options):
        if field.repr or field.name == "dropout":
            everywhere = not field.repr or all(taken.get(field.name, {}).values())
            cells = _OF_A_LAYER.get(field.name, "all" if everywhere else "see below")
            rows.append(option_row(field.name, meanings[field.name], cells))
    partial = {name: cells for name, cells in taken.items() if not all(cells.values())}
    matrix = table(
        ["cell", *(f"`{name}`" for name in partial)],
        (
            [f"`{cell}`", *("yes" if partial[name][cell] else "" for name in partial)]
            for cell in reference.CELLS
        ),
    )
    return f"{table(['option', 'meaning', 'acts on', 'source', 'cells'], rows)}\n\n{matrix}"


def option_row(name: str, meaning: str, *more: str) -> list[str]:
    """Describe one option; a source in parentheses at the end of its meaning stands apart."""
    if name not in _PLACES:
        raise ValueError(f"{name}: expected a line in _PLACES of {Path(__file__).name}, got none")
    place, source = _PLACES[name]
    cited = re.search(r" ?\(([^()]*\d{4}[^()]*)\)", meaning)
    if cited and not source:
        source = cited.group(1)
        meaning = meaning.replace(cited.group(0), "")
    return [f"`{name}`", meaning, place, source, *more]


def of_layers() -> str:
    """List what constructors of layers take: first what all take, then what some do."""
    layers: dict[tuple[str, str], list[str]] = {}
    for name in sr.list_cells():
        for names, meaning in entries(getattr(sr, name).__doc__).items():
            layers.setdefault((names, meaning), []).append(name)
    common = set.intersection(*({*entries(getattr(sr, n).__doc__)} for n in sr.list_cells()))
    shown = entries(sr.GRU.__doc__)
    rows = [["all", names, shown[names]] for names in shown if names in common - {"options"}]
    rows += [[code(*who), *what] for what, who in layers.items() if what[0] not in common]
    return table(
        ["layer", "argument", "meaning"], ([a, code(*b.split(", ")), c] for a, b, c in rows)
    )


def code(*names: str) -> str:
    """Write names as code."""
    return ", ".join(f"`{name}`" for name in names)


# The rest


def of_structure() -> str:
    """Describe the structural options."""
    meanings = each(Structure.__doc__)
    return table(
        ["option", "meaning", "acts on", "source"],
        (option_row(field.name, meanings[field.name]) for field in fields(Structure)),
    )


def of_activations() -> str:
    """List the activations with their parameters."""
    rows = []
    for name, defaults in activations._DEFAULTS.items():
        texts = ["to be given" if value is None else f"{value:g}" for value in defaults]
        limit = "at least 0" if name in activations._NOT_NEGATIVE else ""
        rows.append([f"`{name}`", *[*texts, "", ""][:2], limit])
    for name, alias in activations._ALIASES.items():
        rows.append([f"`{name}`", "", "", f"short for `{alias.argument}`"])
    return table(["activation", "alpha", "beta", "alpha must be"], rows)


def of_calls() -> str:
    """List the arguments of calling a layer and of recording it."""
    call, record = (each(f.__doc__) for f in (RecurrentLayer.__call__, RecurrentLayer.record))
    own = {name: text for name, text in record.items() if name not in call}
    both = {name for name in call if name in record}
    rows = [
        [f"`{name}`", "both" if name in both else "`layer(x)`", text] for name, text in call.items()
    ]
    rows += [[f"`{name}`", "`layer.record(x)`", text] for name, text in own.items()]
    return table(["argument", "of", "meaning"], rows)


def of_streams() -> str:
    """List the arguments of making a stream, and of its calls."""
    calls = {
        "layer.stream()": RecurrentLayer.stream,
        "stream.step(x)": Stream.step,
        "stream.feed(chunk)": Stream.feed,
        "stream.reset()": Stream.reset,
    }
    rows = (
        [f"`{name}`", f"`{call}`", text]
        for call, function in calls.items()
        for name, text in each(function.__doc__).items()
    )
    return table(["argument", "of", "meaning"], rows)


def of_names(module: Any, prefix: str, without: Iterable[str]) -> str:
    """List what a module offers, with its source."""
    rows = (
        [f"`{prefix}.{name}`", summary(getattr(module, name)), references(getattr(module, name))]
        for name in module.__all__
        if name not in without
    )
    return table(["name", "meaning", "source"], rows)


def of_model() -> str:
    """List what a model does, and the arguments of its training."""
    methods = (
        "record", "stream", "gradients", "tie", "freeze", "trainable", "summary", "save",
        "evaluate",
    )  # fmt: skip
    rows = [[f"`model.{name}()`", "", summary(getattr(sr.Model, name))] for name in methods]
    rows += [
        [f"`{name}`", "`model.fit()`", text] for name, text in each(sr.Model.fit.__doc__).items()
    ]
    return table(["name", "of", "meaning"], rows)


def of_schedules() -> str:
    """List the schedules, and what else changes from step to step."""
    names = ("Warmup", "Cosine", "Step", "Exponential", "Plateau", "EarlyStopping", "GradientNoise")
    things = {name: getattr(sr.optim, name) for name in names}
    rows = ([f"`sr.optim.{n}`", summary(one), references(one)] for n, one in things.items())
    return table(["name", "meaning", "source"], rows)


def page() -> str:
    """Return the whole page."""
    choices = ", ".join(f'`"{name}"`' for name in INITIALIZERS)
    sections = {
        "Arguments of layers": of_layers(),
        "Options of a step": "Off by default. A probability is in [0, 1).\n\n" + of_options(),
        "Structure": of_structure(),
        "Activations": "Formulas and derivatives: `docs/engines.md`.\n\n" + of_activations(),
        "Calls": of_calls(),
        "Streams": "See [streaming.md](streaming.md).\n\n" + of_streams(),
        "Initialisers": f"`initializer=` takes {choices}. `sr.init.apply` gives a layer others:\n\n"
        + of_names(sr.init, "sr.init", ("Block", "Initializer", "apply")),
        "Losses": of_names(
            sr.losses, "sr.losses", ("CRFTape", "HeadLoss", "Loss", "PairLoss", "Reading")
        ),
        "Models": "See the [guide](guide.md).\n\n" + of_model(),
        "Schedules": "What the learning rate is multiplied by at every step, and what else goes "
        "along with an optimiser.\n\n" + of_schedules(),
        "Regularisers": of_names(sr.regularizers, "sr.regularizers", ("OutputPenalty", "Penalty")),
    }
    parts = [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n".join([_HEAD, "\n\n".join(parts), ""])


def main() -> None:
    """Write the page to the path given, or print it."""
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")


if __name__ == "__main__":
    main()
