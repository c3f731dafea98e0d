"""Where `simdrnn.skips` was in version 0.1.0, for pickles of it."""

from simdrnn.stack.skips import Concat, Highway, Residual

__all__ = ["Concat", "Highway", "Residual"]
