"""Where `simdrnn.activations` was in version 0.1.0, for pickles of it."""

from simdrnn.spec.activations import Activation

__all__ = ["Activation"]
