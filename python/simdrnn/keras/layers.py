"""Keras's recurrent layers with their loop over the steps on the compiled engine."""

from __future__ import annotations

from typing import Any

import keras

from simdrnn.keras import obstacles
from simdrnn.keras.kernel import Call, Kernel

__all__ = ["GRU", "LSTM", "OnEngine", "SimpleRNN"]


class OnEngine:
    """What the three layers share: the loop over the steps, where the engine can run it.

    Keras has done all else when it calls `inner_loop`: checks, initial states, casts. What is
    returned it uses as if its own loop had made it.
    """

    cell: Any
    compute_dtype: str
    go_backwards: bool
    return_sequences: bool
    stateful: bool
    weights: list[Any]
    zero_output_for_mask: bool

    _kernel: Kernel | None = None

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Any, Any, list[Any]]:
        """Run all steps.

        Parameters
        ----------
        sequences : (B, T, I).
        initial_state : (B, H), or a list with one for each state.
        mask : (B, T), True where a step is real; a list of one such; or None.
        training : whether dropout is drawn.

        Returns
        -------
        last : (B, H), the output of the last step taken.
        outputs : (B, T, H) in the order in which steps are taken, or (B, 1, H) where the layer
            returns no sequences.
        states : a list of (B, H).
        """
        states = list(initial_state) if _is_list(initial_state) else [initial_state]
        flags = mask[0] if _is_list(mask) else mask
        weights = self._weights()
        if (
            obstacles.in_layer(self) is not None
            or (training and obstacles.in_training(self) is not None)
            or not self._fits(sequences, flags, weights, states)
        ):
            own: Any = super()
            return own.inner_loop(sequences, initial_state, mask, training)  # type: ignore[no-any-return]
        if self.stateful:
            # Keras writes the next state over these, and backward still reads them then.
            states = [keras.ops.copy(state) for state in states]
        if training and self.cell.dropout > 0:
            # As Keras does it, drawn by its own generator: one mask for all steps.
            drawn = self.cell.get_dropout_mask(sequences[:, 0, :])
            sequences = sequences * keras.ops.expand_dims(drawn, 1)
        return self._run(sequences, flags, weights, states)

    def _weights(self) -> list[Any]:
        """Return kernel, recurrent kernel, and the bias if there is one."""
        cell = self.cell
        variables = [cell.kernel, cell.recurrent_kernel]
        variables += [] if cell.bias is None else [cell.bias]
        return [variable.value for variable in variables]

    def _fits(self, sequences: Any, mask: Any, weights: list[Any], states: list[Any]) -> bool:
        """Tell whether tensors are such as the engine takes as they are.

        Where they are not, Keras casts, broadcasts or refuses them.
        """
        floats = [sequences, *weights, *states]
        every = floats if mask is None else [*floats, mask]
        backend: Any = obstacles.BACKEND
        if len(sequences.shape) != 3 or backend.obstacle(every) is not None:
            return False
        batch, steps, size = sequences.shape
        return (
            steps > 0
            and size == weights[0].shape[0]
            and (mask is None or tuple(mask.shape) == (batch, steps))
            and all(tuple(state.shape) == (batch, self.cell.units) for state in states)
            and all(keras.backend.standardize_dtype(t.dtype) == self.compute_dtype for t in floats)
        )

    def _run(
        self, sequences: Any, mask: Any, weights: list[Any], states: list[Any]
    ) -> tuple[Any, Any, list[Any]]:
        """Run all steps on the engine."""
        settings = obstacles.settings_of(self.cell, self.compute_dtype, sequences.shape[-1])
        if self._kernel is None or self._kernel.settings != settings:
            self._kernel = Kernel(settings)
        hold = not self.zero_output_for_mask
        call = Call(self._kernel, bool(self.go_backwards), hold, bool(self.return_sequences))
        backend: Any = obstacles.BACKEND
        output, final = backend.run(call, sequences, mask, weights, states)
        if output is not None:
            return output[:, -1], output, list(final)
        last = final[0]
        if mask is not None:
            flags = keras.ops.cast(mask, "bool")
            if not hold:
                last = _where(flags[:, 0 if self.go_backwards else -1], last)
            elif backend.ZERO_BEFORE_FIRST:
                last = _where(keras.ops.any(flags, axis=1), last)
        return last, keras.ops.expand_dims(last, 1), list(final)


def _is_list(value: object) -> bool:
    """Tell whether a value is what Keras calls nested."""
    return isinstance(value, (list, tuple))


def _where(rows: Any, values: Any) -> Any:
    """Return the values (B, H) of some rows (B,), and 0 in the others."""
    return keras.ops.where(rows[:, None], values, keras.ops.zeros_like(values))


@keras.saving.register_keras_serializable(package="simdrnn")
class LSTM(OnEngine, keras.layers.LSTM):
    """``keras.layers.LSTM`` on the compiled engine.

    Arguments, weights, results, saving: all as Keras's, which does itself what the engine does
    not, see `simdrnn.keras.report`. ``unroll`` and ``use_cudnn="auto"`` make no difference.

    Examples
    --------
    >>> import numpy as np
    >>> layer = LSTM(4, return_sequences=True, return_state=True)
    >>> output, h, c = layer(np.ones((2, 5, 3), "float32"), mask=np.ones((2, 5), bool))
    >>> output.shape, h.shape, c.shape
    ((2, 5, 4), (2, 4), (2, 4))

    References
    ----------
    Keras 3, https://keras.io/api/layers/recurrent_layers/lstm/
    """


@keras.saving.register_keras_serializable(package="simdrnn")
class GRU(OnEngine, keras.layers.GRU):
    """``keras.layers.GRU`` on the compiled engine, with ``reset_after`` or without.

    Arguments, weights, results, saving: all as Keras's, which does itself what the engine does
    not, see `simdrnn.keras.report`. ``unroll`` and ``use_cudnn="auto"`` make no difference.

    Examples
    --------
    >>> import keras, numpy as np
    >>> both = keras.layers.Bidirectional(GRU(4, return_sequences=True))
    >>> both(np.ones((2, 5, 3), "float32")).shape
    (2, 5, 8)

    References
    ----------
    Keras 3, https://keras.io/api/layers/recurrent_layers/gru/
    """


@keras.saving.register_keras_serializable(package="simdrnn")
class SimpleRNN(OnEngine, keras.layers.SimpleRNN):
    """``keras.layers.SimpleRNN`` on the compiled engine.

    Arguments, weights, results, saving: all as Keras's, which does itself what the engine does
    not, see `simdrnn.keras.report`. ``unroll`` makes no difference.

    Examples
    --------
    >>> import numpy as np
    >>> SimpleRNN(4, activation="relu")(np.ones((2, 5, 3), "float32")).shape
    (2, 4)

    References
    ----------
    Keras 3, https://keras.io/api/layers/recurrent_layers/simple_rnn/
    """
