"""Where `simdrnn.highway` was in version 0.1.0, for pickles of it."""

from simdrnn.stack.highway import HighwayGate

__all__ = ["HighwayGate"]
