"""What an example draws: shown where there is a screen, else written to files."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simdrnn.demos import DemoError

__all__ = ["pictures"]

# What matplotlib falls back to where there is no screen, and the others that open no window.
_WINDOWLESS = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}


@contextmanager
def pictures(name: str, save: Path | None) -> Iterator[Path | None]:
    """Show what a script draws, or write it to files as it calls ``pyplot.show``.

    Parameters
    ----------
    name : what files are called, with a number behind.
    save : a folder. Without, pictures are shown where there is a screen, else they go to a new
        folder of the system's for temporary files.

    Yields
    ------
    The folder that pictures go to; None where they are shown.

    Raises
    ------
    DemoError : the folder cannot be made.
    """
    if save is not None:
        _make(save)
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError:  # an example that draws says that it needs matplotlib
        yield save
        return
    if save is not None:
        pyplot.switch_backend("agg")
    elif pyplot.get_backend().lower() not in _WINDOWLESS:
        print("Pictures open in windows: close one to go on.\n", flush=True)
        yield None
        return
    with _kept(name, save or Path(tempfile.mkdtemp(prefix=f"simdrnn_{name}_")), pyplot) as target:
        yield target


@contextmanager
def _kept(name: str, target: Path, pyplot: Any) -> Iterator[Path]:
    """Write the figures that are open, and close them, where a script would show them."""
    files: list[Path] = []

    def keep(*args: Any, **kwargs: Any) -> None:
        for number in pyplot.get_fignums():
            files.append(target / f"{name}_{len(files) + 1}.png")
            pyplot.figure(number).savefig(files[-1])
        pyplot.close("all")

    shown = pyplot.show
    pyplot.show = keep
    try:
        yield target
    finally:
        pyplot.show = shown
        pyplot.close("all")
        if files:
            print(f"\nPictures: {', '.join(map(str, files))}", flush=True)


def _make(target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DemoError(f"--save: {target}: {(error.strerror or str(error)).lower()}") from None
