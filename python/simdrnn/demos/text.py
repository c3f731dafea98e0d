"""``simdrnn demo text``: a character language model, from random weights to readable lines.

Embedding -> LSTM -> Linear -> softmax, trained on mini-batches by truncated back-propagation
through time (Williams and Peng 1990): the state is carried from one chunk of text to the next, the
gradient is not. Adam, with the gradients clipped by their global norm.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from simdrnn.demos import non_negative_integer, positive_integer, positive_number
from simdrnn.demos.corpus import Corpus, chunks, documentation, load_file, make_corpus
from simdrnn.layers.gradients import Gradients
from simdrnn.optim import Adam
from simdrnn.training.generation import generate
from simdrnn.training.losses import softmax_cross_entropy
from simdrnn.training.modules import Embedding, Linear
from simdrnn.training.progress import Interrupt, Progress, open_progress
from simdrnn.validate import Array

__all__ = ["CharacterModel", "Summary", "add_arguments", "run", "sample", "train"]

_BATCH = 32
_LEARNING_RATE = 6e-3
_MAX_NORM = 0.5  # about twice the usual norm once training has settled, so it acts on outliers
_EVALUATIONS = 10  # of the held-out part, in a run of full length
_HELD_OUT_CHUNKS = 4  # per evaluation: enough for a steady second digit, in little time
_TEMPERATURE = 0.7  # below 1 the sample is more cautious than the model

LayerClass = Callable[..., Any]


class CharacterModel:
    """A distribution over the next character, given those before.

    Parameters
    ----------
    layer_class : an LSTM or a GRU class.
    vocabulary : V, the number of different characters.
    hidden : H.
    seed : fixes the initial weights.
    """

    def __init__(self, layer_class: LayerClass, vocabulary: int, hidden: int, seed: int) -> None:
        width = min(64, vocabulary)
        self.embedding = Embedding(vocabulary, width, seed=seed)
        self.layer = layer_class(width, hidden, seed=seed + 1)
        self.head = Linear(hidden, vocabulary, seed=seed + 2)

    @property
    def parts(self) -> list[Any]:
        """The modules, in the order of `gradients`."""
        return [self.embedding, self.layer, self.head]

    def logits(self, inputs: Array, state: Any = None) -> tuple[Array, Any]:
        """Return unnormalised log-probabilities (T, B, V) after each of `inputs` (T, B)."""
        output, state = self.layer(self.embedding(inputs), state)
        return self.head(output), state

    def gradients(
        self, inputs: Array, targets: Array, state: Any = None
    ) -> tuple[float, list[Gradients], Any]:
        """Return the loss in nats per character, its gradients, and the state to carry on."""
        embedded = self.embedding.record(inputs)
        hidden = self.layer.record(embedded.output, state)
        logits = self.head.record(hidden.output)
        loss = softmax_cross_entropy(logits.output, targets)

        d_head = logits.backward(loss.backward())
        d_layer = hidden.backward(d_head.x)
        d_embedding = embedded.backward(d_layer.x)
        return loss.value, [d_embedding, d_layer, d_head], hidden.state

    def bits(self, integers: Array, length: int) -> float:
        """Return bits per character over the first chunks of a text."""
        losses, state = [], None
        for inputs, targets in islice(chunks(integers, _BATCH, length), _HELD_OUT_CHUNKS):
            logits, state = self.logits(inputs, state)
            losses.append(softmax_cross_entropy(logits, targets).value)
        return float(np.mean(losses)) / math.log(2.0)


@dataclass(frozen=True, slots=True)
class Summary:
    """How a training run went; bits are per character."""

    steps: int
    seconds: float
    training_bits: float
    held_out_bits: float
    interrupted: bool


def train(
    model: CharacterModel,
    corpus: Corpus,
    progress: Progress,
    *,
    seconds: float,
    length: int,
    max_steps: int | None = None,
) -> Summary:
    """Train until the time, or `max_steps`, is used up, or Ctrl-C.

    The learning rate falls to a tenth over the run, whichever limit ends it.
    """
    optimizer = Adam(model.parts, lr=_LEARNING_RATE)
    batches = _batches(corpus.training, length)
    held_out = model.bits(corpus.held_out, length)
    average, steps, evaluations, state = 0.0, 0, 0, None
    start = time.perf_counter()
    elapsed = done = 0.0
    with Interrupt() as interrupt:
        while done < 1.0 and not interrupt.requested:
            inputs, targets, continued = next(batches)
            loss, gradients, state = model.gradients(inputs, targets, state if continued else None)
            optimizer.lr = _LEARNING_RATE * (1.0 - 0.9 * done)
            norm = optimizer.step(gradients, max_norm=_MAX_NORM)

            steps += 1
            keep = min(0.95, 1.0 - 1.0 / steps)  # a plain mean at first, then a running one
            average = keep * average + (1.0 - keep) * loss / math.log(2.0)
            elapsed = time.perf_counter() - start
            done = max(elapsed / seconds, steps / max_steps if max_steps else 0.0)
            if done * _EVALUATIONS >= evaluations + 1:
                held_out = model.bits(corpus.held_out, length)
                evaluations = int(done * _EVALUATIONS)
            progress.update(
                min(done, 1.0) * seconds,
                f"{average:.2f} bits/char, held-out {held_out:.2f} | "
                f"{steps / elapsed:.1f} steps/s | |grad| {norm:.2f}",
            )
        held_out = model.bits(corpus.held_out, length)
    return Summary(steps, elapsed, average, held_out, interrupt.requested)


def _batches(integers: Array, length: int) -> Iterator[tuple[Array, Array, bool]]:
    """Yield chunks for ever, each with whether it continues the one before."""
    while True:
        for index, (inputs, targets) in enumerate(chunks(integers, _BATCH, length)):
            yield inputs, targets, index > 0


def sample(model: CharacterModel, corpus: Corpus, count: int, seed: int) -> str:
    """Return `count` characters drawn one after the other, each given all before it."""
    start = "\n\nThe " if set("\n\nThe ") <= set(corpus.characters) else corpus.characters[0]
    prompt = [corpus.characters.index(character) for character in start]
    drawn = generate(model, prompt, count, _TEMPERATURE, seed=seed)
    return start + corpus.decode(drawn.tolist())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``simdrnn demo text``."""
    parser.add_argument("--file", help="UTF-8 text to learn (default: Python's own documentation)")
    parser.add_argument(
        "--seconds", type=positive_number, default=40.0, help="time to train for (%(default)g)"
    )
    parser.add_argument(
        "--steps", type=positive_integer, help="stop after so many steps; the same on every run"
    )
    parser.add_argument(
        "--hidden", type=positive_integer, default=256, help="hidden units (%(default)s)"
    )
    parser.add_argument(
        "--length", type=positive_integer, default=64, help="characters per chunk (%(default)s)"
    )
    parser.add_argument(
        "--sample", type=positive_integer, default=500, help="characters to write (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=non_negative_integer, default=0, help="of weights and sample (%(default)s)"
    )


