"""Where `simdrnn.call` was in version 0.1.0, for pickles of it."""

from simdrnn.spec.layer import Values

__all__ = ["Values"]
