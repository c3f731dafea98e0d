"""``simdrnn convert SOURCE TARGET``: a model of another program or format as a file of ours."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

__all__ = ["add_arguments", "run"]

_OURS = (".npz", ".safetensors", ".simdrnn")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "source",
        help="a JSON file of RTNeural (.json) or NAM (.nam), or what layer.save wrote "
        "(.npz, .safetensors)",
    )
    parser.add_argument(
        "target",
        help="what to write: .simdrnn, for programs in C; of a file of ours also .npz or "
        ".safetensors",
    )
    parser.add_argument(
        "--dtype",
        choices=["float32", "float64"],
        default="float32",
        help="of the numbers of a JSON file, which are rounded to it once",
    )


def run(args: argparse.Namespace) -> int:
    """Read, write, say what it was; return the exit code."""
    try:
        model = _read(Path(args.source), args.dtype)
        if not hasattr(model, "parameters"):
            _check_target(args.target)
        model.save(args.target)
    except (ImportError, OSError, TypeError, ValueError) as error:
        print(f"simdrnn convert: {error}", file=sys.stderr)
        return 2
    print(f"{args.target}: {model!r}")
    return 0


def _read(source: Path, dtype: str) -> Any:
    """Return a layer, a stack, a module, or a chain of layers."""
    if source.suffix in _OURS:
        from simdrnn.files.loading import load

        return load(source)
    from simdrnn.dialects import load_nam, load_rtneural

    try:
        parsed = json.loads(source.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{source}: expected JSON, or one of {', '.join(_OURS)}") from error
    if isinstance(parsed, dict) and "architecture" in parsed:
        return load_nam(parsed, dtype)
    if isinstance(parsed, dict) and "layers" in parsed:
        return load_rtneural(parsed, dtype)
    raise ValueError(
        f"{source}: expected the 'layers' of a file of RTNeural or the 'architecture' of one of "
        f"NAM, got {list(parsed)[:5] if isinstance(parsed, dict) else type(parsed).__name__}"
    )


def _check_target(target: str) -> None:
    """Raise where a chain of layers is to be written to a file that holds one layer."""
    if Path(target).suffix != ".simdrnn":
        raise ValueError(
            f"target: expected a name that ends with .simdrnn for a chain of layers, got {target}"
        )
