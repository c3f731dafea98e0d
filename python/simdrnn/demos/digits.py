"""``simdrnn demo digits``: handwritten digits read row by row, 8 steps of 8 pixels.

LSTM or GRU -> Linear on the last output -> softmax, with Adam on mini-batches of pictures with
fresh noise on them, so that they cannot be learnt by heart. The digits are
scikit-learn's (Alpaydin and Kaynak 1998, UCI repository): 1797 pictures of 8 by 8, 17 greys.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from simdrnn.demos import DemoError, non_negative_integer, positive_integer
from simdrnn.layers.gradients import Gradients
from simdrnn.optim import Adam
from simdrnn.training.losses import softmax_cross_entropy
from simdrnn.training.modules import Linear
from simdrnn.training.progress import Interrupt, Progress, open_progress
from simdrnn.validate import Array

__all__ = ["Digits", "DigitsModel", "add_arguments", "load_digits", "run", "train"]

_BATCH = 64
_LEARNING_RATE = 1e-2
_NOISE = 0.2  # standard deviation added to the pixels: there are few pictures for that many weights
_CLASSES = 10

LayerClass = Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """Pictures (T, N, I) = (8, N, 8), rows as steps, and their labels (N,)."""

    pictures: Array
    labels: Array

    def take(self, indices: Array) -> Digits:
        """Return the pictures at `indices`."""
        return Digits(self.pictures[:, indices], self.labels[indices])


def load_digits(seed: int) -> tuple[Digits, Digits]:
    """Return the digits, shuffled: four fifths to train on, one held out.

    Raises
    ------
    DemoError : scikit-learn is not installed.
    """
    try:
        datasets = import_module("sklearn.datasets")
    except ImportError:
        raise DemoError(
            'the digits come with scikit-learn, which is missing: pip install "simdrnn[demo]"'
        ) from None
    data = datasets.load_digits()
    # (N, T, I) -> (T, N, I); a grey of 0 to 16 becomes one of -1 to 1.
    pictures = (data.images.transpose(1, 0, 2) / 8.0 - 1.0).astype(np.float32)
    digits = Digits(pictures, data.target)
    order = np.random.default_rng(seed).permutation(data.target.size)
    held_out = data.target.size // 5
    return digits.take(order[held_out:]), digits.take(order[:held_out])


class DigitsModel:
    """A distribution over ten classes, given a sequence.

    Parameters
    ----------
    layer_class : an LSTM or a GRU class.
    features, hidden : I and H.
    seed : fixes the initial weights.
    """

    def __init__(self, layer_class: LayerClass, features: int, hidden: int, seed: int) -> None:
        self.layer = layer_class(features, hidden, seed=seed)
        self.head = Linear(hidden, _CLASSES, seed=seed + 1)

    @property
    def parts(self) -> list[Any]:
        """The modules, in the order of `gradients`."""
        return [self.layer, self.head]

    def accuracy(self, digits: Digits) -> float:
        """Return the part of `digits` that is recognised."""
        output, _ = self.layer(digits.pictures)
        found = self.head(output[-1]).argmax(axis=-1)
        return float(np.mean(found == digits.labels))

    def gradients(self, digits: Digits) -> tuple[float, list[Gradients]]:
        """Return the loss and its gradients."""
        hidden = self.layer.record(digits.pictures)
        logits = self.head.record(hidden.output[-1])
        loss = softmax_cross_entropy(logits.output, digits.labels)

        d_head = logits.backward(loss.backward())
        d_output = np.zeros_like(hidden.output)
        d_output[-1] = d_head.x  # only the last step is looked at
        return loss.value, [hidden.backward(d_output), d_head]


def train(
    model: DigitsModel,
    training: Digits,
    held_out: Digits,
    progress: Progress,
    *,
    epochs: int,
    seed: int,
) -> bool:
    """Train for `epochs` passes with a falling learning rate; return whether Ctrl-C ended it."""
    rng = np.random.default_rng(seed)
    optimizer = Adam(model.parts, lr=_LEARNING_RATE)
    with Interrupt() as interrupt:
        for epoch in range(epochs):
            optimizer.lr = _LEARNING_RATE * (1.0 - epoch / epochs)
            losses = []
            order = rng.permutation(training.labels.size)
            for start in range(0, order.size, _BATCH):
                batch = training.take(order[start : start + _BATCH])
                noise = rng.normal(0.0, _NOISE, batch.pictures.shape).astype(np.float32)
                loss, gradients = model.gradients(Digits(batch.pictures + noise, batch.labels))
                optimizer.step(gradients, max_norm=1.0)
                losses.append(loss)
                if interrupt.requested:
                    return True
            progress.update(
                epoch + 1,
                f"loss {np.mean(losses):.3f} | accuracy {model.accuracy(training):6.1%}, "
                f"held-out {model.accuracy(held_out):6.1%}",
            )
    return interrupt.requested


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``simdrnn demo digits``."""
    parser.add_argument("--cell", choices=("lstm", "gru"), default="lstm", help="(%(default)s)")
    parser.add_argument(
        "--epochs", type=positive_integer, default=30, help="passes over the data (%(default)s)"
    )
    parser.add_argument(
        "--hidden", type=positive_integer, default=128, help="hidden units (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=non_negative_integer, default=0, help="of split and weights (%(default)s)"
    )


def run(args: argparse.Namespace, layer_class: LayerClass | None = None) -> int:
    """Run the demonstration; return the exit code.

    Raises
    ------
    DemoError : scikit-learn is not installed.
    """
    training, held_out = load_digits(args.seed)
    if layer_class is None:
        from simdrnn.layers import compiled as layers

        layer_class = layers.LSTM if args.cell == "lstm" else layers.GRU
    steps, _, features = training.pictures.shape
    model = DigitsModel(layer_class, features, args.hidden, args.seed)
    count = sum(part.num_parameters for part in model.parts)
    print(f"Data   {training.labels.size} handwritten digits, read as {steps} steps of {features};")
    print(f"       {held_out.labels.size} more are held out")
    print(f"Model  {' -> '.join(map(repr, model.parts))}: {count:,} parameters")
    print("Watch  the held-out accuracy rise from the 10 % of guessing.\n", flush=True)

    with open_progress(args.epochs, "epochs") as progress:
        stopped = train(model, training, held_out, progress, epochs=args.epochs, seed=args.seed)

    accuracy = model.accuracy(held_out)
    right, total = round(accuracy * held_out.labels.size), held_out.labels.size
    print(f"\n{'Stopped early' if stopped else 'Done'}: "
          f"{accuracy:.1%} of digits never seen are recognised ({right} of {total}).")  # fmt: skip
    return 0
