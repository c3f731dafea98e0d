"""Where `simdrnn.weights` was in version 0.1.0, for pickles of it."""

from simdrnn.spec.parameters import ParameterSpec, Sizes

__all__ = ["ParameterSpec", "Sizes"]
