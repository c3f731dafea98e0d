"""Saving: what a layer says about itself in a file, so that `simdrnn.load` builds an equal one."""

from __future__ import annotations

from typing import Any

from simdrnn._version import __version__
from simdrnn.validate import Array

__all__ = ["FORMAT", "Savable", "SavableStack"]

FORMAT = 1  # of the description; a reader refuses what is newer


class Savable:
    """Base of what can be written to a file: layers, cells, modules and stacks."""

    # How many training calls were recorded, where dropout is drawn by it: it goes on from there.
    _recorded: Any = None

    def save(self, path: Any) -> None:
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

    def parameters(self) -> dict[str, Array]:
        """Return read-only views of the parameters by name."""
        raise NotImplementedError

    def _document(self) -> dict[str, Any]:
        """Return what `simdrnn.files.loading` builds an equal object of, beside the parameters."""
        cls = type(self)
        package, *inner = cls.__module__.split(".")
        if package != "simdrnn":  # a subclass: its name would be built as the class of that name
            raise TypeError(
                f"save: expected a class of simdrnn, got {cls.__module__}.{cls.__qualname__}; "
                "save its state_dict()"
            )
        document = {
            "class": cls.__name__,
            "engine": "reference" if inner[:1] == ["reference"] else "compiled",
            "configuration": self._configuration(),
        }
        return document if self._recorded is None else document | {"recorded": self._recorded}

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, as JSON values, less initial parameters'."""
        raise TypeError(f"save: expected a layer, a module or a stack, got {type(self).__name__}")


class SavableStack(Savable):
    """What a stack says about itself: its layers too."""

    layers: Any
    skip: Any
    dropout: Any
    seed: Any

    def _document(self) -> dict[str, Any]:
        """Return what the stack and its layers are built of, beside the parameters."""
        return super()._document() | {"members": [layer._document() for layer in self.layers]}

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, less the layers."""
        return {"skip": self.skip, "dropout": self.dropout, "seed": self.seed}
