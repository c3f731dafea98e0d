"""`simdrnn.generate`: sequences from models of tokens, which are fed their own output."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.engine.random_words import call_key, uniforms
from simdrnn.engine.stream_core import sample
from simdrnn.layers.parametrised import Parametrised
from simdrnn.spec.parameters import check_memory
from simdrnn.training.modules import Embedding, check_range, integer_array
from simdrnn.validate import (
    Array,
    array_of,
    as_count,
    as_finite_number,
    as_lengths,
    as_positive,
    as_seed,
    check_shape,
    dense,
)

__all__ = ["generate"]

_NAMES = (("embedding",), ("rnn", "layer"), ("head",))  # of a model's parts, in their order
_EXPECTED = (
    "an object with embedding, rnn (or layer) and head, a list of them, a Model of such parts, or "
    "a function (tokens, state) -> (logits, state)"
)


def generate(
    model: Any,
    prompt: npt.ArrayLike,
    steps: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int | None = None,
    *,
    lengths: npt.ArrayLike | None = None,
) -> Array:
    """Return tokens drawn one after the other, each given all before it.

    The recurrent part runs as a `Stream`. With p the softmax of logits / temperature, the token is
    the first whose cumulative probability, summed in float64, exceeds a number drawn for its row
    and step; so a seed fixes it, on every machine.

    Parameters
    ----------
    model : what tells the odds of the next token:

        * an object with ``embedding``, ``rnn`` (or ``layer``) and ``head``: an `Embedding`, a
          causal layer or stack, and a `Linear` or another function (B, F) -> (B, V);
        * a list of these, with one recurrent layer or several;
        * a `Model` whose parts follow each other so, under any names. What follows its last
          recurrent part is the head, and a `Pooling("last")` makes no difference;
        * a function ``(tokens, state) -> (logits, state)`` of integers (B,), which is given None
          first and returns (B, V).
    prompt : (T, B) integers, or (T,): what is given. With a layer that has ``batch_first`` (B, T).
    steps : how many tokens to draw.
    temperature : that logits are divided by; 0 takes the largest, the first of such.
    top_k : draw from as many of the largest logits, of equal ones the first; None is all.
    seed : non-negative integer; None draws one.
    lengths : (B,) integers in [1, T]: how many tokens of each prompt are real. Not with a function.

    Returns
    -------
    (steps, B) int64, laid out like `prompt`: the tokens that follow it.

    Raises
    ------
    TypeError, ValueError : an argument does not fit; logits are NaN or infinite.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> parts = [sr.Embedding(5, 4, seed=0), sr.GRU(4, 8, seed=1), sr.Linear(8, 5, seed=2)]
    >>> sr.generate(parts, [1, 2, 3], 4, temperature=0)
    array([0, 0, 0, 0])
    >>> sr.generate(parts, [[1, 2], [3, 0]], 2, top_k=3, seed=0, lengths=[2, 1]).shape
    (2, 2)
    """
    count, heat = as_count("steps", steps), as_finite_number("temperature", temperature)
    if heat < 0:
        raise ValueError(f"temperature: expected a number of at least 0, got {temperature!r}")
    most = 0 if top_k is None else as_positive("top_k", top_k)
    key = call_key(as_seed(seed), 0)
    running = _open(model)
    tokens, batched, batch_first = _prompt(prompt, running)
    batch = tokens.shape[1]
    if lengths is None:
        real = np.full(batch, len(tokens))
    elif not batched:
        real = as_lengths(lengths, len(tokens), None)
    else:
        real = as_lengths(lengths, len(tokens), batch)
    if real.size and real.min() < 1:
        raise ValueError("lengths: expected at least one token of each prompt, got 0")
    check_memory(count * batch, steps=count)
    drawn = np.empty((count, batch), np.int64)
    numbers = uniforms(count, batch, key)
    if count and batch:
        logits = running.begin(tokens, real)
        for step in range(count):
            _draw(logits, heat, most, numbers[step], drawn[step], step)
            if step + 1 < count:
                logits = running.go_on(drawn[step])
    if not batched:
        return drawn[:, 0]
    return drawn.T if batch_first else drawn


def _draw(
    logits: Array, temperature: float, top_k: int, numbers: Array, out: Array, step: int
) -> None:
    """Draw a token for each row of logits (B, V)."""
    width = logits.shape[1]
    row = sample(logits, temperature, min(top_k or width, width), numbers, out)
    if row >= 0:
        raise ValueError(
            f"logits: expected finite numbers, got NaN, infinity or nothing else than -infinity "
            f"in row {row} at step {step}"
        )


def _prompt(prompt: npt.ArrayLike, model: Any) -> tuple[Array, bool, bool]:
    """Return the tokens (T, B), whether there is a batch, and whether it comes first."""
    empty = isinstance(prompt, (list, tuple)) and not len(prompt)  # which NumPy takes for floats
    tokens = np.zeros(0, np.int64) if empty else integer_array("prompt", prompt)
    if tokens.ndim not in (1, 2) or not tokens.shape[0]:
        raise ValueError(
            f"prompt: expected shape (T, B) or (T,) with a token at least, got {tokens.shape}"
        )
    batched, batch_first = tokens.ndim == 2, bool(model.batch_first)
    if not batched:
        tokens = tokens[:, None]
    elif batch_first:
        tokens = tokens.T
    if not len(tokens):
        raise ValueError("prompt: expected a token at least, got T = 0")
    if model.vocabulary is not None:
        tokens = check_range("prompt", tokens, model.vocabulary)
    return tokens, batched, batch_first


def _open(model: Any) -> Any:
    """Return what runs a model in one of the forms that there are."""
    parts = None
    split = getattr(model, "_parts_of_a_step", None)  # of a `Model`, whatever its parts are called
    own = None if split is None else split()
    if own is not None:
        parts = own
    elif isinstance(model, (list, tuple)):
        if len(model) >= 3:
            parts = (model[0], list(model[1:-1]), model[-1])
    else:
        found = [next((getattr(model, n) for n in names if hasattr(model, n)), None)
                 for names in _NAMES]  # fmt: skip
        if all(part is not None for part in found):
            parts = (found[0], [found[1]], found[2])
    if parts is not None:
        return _Parts(*parts)
    if callable(model) and split is None and not isinstance(model, Parametrised):
        return _Function(model)
    raise TypeError(f"model: expected {_EXPECTED}, got {type(model).__name__}")


class _Parts:
    """An embedding, recurrent layers as streams, and a head."""

    def __init__(self, embedding: Any, layers: Sequence[Any], head: Any) -> None:
        if not isinstance(embedding, Embedding):
            raise TypeError(
                f"model: expected an Embedding to begin with, got {type(embedding).__name__}"
            )
        for layer in layers:
            if not hasattr(layer, "stream"):
                raise TypeError(
                    f"model: expected recurrent layers or stacks between embedding and head, "
                    f"got {type(layer).__name__}"
                )
        if not callable(head):
            raise TypeError(f"model: expected a head to call, got {type(head).__name__}")
        self.vocabulary, self._table = embedding.num_embeddings, embedding.state_dict()["weight"]
        self._layers, self._head = layers, head
        self.batch_first = _batch_first(layers[0])

    def begin(self, prompt: Array, lengths: Array) -> Array:
        """Return the logits behind the prompts."""
        batch = prompt.shape[1]
        self._streams = [layer.stream(batch) for layer in self._layers]
        sizes = [self._table.shape[1], *(stream.output_size for stream in self._streams)]
        self._values = [np.empty((batch, size), self._table.dtype) for size in sizes]
        begin = 0
        for end in np.unique(lengths):  # all rows that have the steps in between
            self._feed(prompt[begin:end], np.flatnonzero(lengths > begin))
            begin = end
        return self._logits()

    def _feed(self, tokens: Array, rows: Array) -> None:
        """Take a piece of the prompts of some rows; keep what comes out last."""
        below = self._table[tokens[:, rows]]
        for layer, stream in zip(self._layers, self._streams, strict=True):
            turned = _batch_first(layer)
            made = stream.feed(below.swapaxes(0, 1) if turned else below, rows=rows)
            below = made.swapaxes(0, 1) if turned else made
        self._values[-1][rows] = below[-1]

    def go_on(self, tokens: Array) -> Array:
        """Return the logits behind one token more."""
        values = self._values
        if tokens.max() >= self.vocabulary:
            raise ValueError(
                f"head: expected logits for the {self.vocabulary} tokens of the embedding, "
                f"got token {tokens.max()}"
            )
        np.take(self._table, tokens, axis=0, out=values[0], mode="clip")
        for stream, given, made in zip(self._streams, values, values[1:], strict=False):
            stream.step(given, out=made)
        return self._logits()

    def _logits(self) -> Array:
        """Return what the head makes of the last output."""
        return _as_logits("head", self._head(self._values[-1]), len(self._values[-1]))


def _batch_first(layer: Any) -> bool:
    """Tell how the sequences of a layer or stack are laid out."""
    first = layer.layers[0] if hasattr(layer, "layers") else layer
    return bool(getattr(first, "batch_first", False))


class _Function:
    """A function that is given a token of each row and its state."""

    vocabulary, batch_first = None, False

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._state: Any = None

    def begin(self, prompt: Array, lengths: Array) -> Array:
        """Return the logits behind the prompts."""
        if (lengths != len(prompt)).any():
            raise ValueError(
                "lengths: expected prompts of one length for a function, whose states are its own, "
                f"got {lengths.tolist()}"
            )
        for tokens in prompt[:-1]:
            self.go_on(tokens)
        return self.go_on(prompt[-1])

    def go_on(self, tokens: Array) -> Array:
        """Return the logits behind one token more."""
        answer = self._function(tokens.copy(), self._state)
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise TypeError(
                f"model: expected (logits, state) of the function, got {type(answer).__name__}"
            )
        logits, self._state = answer
        return _as_logits("model", logits, len(tokens))


def _as_logits(name: str, value: Any, batch: int) -> Array:
    """Return logits (B, V) as the engine reads them."""
    array = array_of(name, value, "logits of float32 or float64")
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name}: expected logits of float32 or float64, got {array.dtype}")
    width = array.shape[-1] if array.ndim else 0
    check_shape(f"{name}: logits", array, ("B", "V"), (batch, width))
    if not width:
        raise ValueError(f"{name}: expected logits of at least one token, got {array.shape}")
    return dense(array)
