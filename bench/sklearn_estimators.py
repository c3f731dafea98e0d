"""What the estimators cost beside the layers in them: rough figures, run by hand.

python bench/sklearn_estimators.py
"""

from __future__ import annotations

import statistics
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

import simdrnn as sr
from simdrnn.sklearn import RNNClassifier


def seconds(work, rounds=5):
    """Return the median time of a call."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def by_hand(x, y, epochs, batch):
    """Train the same network in a plain loop."""
    layer, head = sr.LSTM(8, 64, seed=0), sr.Linear(64, 10, seed=1)
    optimizer = sr.optim.Adam([layer, head], lr=3e-3)
    rng = np.random.default_rng(0)
    for _ in range(epochs):
        order = rng.permutation(len(y))
        for start in range(0, len(y), batch):
            rows = order[start : start + batch]
            tape = layer.record(x[:, rows])
            scores = head.record(tape.last_output)
            loss = sr.softmax_cross_entropy(scores.output, y[rows])
            of_head = scores.backward(loss.backward())
            gradients = [tape.backward(d_last_output=of_head.x), of_head]
            sr.clip_grad_norm_(gradients, 1.0)
            optimizer.step(gradients)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    images, labels = load_digits(return_X_y=True)
    X = images.reshape(-1, 8, 8)
    x = np.ascontiguousarray(X.swapaxes(0, 1)).astype("float32")
    model = RNNClassifier("lstm", 64, max_iter=5, tol=0, random_state=0)

    fit, plain = seconds(lambda: model.fit(X, labels)), seconds(lambda: by_hand(x, labels, 5, 64))
    print(f"5 epochs of digits: fit {fit:.3f} s, a plain loop {plain:.3f} s")
    one = seconds(lambda: model.predict(X[:1]), 200)
    print(
        f"predict: one sequence {one * 1e6:.0f} us, 1797 {seconds(lambda: model.predict(X)):.4f} s"
    )
    row = seconds(lambda: model.partial_fit(X[:1], labels[:1]), 200)
    print(f"partial_fit of one sequence: {row * 1e6:.0f} us")


if __name__ == "__main__":
    main()
