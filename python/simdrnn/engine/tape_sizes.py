"""What a tape keeps: everything, or states at checkpoints from which backward makes the rest again.

Whatever is kept, the gradients are the same, bit for bit. A checkpoint every k steps takes T / k
states; making the values of k steps again takes room for these. The sum is least for k of about
the square root of T, as for any chain (Chen et al. 2016).

References
----------
Chen, Xu, Zhang and Guestrin 2016, "Training deep nets with sublinear memory cost",
arXiv:1604.06174.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from simdrnn.engine.kept_arrays import empty
from simdrnn.engine.protocol import CheckedCall, Network, TapeArrays
from simdrnn.spec.cell import CellInfo
from simdrnn.spec.parameters import Sizes
from simdrnn.validate import Array, as_positive

__all__ = ["TapeSpec"]

# Of all arrays of a list: how many, and the shape of each.
Shape: TypeAlias = "tuple[int, int, int, int]"


class TapeSpec(NamedTuple):
    """What decides the sizes of a layer's tapes.

    Parameters
    ----------
    info : counts of the cell.
    sizes : of the layer.
    saved : values per unit that a step leaves.
    apart : whether what layers hand on is not what their directions put out (`engine.composed`).
    """

    info: CellInfo
    sizes: Sizes
    saved: int
    apart: bool = False

    def spacing(self, checkpoint_every: object, steps: int) -> int:
        """Return the checked spacing of a call of so many steps; 0 where everything is kept.

        A cell that saves nothing beside h, as the RNN, has nothing to make again.
        """
        if checkpoint_every is None:
            return 0
        every = as_positive("checkpoint_every", checkpoint_every)
        return min(every, max(steps, 1)) if self.saved else 0

    def shapes(self, steps: int, batch: int, every: int) -> dict[str, Shape]:
        """Return length and arrays' shape of the lists of `TapeArrays`, by name."""
        width, layers = self.sizes.hidden_size, self.sizes.num_layers
        passes = layers * self.sizes.num_directions
        both = self.sizes.num_directions * self.sizes.h_size
        hidden = {"hidden": (layers, steps, batch, both)}
        if self.apart:
            hidden["outputs"] = (layers - 1, steps, batch, self.sizes.output_size)
        if not every:
            return hidden | {"saved": (passes, steps, batch, self.saved * width)}
        borders = max(steps - 1, 0) // every
        return hidden | {"checkpoints": (passes, borders, batch, (self.info.states - 1) * width)}

    def allocate(self, dtype: np.dtype[Any], output: Array, every: int) -> TapeArrays:
        """Return the arrays that forward fills, unwritten; `output` is one where that will do."""
        steps, batch = output.shape[:2]
        shapes, lists = self.shapes(steps, batch, every), {}
        shapes.pop("outputs", None)  # forward makes these as it goes
        for name, (count, *shape) in shapes.items():
            ours = count - 1 if name == "hidden" and not self.apart else count
            lists[name] = [empty(tuple(shape), dtype) for _ in range(ours)]
        if not self.apart:
            lists["hidden"].append(output)
        return TapeArrays(
            lists.get("saved", []), lists["hidden"], lists.get("checkpoints", []), every
        )

    def nbytes(self, engine: Network, steps: int, batch: int, every: int) -> int:
        """Return the bytes of these arrays, as the engine leaves them."""
        shapes = self.shapes(steps, batch, every).values()
        return sum(math.prod(shape) for shape in shapes) * engine.arithmetic.itemsize

    def decide(
        self, engine: Network, run: CheckedCall, checkpoint_every: object, memory_budget: object
    ) -> int:
        """Return the steps between a call's checkpoints; 0 without."""
        if memory_budget is None:
            return self.spacing(checkpoint_every, len(run.x))
        if checkpoint_every is not None:
            raise ValueError(
                f"memory_budget: expected None with checkpoint_every, got {memory_budget!r}"
            )
        return self.choose(engine, run, memory_budget)

    def choose(self, engine: Network, run: CheckedCall, memory_budget: object) -> int:
        """Return the spacing for a budget in bytes; 0 where everything fits.

        Raises
        ------
        ValueError : no spacing fits; the message names the smallest budget that does.
        """
        budget = as_positive("memory_budget", memory_budget)
        steps, batch = run.x.shape[:2]

        def peak(run: CheckedCall, every: int) -> int:
            return self.nbytes(engine, steps, batch, every) + engine.backward_peak(run, every)

        needed = peak(run, 0)
        if needed <= budget:
            return 0
        if self.saved and steps and batch:
            # What is read for each step adds the same to all spacings: they are ranked without.
            bare = run._replace(lengths=None, mask=None, reset=None)
            spacings = _spacings(steps, engine.walked_steps(steps, batch))
            best = min(spacings, key=lambda every: (peak(bare, every), -every))
            least = peak(run, best)
            if least <= budget:
                return best
            needed = min(needed, least)
        raise ValueError(
            f"memory_budget: expected at least {needed} bytes for this call, got {budget}"
        )


def _spacings(steps: int, walked: int) -> set[int]:
    """Return the spacings worth a look: for each number of stretches the shortest.

    None is shorter than what backward walks at once, since that much is made again at once.

    Examples
    --------
    >>> sorted(_spacings(10, walked=1))
    [1, 2, 3, 4, 5, 10]
    >>> sorted(_spacings(1000, walked=300))
    [300, 334, 500, 1000]
    """
    root = math.isqrt(steps)  # up to it, each spacing has a number of stretches of its own
    found = {*range(1, root + 1), *(-(-steps // count) for count in range(1, root + 1))}
    return {walked} | {every for every in found if every > walked}
