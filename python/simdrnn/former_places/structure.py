"""Where `simdrnn.structure` was in version 0.1.0, for pickles of it."""

from simdrnn.spec.structure import Structure

__all__ = ["Structure"]
