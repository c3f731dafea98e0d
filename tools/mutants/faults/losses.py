"""Faults in losses: weights and masks, fields of tags, CTC and its reading, sampled classes."""

from __future__ import annotations

from tools.mutants.mutant import Mutant

LOSSES = "python/simdrnn/losses/"

MUTANTS = (
    Mutant(
        "smoothing-ignores-weights-of-classes", LOSSES + "classes.py",
        find="terms += spread.sum() * np.log(total)",
        plant="terms += smoothing * np.log(total)",
        fault="wrong scale",
        seen="smoothed losses with class_weights are not PyTorch's",
        tests=("classes",),
    ),
    Mutant(
        "ignored-targets-are-learned-with-weights", LOSSES + "classes.py",
        find="weight = np.where(real, weighing.weight, 0.0)",
        plant="weight = weighing.weight",
        fault="mask ignored",
        seen="with weights, positions with ignore_index are taken for class 0",
        tests=("classes",),
    ),
    Mutant(
        "weights-of-masked-positions-are-checked", LOSSES + "base.py",
        find="counted = given[real]",
        plant="counted = given",
        fault="mask ignored",
        seen="weights that are NaN in the padding are refused",
        tests=("pointwise", "classes"),
    ),
    Mutant(
        "pinball-learns-by-the-number-of-levels", LOSSES + "pointwise.py",
        find="- levels * np.abs(side)) / levels.size",
        plant="- levels * np.abs(side))",
        fault="wrong scale",
        seen="more quantiles mean larger gradients",
        tests=("pointwise",),
    ),
    Mutant(
        "field-begins-at-the-first-step", LOSSES + "chain.py",
        find="led = real & (begun[step - 1] if step else False)",
        plant="led = real & (step > 0)",
        fault="wrong state at start",
        seen="rows whose first steps are masked train transitions from nothing",
        tests=("crf",),
    ),
    Mutant(
        "ctc-says-repeats-without-a-blank", LOSSES + "ctc.py",
        find="np.where(labels[:, 1:] != labels[:, :-1], 0.0, -np.inf)",
        plant="0.0",
        fault="case left out",
        seen="networks that join two equal labels have no loss for it",
        tests=("ctc",),
    ),
    Mutant(
        "ctc-ends-with-the-longest-row", LOSSES + "ctc.py",
        find="np.equal(self.steps - 1, step)",
        plant="np.equal(length - 1, step)",
        fault="wrong length",
        seen="short rows have gradients of other losses",
        tests=("ctc",),
    ),
    Mutant(
        "ctc-beam-takes-the-better-way", LOSSES + "ctc_decoding.py",
        find="held[index] = log_add(held[index], longer[shorter, one[-1]])",
        plant="held[index] = np.maximum(held[index], longer[shorter, one[-1]])",
        fault="wrong accumulate",
        seen="readings that have many ways to be said come out too low",
        tests=("ctc",),
    ),
    Mutant(
        "sampled-softmax-draws-the-target", LOSSES + "ranking.py",
        find="scores[chosen[:, np.newaxis] == drawn] = -np.inf",
        plant="pass",
        fault="case left out",
        seen="a target that is drawn, too, is pushed down",
        tests=("ranking",),
    ),
    Mutant(
        "quantiles-of-student-on-one-side", LOSSES + "continuous.py",
        find="side = 1.0 if level > 0.5 else -1.0",
        plant="side = 1.0",
        fault="sign",
        seen="lower ends of intervals lie above the middle",
        tests=("likelihoods",),
    ),
)  # fmt: skip
