"""Streams on the compiled engine; apart, for what else is in `streaming` does without it."""

from simdrnn._core import StreamCore, sample

__all__ = ["StreamCore", "sample"]
