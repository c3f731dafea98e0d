"""Loading: an object of a class of this library, built of what a file says.

A file names classes, and nothing is imported or run by those names: they are looked up among the
recurrent layers, cells and modules that this library has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from simdrnn import files
from simdrnn.files.paths import as_path, refusing
from simdrnn.layers.from_table import class_names
from simdrnn.layers.parametrised import Parametrised, check_names, restored
from simdrnn.layers.savable import FORMAT, document_of, go_on, recorded_calls
from simdrnn.validate import Array, as_count

__all__ = ["load"]

# What can be saved beside recurrent layers and cells.
_MODULES = (
    "Attention", "AttentionDecoder", "Dropout", "Embedding", "Linear", "Model", "Pooling", "Stack"
)  # fmt: skip
# What is no attribute of `simdrnn` itself, with the package that has it.
_ELSEWHERE = {"CRF": "simdrnn.losses"}


def load(path: Any) -> Any:
    """Return the layer, cell, module, stack or model that was written to a file.

    It equals the one that was saved: its class, options and parameters, bit for bit, its dtype, and
    the seed and the count of recorded calls that dropout is drawn by. Nothing in the file is run or
    unpickled, and no more memory is asked for than a small multiple of the file's size.

    Parameters
    ----------
    path : str or path-like, of what ``save`` wrote. Its contents tell the format, not its name.

    Returns
    -------
    The object, as a class of `simdrnn`, or of `simdrnn.reference` if it was one of those.

    Raises
    ------
    ValueError : the file is damaged, is none that ``save`` wrote, or is of a newer version; or it
        holds plain arrays (a ``state_dict`` of another program), which do not tell a layer's class
        and options: build that layer and call its ``load_state_dict``.
    TypeError : `path` is no path.
    ImportError : it is a ``.safetensors`` file, and the package of that name is not installed.
    OSError : the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import simdrnn as sr
    >>> layer = sr.LSTM(3, 4, zoneout=0.1, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     layer.save(f"{folder}/lstm.npz")
    ...     twin = sr.load(f"{folder}/lstm.npz")
    >>> twin, bool((twin.weight_ih_l0 == layer.weight_ih_l0).all())
    (LSTM(3, 4, zoneout=0.1), True)
    """
    document, arrays = files.read(path)
    with refusing(as_path(path)):
        form = as_count("format", document.get("format"))
        if form > FORMAT:
            version = document.get("version")
            raise ValueError(
                f"format: expected at most {FORMAT}, got {form}, written by simdrnn {version}"
            )
        return _build(document, arrays)


def _build(document: object, arrays: Mapping[str, Array]) -> Any:
    """Return the object that a description and its parameters make."""
    if not isinstance(document, dict):
        raise ValueError(f"expected the description of a layer, got {document!r:.80}")
    cls = _class_of(document.get("engine"), document.get("class"))
    configuration = document.get("configuration")
    if not isinstance(configuration, dict):
        raise ValueError(f"configuration: expected an object, got {configuration!r}")
    arguments = {name: _argument(value) for name, value in configuration.items()}
    if issubclass(cls, Parametrised):
        layers = arguments.get("num_layers", 0)
        # Every layer has a parameter; else a few bytes could ask for the names of a million.
        if isinstance(layers, int) and layers > len(arrays):
            raise ValueError(f"num_layers: expected at most {len(arrays)} here, got {layers}")
        made: Any = restored(cls, arguments, arrays)
    elif document.get("class") == "Model":
        made = cls._assembled(document, arrays, _build)  # type: ignore[attr-defined]
    elif isinstance(document.get("members"), dict):
        made = _parts(cls, document["members"], arguments, arrays)
    else:
        made = _stack(cls, document.get("members"), arguments, arrays)
    _check_same(document, made)
    if "recorded" in document:
        go_on(made, _recorded(document["recorded"], recorded_calls(made)))
    return made


def _class_of(engine: object, name: object) -> type:
    """Return the class that a file names, if it is one of those that are saved."""
    from simdrnn.reference.network import cell_infos
    from simdrnn.spec.cell import compiled_cells

    names: list[str] = []
    if engine == "compiled":
        names = [*class_names(compiled_cells()), *_MODULES, *_ELSEWHERE]
    elif engine == "reference":
        names = class_names(cell_infos())
    if not isinstance(name, str) or name not in names:
        raise ValueError(f"class: expected one of this library's, got {name!r} on {engine!r}")
    # The name is one of ours by now, and the attribute of a package of ours.
    package = _ELSEWHERE.get(name, "simdrnn") if engine == "compiled" else "simdrnn.reference"
    found: type = getattr(import_module(package), name)
    return found


def _stack(
    cls: type, members: object, arguments: Mapping[str, Any], arrays: Mapping[str, Array]
) -> Any:
    """Build a stack: its layers first."""
    if not isinstance(members, list) or not 0 < len(members) <= len(arrays):
        raise ValueError("members: expected a list of layers, each with parameters")
    parts: list[dict[str, Array]] = [{} for _ in members]
    gates = {}
    places = {str(index): part for index, part in enumerate(parts)}
    for name, array in arrays.items():
        place, _, inner = name.partition(".")
        if place not in places:
            raise ValueError(f"{name}: expected the parameter of one of {len(members)} layers")
        if inner.startswith("gate."):
            gates[name] = array
        else:
            places[place][inner] = array
    layers = [_build(member, part) for member, part in zip(members, parts, strict=True)]
    stack = cls(layers, **arguments)
    check_names(stack.parameters(), arrays)
    stack.load_state_dict(gates, strict=False)
    return stack


def _parts(
    cls: type, members: Mapping[str, Any], arguments: Mapping[str, Any], arrays: Mapping[str, Array]
) -> Any:
    """Build what has parts of its own names: these first."""
    parts: dict[str, dict[str, Array]] = {name: {} for name in members}
    for full, array in arrays.items():
        name, _, inner = full.partition(".")
        if name not in parts:
            raise ValueError(f"{full}: expected the parameter of one of {list(parts)}")
        parts[name][inner] = array
    built = {name: _build(member, parts[name]) for name, member in members.items()}
    return cls(**{"embedding": None, **built}, **arguments)


def _recorded(value: object, like: object) -> int | tuple[int, ...]:
    """Return a count of calls, or for a stack its own and its layers', as many as there are."""
    if not isinstance(like, tuple):
        return as_count("recorded", value)
    if not isinstance(value, list) or len(value) != len(like):
        raise ValueError(f"recorded: expected {len(like)} counts, got {value!r}")
    return tuple(as_count("recorded", one) for one in value)


def _argument(value: object) -> object:
    """Return a constructor's argument: JSON has no tuples, which hold a number where lists do not.

    Examples
    --------
    >>> _argument(["elu", 1.0]), _argument(["sigmoid", ["elu", 1.0]])
    (('elu', 1.0), ['sigmoid', ('elu', 1.0)])
    """
    if not isinstance(value, list):
        return value
    if any(isinstance(item, (int, float)) for item in value):
        return tuple(value)
    return [_argument(item) for item in value]


def _check_same(document: Mapping[str, Any], made: Any) -> None:
    """Raise unless what was built says of itself what the file says."""
    told = json.loads(json.dumps(document_of(made)))
    found = set(document) - {"format", "version"}
    if found != set(told):
        raise ValueError(f"expected a description with {sorted(told)}, got {sorted(found)}")
    for name, value in document["configuration"].items():
        if name not in told["configuration"] or told["configuration"][name] != value:
            raise ValueError(f"{name}: expected an argument that is saved, got {value!r}")
