"""How training went, epoch by epoch, and a picture of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from simdrnn.validate import Array

__all__ = ["History"]

_COLUMNS = ("loss", "validation", "lr", "norm", "steps")


class History:
    """How training went: one number for each finished epoch.

    Attributes
    ----------
    loss : mean training loss, as it was before each step.
    validation : validation loss after the epoch; NaN where there was none.
    lr : learning rate of the last step.
    norm : mean norm of the gradients before clipping; NaN where they were not clipped.
    steps : steps of the optimiser since training began.
    stopped : why the last ``fit`` ended: ``"epochs"``, ``"early stopping"`` or ``"interrupted"``;
        None before.
    """

    def __init__(self) -> None:
        self.loss: list[float] = []
        self.validation: list[float] = []
        self.lr: list[float] = []
        self.norm: list[float] = []
        self.steps: list[int] = []
        self.stopped: str | None = None

    def __len__(self) -> int:
        """Return the number of finished epochs."""
        return len(self.loss)

    @property
    def best_epoch(self) -> int | None:
        """The epoch, from 0, of the lowest validation loss; None without validation."""
        values = np.array(self.validation)
        return None if np.isnan(values).all() else int(np.nanargmin(values))

    def add(self, loss: float, validation: float, lr: float, norm: float, steps: int) -> None:
        """Note an epoch."""
        for name, value in zip(_COLUMNS, (loss, validation, lr, norm, steps), strict=True):
            getattr(self, name).append(value)

    def __repr__(self) -> str:
        """Say how far it is and where it is best."""
        said = [f"{len(self)} epochs"]
        if self.loss:
            said.append(f"loss {self.loss[-1]:.4g}")
        best = self.best_epoch
        if best is not None:
            said.append(f"best validation {self.validation[best]:.4g} in epoch {best + 1}")
        if self.stopped is not None:
            said.append(f"stopped by {self.stopped}")
        return f"History({', '.join(said)})"

    def arrays(self) -> dict[str, Array]:
        """Return the numbers by name, as files take them."""
        return {name: np.array(getattr(self, name), np.float64) for name in _COLUMNS}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, Array], stopped: str | None) -> History:
        """Return the history that `arrays` are of.

        Raises
        ------
        ValueError : they are none of a history.
        """
        made = cls()
        shapes = {arrays[name].shape for name in _COLUMNS if name in arrays}
        if set(arrays) != set(_COLUMNS) or len(shapes) != 1 or arrays["loss"].ndim != 1:
            raise ValueError(f"history: expected {_COLUMNS} of one length, got {sorted(arrays)}")
        for row in zip(*[arrays[name].tolist() for name in _COLUMNS], strict=True):
            loss, validation, lr, norm, steps = row
            made.add(loss, validation, lr, norm, int(steps))
        made.stopped = stopped
        return made

    def plot(self, figure: Any = None) -> Any:
        """Draw the losses over the epochs, and the learning rate where it changes.

        Parameters
        ----------
        figure : matplotlib's, to draw into; None makes one, without a window.

        Returns
        -------
        The figure; ``figure.savefig(path)`` writes it.

        Raises
        ------
        ImportError : matplotlib is not installed.
        ValueError : there is no epoch to be drawn.
        """
        if not self.loss:
            raise ValueError("plot: expected a history of one epoch or more, got none")
        if figure is None:
            try:
                module: Any = import_module("matplotlib.figure")
            except ImportError as error:
                raise ImportError("plot needs matplotlib: pip install matplotlib") from error
            figure = module.Figure(figsize=(6.0, 3.8), layout="constrained")
        axis = figure.subplots()
        epochs = range(1, len(self) + 1)
        axis.plot(epochs, self.loss, "o-", markersize=3, label="training")
        best = self.best_epoch
        if best is not None:
            axis.plot(epochs, self.validation, "o-", markersize=3, label="validation")
            axis.axvline(best + 1, color="0.7", linewidth=1, zorder=0, label="best")
        axis.set(xlabel="epoch", ylabel="loss")
        if not math.isclose(min(self.lr), max(self.lr)):
            beside = axis.twinx()
            beside.plot(epochs, self.lr, ":", color="0.5")
            beside.set_ylabel("learning rate (dotted)")
        axis.legend(fontsize="small")
        return figure
