"""What is random about a pass, or its mean where nothing is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from simdrnn.engine.random_words import Feature, happens, multipliers, normals
from simdrnn.spec.options import Options
from simdrnn.validate import Array

__all__ = ["Noise", "StepNoise"]


class StepNoise(NamedTuple):
    """`Noise` of one step: without T."""

    recurrent: Array | None
    candidate: Array | None
    state: Array | None
    update: tuple[Any, ...]

    def seen(self, h: Array) -> Array:
        """Return h (B, H) as the recurrent product of each gate sees it: (G, B, H) or (1, B, H)."""
        return h[None] if self.recurrent is None else h * self.recurrent

    def mix(self, made: tuple[Array, ...], state: tuple[Array, ...]) -> tuple[Array, ...]:
        """Keep a share of the old states (B, H), if any."""
        return tuple(
            new if isinstance(share, float) and share == 1.0 else share * new + (1.0 - share) * old
            for share, new, old in zip(self.update, made, state, strict=True)
        )


@dataclass(frozen=True)
class Noise:
    """The multipliers of one direction of one layer.

    Attributes
    ----------
    recurrent : (G, B, H) or (1, B, H), of h on its way into the recurrent product of each gate or
        of all; None: it is not dropped.
    candidate : (T, B, H) of the candidate on its way into the state, or None.
    state : (T, B, H) added to the state, before the leak is reckoned with; or None.
    update : for each state the new value's share, (T, B, H) or one number; the old one has the
        rest. None where there is no zoneout.
    """

    recurrent: Array | None
    candidate: Array | None
    state: Array | None
    update: tuple[Any, ...] | None

    @classmethod
    def draw(
        cls,
        options: Options,
        shape: tuple[int, int, int],
        gates: int,
        state_sizes: tuple[int, ...],
        stream: int,
        *,
        training: bool,
        key: int,
        dtype: np.dtype[Any],
    ) -> Noise:
        """Draw for a pass of `shape` (T, B, H); `stream` is layer * D + direction.

        `state_sizes` are how many numbers each state has, h first.
        """
        states, batch = len(state_sizes), shape[1]
        masks = gates if options.dropout_per_gate else 1
        kept: dict[Feature, Array | None] = {}
        wanted = {
            Feature.RECURRENT: (options.recurrent_dropout, (1, batch, masks * state_sizes[0])),
            Feature.CANDIDATE: (options.candidate_dropout, shape),
        }
        for feature, (probability, size) in wanted.items():
            drawn = None
            if probability and training:
                drawn = multipliers(size, stream, probability, key, dtype, feature)
                drawn = drawn.astype(np.float64)
            kept[feature] = drawn
        recurrent = kept[Feature.RECURRENT]
        if recurrent is not None:  # gate after gate
            recurrent = recurrent.reshape(batch, masks, state_sizes[0]).swapaxes(0, 1)
        noise, deviation = None, options.state_noise
        if deviation is not None and training:  # the engine has it in the layer's dtype
            noise = float(dtype.type(deviation)) * normals(shape, Feature.STATE_NOISE, stream, key)
        update = None
        if options.keeps_carried(states):
            update = tuple(
                _update((*shape[:2], n), k, stream, p, training=training, key=key, dtype=dtype)
                for k, (n, p) in enumerate(zip(state_sizes, options.zoneouts(states), strict=True))
            )
        return cls(recurrent, kept[Feature.CANDIDATE], noise, update)

    def of_times(self, times: slice) -> Noise:
        """Return the multipliers of some of the times, or of all in another order."""
        update = self.update
        if update is not None:
            update = tuple(u[times] if isinstance(u, np.ndarray) else u for u in update)
        candidate = None if self.candidate is None else self.candidate[times]
        state = None if self.state is None else self.state[times]
        return Noise(self.recurrent, candidate, state, update)

    def of_rows(self, rows: Array) -> Noise:
        """Return the multipliers of some rows of the batch."""
        update = self.update
        if update is not None:
            update = tuple(u[:, rows] if isinstance(u, np.ndarray) else u for u in update)
        return Noise(
            None if self.recurrent is None else self.recurrent[:, rows],
            None if self.candidate is None else self.candidate[:, rows],
            None if self.state is None else self.state[:, rows],
            update,
        )

    def at(self, t: Any, rows: Any, states: int) -> StepNoise:
        """Return what is random about a step, or about n steps of n rows."""
        update = self.update or (1.0,) * states
        return StepNoise(
            None if self.recurrent is None else self.recurrent[:, rows],
            None if self.candidate is None else self.candidate[t, rows],
            None if self.state is None else self.state[t, rows],
            tuple(u[t, rows] if isinstance(u, np.ndarray) else u for u in update),
        )


def _update(
    shape: tuple[int, int, int],
    state: int,
    stream: int,
    probability: float,
    *,
    training: bool,
    key: int,
    dtype: np.dtype[Any],
) -> Any:
    """Return the share of a state's new value."""
    if probability and training:
        return 1.0 - happens(shape, Feature.ZONEOUT + state, stream, probability, key)
    # The engine holds the probability in the layer's dtype.
    return 1.0 - float(dtype.type(probability))
