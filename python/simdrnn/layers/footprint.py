"""How much memory a layer's calls take: what a tape keeps, and what is there while a call runs."""

from __future__ import annotations

from simdrnn.engine.protocol import Run
from simdrnn.engine.tape_sizes import TapeSpec
from simdrnn.layers.bound import EngineUser
from simdrnn.validate import as_bool, as_count

__all__ = ["Footprint"]

_MOST_ROWS = 2**31 - 1  # of a batch: the engine numbers rows with 32 bits
_MOST_STEPS = 2**45  # of all rows: no input of as many fits in the address space


class Footprint(EngineUser):
    """What a layer knows of the memory of its calls."""

    @property
    def _saved_width(self) -> int:
        """Values per unit that a step leaves on a tape."""
        return self.options.saved_width(self._info)

    @property
    def _tape(self) -> TapeSpec:
        """What decides the sizes of tapes."""
        return TapeSpec(self._info, self._sizes, self._saved_width, self.structure.apart)

    def _spacing(self, run: Run, checkpoint_every: object, memory_budget: object) -> int:
        """Return the steps between a run's checkpoints; 0 without."""
        if memory_budget is None:
            return self._tape.spacing(checkpoint_every, len(run.x))
        if checkpoint_every is not None:
            raise ValueError(
                f"memory_budget: expected None with checkpoint_every, got {memory_budget!r}"
            )
        return self._tape.choose(self._ready(), run, memory_budget)

    def workspace_bytes(
        self, T: int, B: int, training: bool = True, checkpoint_every: int | None = None
    ) -> int:
        """Return how many bytes a call allocates besides arguments, results and tape.

        Parameters
        ----------
        T, B : steps and batch size of the call. ``lengths``, ``mask`` and ``reset`` add a few
            bytes per step and row, and to training up to four times the gate gradients kept at
            once where threads share rows of different lengths; dropout adds a chunk of its input.
        training : of `record` and `Tape.backward`; else of calling the layer.
        checkpoint_every : as given to `record`: backward then makes saved values again.
        """
        steps, batch = as_count("T", T), as_count("B", B)
        if batch > _MOST_ROWS:
            raise ValueError(f"B: expected at most {_MOST_ROWS}, got {batch}")
        if steps * max(batch, 1) > _MOST_STEPS:
            raise ValueError(f"T: expected T * B of at most {_MOST_STEPS}, got {steps} * {batch}")
        every = self._tape.spacing(checkpoint_every, steps)
        return self._engine.workspace_bytes(steps, batch, as_bool("training", training), every)
