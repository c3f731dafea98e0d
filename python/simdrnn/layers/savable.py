"""Saving: what a layer says about itself in a file, so that `simdrnn.load` builds an equal one."""

from __future__ import annotations

from typing import Any

from simdrnn._version import __version__

__all__ = ["FORMAT", "described", "document_of", "go_on", "recorded_calls", "save"]

FORMAT = 1  # of the description; a reader refuses what is newer


def save(self: Any, path: Any) -> None:
    """Write a file with the parameters and all that the constructor was told.

    Parameters
    ----------
    path : str or path-like. Its ending chooses the format: ``.safetensors``, which needs the
        package of that name, or ``.npz``. A file that is there is replaced, at once.

    Raises
    ------
    TypeError, ValueError : `path` is no path, or ends otherwise.
    ImportError : the format's package is not installed.
    OSError : the file cannot be written; what was there is there still.

    Examples
    --------
    >>> import tempfile
    >>> from simdrnn import reference
    >>> from simdrnn.files.loading import load
    >>> layer = reference.GRU(3, 4, bidirectional=True, merge="sum")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     layer.save(f"{folder}/gru.npz")
    ...     load(f"{folder}/gru.npz")
    GRU(3, 4, bidirectional=True, dtype='float64', merge='sum')
    """
    from simdrnn import files  # with zipfile, json and secrets, which importing does without

    document = {"format": FORMAT, "version": __version__, **self._document()}
    files.write(path, document, self.parameters())


def described(owner: object, configuration: dict[str, Any]) -> dict[str, Any]:
    """Return the description of an object of ours: its class, its engine and its arguments."""
    cls = type(owner)
    package, *inner = cls.__module__.split(".")
    if package != "simdrnn":  # a subclass: its name would be built as the class of that name
        raise TypeError(
            f"save: expected a class of simdrnn, got {cls.__module__}.{cls.__qualname__}; "
            "save its state_dict()"
        )
    return {
        "class": cls.__name__,
        "engine": "reference" if inner[:1] == ["reference"] else "compiled",
        "configuration": configuration,
    }


def document_of(owner: Any) -> dict[str, Any]:
    """Return what an object of ours is built of, beside the parameters."""
    found: dict[str, Any] = owner._document()
    return found


def recorded_calls(owner: Any) -> Any:
    """Return how many training calls were recorded; of a stack, its own and its layers'."""
    return owner._recorded


def go_on(owner: Any, recorded: Any) -> None:
    """Let dropout be drawn as after so many recorded training calls."""
    owner._recorded = recorded
