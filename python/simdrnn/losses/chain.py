"""Sums and maxima over all sequences of tags, for conditional random fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simdrnn.validate import Array

__all__ = ["Chain"]


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Scores of sequences of tags, all in float64; rows are computed side by side.

    Attributes
    ----------
    unary : (T, B, K), scores of tags at steps; 0 where a step is not real.
    real : (T, B), bool.
    transitions : (K, K), from the row's tag to the column's; start, end : (K,).
    """

    unary: Array
    real: Array
    transitions: Array
    start: Array
    end: Array

    def score(self, tags: Array) -> Array:
        """Return the scores (B,) of given tags (T, B)."""
        found = np.zeros(tags.shape[1])
        last = np.full(tags.shape[1], -1)
        for step, now in enumerate(tags):
            own = np.take_along_axis(self.unary[step], now[:, np.newaxis], axis=1)[:, 0]
            led = np.where(last < 0, self.start[now], self.transitions[last, now])
            found = np.where(self.real[step], found + own + led, found)
            last = np.where(self.real[step], now, last)
        return np.where(last < 0, 0.0, found + self.end[last])

    def _forward(self) -> Array:
        """Return (T + 1, B, K), the logarithms of the sums over all that ends in a tag.

        Before the first real step they are what leads to it: then a row has not begun.
        """
        steps, batch, tags = self.unary.shape
        found = np.empty((steps + 1, batch, tags))
        found[0] = self.start
        begun = np.zeros((batch, 1), np.bool_)
        for step in range(steps):
            before, real = found[step], self.real[step][:, np.newaxis]
            led = _log_sum(before[:, :, np.newaxis] + self.transitions, axis=1)
            now = np.where(begun, led, before) + self.unary[step]
            found[step + 1] = np.where(real, now, before)
            begun = begun | real
        return found

    def partition(self) -> Array:
        """Return (B,), the logarithm of the sum over all sequences of tags."""
        return self._partition(self._forward())

    def _partition(self, forward: Array) -> Array:
        total = _log_sum(forward[-1] + self.end, axis=1)
        return np.where(self.real.any(axis=0), total, 0.0)

    def expected(self, share: Array | None) -> tuple[Array, dict[str, Array]]:
        """Return tags' probabilities (T, B, K), and how often parameters are expected to count.

        Parameters
        ----------
        share : (B,), what each row counts; None leaves the second result out.
        """
        steps, _, _ = self.unary.shape
        forward = self._forward()
        total = self._partition(forward)[:, np.newaxis]
        found = np.zeros(self.unary.shape)
        pairs, first = np.zeros_like(self.transitions), np.zeros_like(self.start)
        last = np.zeros_like(self.end)
        begun = np.logical_or.accumulate(self.real, axis=0)
        behind = np.broadcast_to(self.end, self.unary.shape[1:])
        ended = np.zeros(self.real.shape[1], np.bool_)
        for step in reversed(range(steps)):
            real = self.real[step]
            here = np.exp(forward[step + 1] + behind - total)
            found[step] = np.where(real[:, np.newaxis], here, 0.0)
            led = real & (begun[step - 1] if step else False)
            onward = self.transitions + (self.unary[step] + behind)[:, np.newaxis, :]
            if share is not None:
                both = np.exp(forward[step][:, :, np.newaxis] + onward - total[:, :, np.newaxis])
                pairs += _weighed(both, np.where(led, share, 0.0))
                first += _weighed(here, np.where(real & ~led, share, 0.0))
                last += _weighed(here, np.where(real & ~ended, share, 0.0))
            behind = np.where(real[:, np.newaxis], _log_sum(onward, axis=2), behind)
            ended = ended | real
        return found, {"transitions": pairs, "start": first, "end": last}

    def counted(self, tags: Array, share: Array) -> tuple[Array, dict[str, Array]]:
        """Return the same of given tags (T, B), both times `share` (B,)."""
        found = np.zeros(self.unary.shape)
        pairs, first = np.zeros_like(self.transitions), np.zeros_like(self.start)
        last = np.full(tags.shape[1], -1)
        for step, now in enumerate(tags):
            real = self.real[step]
            np.put_along_axis(
                found[step], now[:, np.newaxis], np.where(real, share, 0.0)[:, np.newaxis], axis=1
            )
            led = real & (last >= 0)
            np.add.at(pairs, (last[led], now[led]), share[led])
            np.add.at(first, now[real & ~led], share[real & ~led])
            last = np.where(real, now, last)
        final = np.zeros_like(self.end)
        np.add.at(final, last[last >= 0], share[last >= 0])
        return found, {"transitions": pairs, "start": first, "end": final}

    def best(self) -> Array:
        """Return (T, B), int64, the tags whose score is highest; -1 where a step is not real."""
        steps, batch, tags = self.unary.shape
        rows = np.arange(batch)
        came = np.empty((steps, batch, tags), np.intp)
        now = np.broadcast_to(self.start, (batch, tags))
        begun = np.zeros((batch, 1), np.bool_)
        for step in range(steps):
            real = self.real[step][:, np.newaxis]
            ways = now[:, :, np.newaxis] + self.transitions
            came[step] = ways.argmax(axis=1)
            reached = np.where(begun, ways.max(axis=1), now) + self.unary[step]
            now = np.where(real, reached, now)
            begun = begun | real
        tag = (now + self.end).argmax(axis=1)
        found = np.full((steps, batch), -1, np.int64)
        for step in reversed(range(steps)):
            real = self.real[step]
            found[step] = np.where(real, tag, -1)
            tag = np.where(real, came[step, rows, tag], tag)
        return found


def _log_sum(values: Array, axis: int) -> Array:
    """Return the logarithm of the sum of exponentials over an axis."""
    most = values.max(axis=axis, keepdims=True)
    most = np.where(np.isneginf(most), 0.0, most)
    found: Array = np.log(np.exp(values - most).sum(axis=axis)) + np.squeeze(most, axis)
    return found


def _weighed(values: Array, share: Array) -> Array:
    """Return the sum over rows of values (B, ...), each times its share, where it has one."""
    held = share != 0
    return np.asarray(np.tensordot(share[held], values[held], axes=1))
