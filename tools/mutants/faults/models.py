"""Faults in models: what is tied, frozen, grouped, pooled, kept, and gone on from."""

from __future__ import annotations

from tools.mutants.mutant import Mutant

MODEL, OPTIM = "python/simdrnn/model/", "python/simdrnn/optim/"

MUTANTS = (
    Mutant(
        "tied-part-keeps-its-version", "python/simdrnn/layers/parameters.py",
        find="if not self.sharing:",
        plant="if True:",
        fault="stale cache",
        seen="an output layer that is tied to an embedding computes with its first weights",
        tests=("model",),
    ),
    Mutant(
        "gradients-of-frozen-parts-count", MODEL + "parts.py",
        find="found.keys() - self.frozen",
        plant="found",
        fault="option ignored",
        seen="frozen parameters take part in the norm that clip_grad_norm_ clips",
        tests=("model",),
    ),
    Mutant(
        "adam-counts-steps-of-the-frozen", OPTIM + "base.py",
        find="self._steps - self._missed[index]",
        plant="self._steps",
        fault="wrong count",
        seen="parameters that are trained again make steps three times too large",
        tests=("groups",),
    ),
    Mutant(
        "group-decays-as-all", OPTIM + "groups.py",
        find='own.get("weight_decay", weight_decay)',
        plant="weight_decay",
        fault="option ignored",
        seen="biases shrink that were to have no weight decay",
        tests=("groups",),
    ),
    Mutant(
        "cut-epoch-begins-again", MODEL + "fitting.py",
        find="if index < done:",
        plant="if False:",
        fault="state not restored",
        seen="a run that was interrupted learns some batches twice",
        tests=("fit",),
    ),
    Mutant(
        "every-epoch-in-one-order", MODEL + "trainer.py",
        find="[self.seed, len(self.history)]",
        plant="[self.seed]",
        fault="counter left out",
        seen="examples come in the same order in every epoch",
        tests=("fit",),
    ),
    Mutant(
        "best-epoch-is-not-kept", MODEL + "fitting.py",
        find="self._model.load_state_dict(self._best)",
        plant="pass",
        fault="missing copy",
        seen="the model has the parameters of the last epoch, not of the best",
        tests=("fit",),
    ),
    Mutant(
        "file-forgets-the-last-step", MODEL + "saving.py",
        find="trainer.last = groups[_LAST]",
        plant="pass",
        fault="state not restored",
        seen="a run that is loaded goes on from its best epoch",
        tests=("fit",),
    ),
    Mutant(
        "mean-counts-padding", MODEL + "pooling.py",
        find="real.sum(axis=0)",
        plant="len(output)",
        fault="wrong count",
        seen="short rows are pooled to vectors that are too small",
        tests=("model",),
    ),
    Mutant(
        "max-sees-padding", MODEL + "pooling.py",
        find="shown = output if real is None else np.where(real, output, -np.inf)",
        plant="shown = output",
        fault="mask ignored",
        seen="short rows whose outputs are below 0 are pooled to their padding",
        tests=("model",),
    ),
    Mutant(
        "tied-parameters-learn-in-one-place", MODEL + "parts.py",
        find="gradient if target not in found else found[target] + gradient",
        plant="gradient",
        fault="lost accumulate",
        seen="an embedding that is tied to the head is trained as one of them alone",
        tests=("model",),
    ),
    Mutant(
        "epoch-is-the-mean-of-batches", MODEL + "fitting.py",
        find="sums = [loss * weight, weight, 0.0 if norm is None else norm]",
        plant="sums = [loss, 1.0, 0.0 if norm is None else norm]",
        fault="wrong mean",
        seen="losses of epochs count a small last batch as much as the others",
        tests=("fit",),
    ),
    Mutant(
        "noise-is-the-same-at-every-step", MODEL + "trainer.py",
        find="noise.add_(noisy, self.steps)",
        plant="noise.add_(noisy, 0)",
        fault="counter left out",
        seen="gradient noise pushes the same way all the time, and never becomes less",
        tests=("fit",),
    ),
    Mutant(
        "file-forgets-the-first-rate", MODEL + "saving.py",
        find='trainer.base_lr = as_finite_number("base_lr", document["base_lr"])',
        plant="pass",
        fault="state not restored",
        seen="a loaded run multiplies the learning rate by its schedule twice",
        tests=("fit", "model_files"),
    ),
)  # fmt: skip
