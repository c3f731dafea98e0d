"""Where `simdrnn.options` was in version 0.1.0, for pickles of it."""

from simdrnn.spec.options import Options

__all__ = ["Options"]
