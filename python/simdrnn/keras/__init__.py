"""Keras 3's recurrent layers on the compiled engine, for its NumPy, PyTorch and JAX backends.

`LSTM`, `GRU` and `SimpleRNN` are Keras's own layers: constructor, weights, configuration, saving
and results are theirs, and only the loop over the steps is ours. What the engine does not do runs
as in Keras; `report` says what and why. `convert` and `revert` switch a finished model over and
back; `from_keras` and `to_keras` turn layers of the one package into layers of the other.
"""

from __future__ import annotations

try:
    import keras as _keras
except ImportError as error:
    raise ImportError(
        "simdrnn.keras needs Keras 3 and one of its backends: pip install keras, and set "
        f"KERAS_BACKEND to numpy, torch or jax ({error})"
    ) from error

if int(_keras.__version__.split(".")[0]) < 3:
    raise ImportError(
        f"simdrnn.keras needs Keras 3, found {_keras.__version__}: pip install --upgrade keras"
    )

from simdrnn.keras.layers import GRU, LSTM, SimpleRNN
from simdrnn.keras.reading import from_keras
from simdrnn.keras.swap import convert, report, revert
from simdrnn.keras.writing import to_keras

__all__ = [
    "GRU",
    "LSTM",
    "SimpleRNN",
    "convert",
    "from_keras",
    "report",
    "revert",
    "to_keras",
]