def run(args: argparse.Namespace, layer_class: LayerClass | None = None) -> int:
    """Run the demonstration; return the exit code.

    Raises
    ------
    DemoError : the text cannot be used.
    """
    if layer_class is None:
        from simdrnn.layers.compiled import LSTM

        layer_class = LSTM
    name = args.file or "Python's documentation (pydoc_data.topics)"
    text = load_file(args.file) if args.file else documentation()
    corpus = make_corpus(name, text, args.length)
    vocabulary = len(corpus.characters)
    model = CharacterModel(layer_class, vocabulary, args.hidden, args.seed)
    count = sum(part.num_parameters for part in model.parts)
    print(f"Text   {name}: {len(text):,} characters, {vocabulary} different ones")
    print(f"Model  {' -> '.join(map(repr, model.parts))}: {count:,} parameters")
    print(
        f"Watch  bits per character fall: {math.log2(vocabulary):.1f} is blind guessing, "
        f"{_frequency_bits(corpus.training):.1f} knows\n       how common each character is. "
        "|grad| is the norm of all gradients before clipping.\n",
        flush=True,
    )

    with open_progress(args.seconds, "s") as progress:
        summary = train(
            model, corpus, progress, seconds=args.seconds, length=args.length, max_steps=args.steps
        )

    verb = "Stopped after" if summary.interrupted else "Trained"
    steps = f"{summary.steps} step{'s' if summary.steps > 1 else ''}"
    rate = summary.steps / summary.seconds
    print(f"\n{verb} {steps} in {summary.seconds:.1f} s, {rate:.1f} steps/s.")
    print(
        f"Bits per character: {summary.training_bits:.2f} in training, "
        f"{summary.held_out_bits:.2f} on text it has not seen.\nIt now writes:\n"
    )
    print(sample(model, corpus, args.sample, args.seed).strip("\n"))
    return 0


def _frequency_bits(integers: Array) -> float:
    """Return the entropy of single characters, in bits."""
    counts = np.bincount(integers)
    frequency = counts[counts > 0] / integers.size
    return float(-(frequency * np.log2(frequency)).sum())
