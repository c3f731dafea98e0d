"""Saving: what a layer says about itself in a file, so that `simdrnn.load` builds an equal one."""

from __future__ import annotations

from typing import Any

from simdrnn._version import __version__

__all__ = [
    "FORMAT",
    "c_handle",
    "described",
    "document_of",
    "go_on",
    "handle_for_c",
    "recorded_calls",
    "save",
    "save_for_c",
    "stepped_stages",
    "whole_document",
]

FORMAT = 1  # of the description; a reader refuses what is newer


def save(self: Any, path: Any) -> None:
    """Write a file with the parameters and all that the constructor was told.

    Parameters
    ----------
    path : str or path-like. Its ending chooses the format: ``.safetensors``, which needs the
        package of that name, ``.npz``, or ``.simdrnn``: what the first is, for programs in C,
        which read both. A file that is there is replaced, at once.

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
    with self._hold_parameters():  # what is written is of one version, whoever trains meanwhile
        _files().write(path, whole_document(document_of(self)), self.parameters(), _stepped(self))


def c_handle(self: Any) -> Any:
    """Return the model of now for functions in C: what ``simdrnn_model_of`` takes in an extension.

    It is a copy, which nothing changes, packed for the instruction set of the moment; any number of
    streams may be opened of it, by any threads. See ``docs/c_api.md``.

    Returns
    -------
    A capsule named ``"simdrnn_model"``, which owns the model.

    Raises
    ------
    TypeError : its class is none of `simdrnn`.
    ValueError : it cannot be stepped, as a bidirectional layer.

    Examples
    --------
    >>> import simdrnn as sr
    >>> type(sr.GRU(3, 4).c_handle()).__name__
    'PyCapsule'
    >>> sr.GRU(3, 4, bidirectional=True).c_handle()
    Traceback (most recent call last):
    ValueError: c_handle: expected a model that can be stepped; bidirectional: expected False, ...
    """
    with self._hold_parameters():
        try:
            stepped, document = self._stepped(), whole_document(document_of(self))
        except ValueError as error:
            raise ValueError(f"c_handle: expected a model that can be stepped; {error}") from error
        except TypeError as error:  # what is said of a file holds here
            raise TypeError(f"c_handle: {str(error).removeprefix('save: ')}") from error
        return _files().c_model(document, self.parameters(), stepped)


def save_for_c(path: Any, arrays: Any, stepped: dict[str, Any]) -> None:
    """Write a file that programs in C read, and `simdrnn.load` does not."""
    _files().write(path, None, arrays, stepped)


def handle_for_c(arrays: Any, stepped: dict[str, Any]) -> Any:
    """Return the capsule of such a file's model."""
    return _files().c_model(None, arrays, stepped)


def stepped_stages(owner: Any, prefix: str) -> list[dict[str, Any]]:
    """Return the stages that an object of ours is to those who step it.

    Names of parameters begin with `prefix`.
    """
    stages: list[dict[str, Any]] = owner._stages(prefix)
    return stages


def _files() -> Any:
    """Import what brings zipfile, json and secrets, which importing does without."""
    from simdrnn import files

    return files


def whole_document(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a file says of an object of ours beside its parameters."""
    return {"format": FORMAT, "version": __version__, **document}


def _stepped(owner: Any) -> dict[str, Any]:
    """Return what a file says to those who step the object, or why it cannot be stepped."""
    from simdrnn.layers.stepped import refused

    try:
        found: dict[str, Any] = owner._stepped()
    except ValueError as error:
        return refused(error)
    return found


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
