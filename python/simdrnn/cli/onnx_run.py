"""``simdrnn onnx run MODEL --input FILE``: run an ONNX model on arrays from files.

This module imports nothing of ONNX before it runs, so that the command line starts without it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simdrnn.files.atomic import replacing

__all__ = ["add_arguments", "run"]


class _UnusableError(Exception):
    """What the command names cannot be used; the message says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", help="an ONNX file")
    parser.add_argument(
        "--input",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="a .npy file for an input of the model; without NAME for the next one in order",
    )
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="where to write: a .npy file for an output, without NAME for the next one in order; "
        "or one .npz file for all",
    )
    parser.add_argument(
        "--num-threads", type=int, metavar="N", help="at most N threads for a node of the model"
    )


def run(args: argparse.Namespace) -> int:
    """Run the model and write or print its outputs; return the exit code."""
    try:
        _run(args)
    except (ImportError, OSError, _UnusableError) as error:
        print(f"simdrnn onnx run: {error}", file=sys.stderr)
        return 2
    return 0


def _run(args: argparse.Namespace) -> None:
    from simdrnn.onnx import Session

    try:
        model = Session(args.model, num_threads=args.num_threads)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise _UnusableError(error) from error
    files = _assigned("--input", args.input, [one.name for one in model.get_inputs()])
    together = [path for path in args.output if path.endswith(".npz")]
    if together and len(args.output) > 1:
        raise _UnusableError("--output: expected .npy files, or one .npz file alone")
    written = {} if together else _assigned("--output", args.output, model.output_names)
    fed = {name: _load(path) for name, path in files.items()}
    try:
        made = dict(zip(model.output_names, model.run(None, fed), strict=True))
    except (TypeError, ValueError) as error:
        raise _UnusableError(error) from error
    for path in together:
        with replacing(Path(path)) as temporary, temporary.open("wb") as stream:
            np.savez(stream, **made)
    for name, path in written.items():
        target = Path(path if path.endswith(".npy") else f"{path}.npy")  # as NumPy names it
        with replacing(target) as temporary, temporary.open("wb") as stream:
            np.save(stream, made[name])
    for name, one in made.items():
        array = np.asarray(one)
        print(f"{name}: {array.dtype} {array.shape}")


def _assigned(option: str, given: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Return the file of each name; those given without one are for the names left, in order."""
    found: dict[str, str] = {}
    plain = []
    for text in given:
        name, mark, path = text.partition("=")
        if mark and name in names:
            if name in found:
                raise _UnusableError(f"{option}: expected {name} once, got it twice")
            found[name] = path
        elif mark and not Path(text).exists():
            raise _UnusableError(f"{option}: expected one of {', '.join(names)}, got {name!r}")
        else:
            plain.append(text)
    left = [name for name in names if name not in found]
    if len(plain) > len(left):
        raise _UnusableError(f"{option}: expected at most {len(names)} files, got {len(given)}")
    return found | dict(zip(left, plain, strict=False))


def _load(path: str) -> Any:
    """Read one array; never a pickled object."""
    try:
        return np.load(path, allow_pickle=False)
    except ValueError as error:
        raise _UnusableError(f"{path}: expected a .npy file: {error}") from error
