"""Where `simdrnn.nn` was in version 0.1.0, for pickles of it."""

from simdrnn.training.modules import Embedding, Linear

__all__ = ["Embedding", "Linear"]
