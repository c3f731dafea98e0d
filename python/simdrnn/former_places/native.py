"""Where `simdrnn.native` was in version 0.1.0, for pickles of it."""

from simdrnn.engine.compiled import Network

__all__ = ["Network"]
