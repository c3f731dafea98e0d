"""What a tagger takes and returns: a label for each step of sequences; and its network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from simdrnn.losses import CRF
from simdrnn.sklearn.carried import check_numbers, check_unmasked, names_of, naming
from simdrnn.sklearn.inputs import InputForm, compared, read_sequences
from simdrnn.sklearn.network import Network, NetworkTape
from simdrnn.sklearn.sequences import Sequences, as_sequence_list
from simdrnn.sklearn.weights import sized, weights_of_steps
from simdrnn.validate import Array

__all__ = ["TaggingNetwork", "as_given", "read_labels", "read_step_weights", "read_tagged"]


def read_tagged(estimator: Any, X: Any, known: InputForm | None) -> tuple[Sequences, InputForm]:
    """Check `X` and return its sequences and their form.

    Parameters
    ----------
    estimator : whose ``n_features_in_`` is set, unless `known` is given.
    X : (T, I), one sequence; (N, T, I); or a list of arrays (T_i, I) or (T_i,).
    known : the form in `fit`; None is in `fit`.
    """
    if as_sequence_list(X) is not None or getattr(X, "ndim", 0) > 2:
        return read_sequences(estimator, X, known, scalars=True)
    check_numbers("X", X)
    with naming("X", X):
        array = validate_data(estimator, X, dtype=[np.float64, np.float32], reset=known is None)
    form = InputForm(True, False, array.shape[1], names_of(X))
    return Sequences.of_array(array[None]), compared(estimator, form, known, named=True)


def read_labels(y: Any, one: bool) -> tuple[Array, Array]:
    """Check labels and return those of all steps (M,), and how many each sequence has (N,).

    Parameters
    ----------
    y : (T,), of one sequence; (N, T); or a list of (T_i,).
    one : whether it is one sequence: (T, 1) are then its labels.
    """
    listed = isinstance(y, (list, tuple)) or getattr(y, "dtype", np.dtype(int)).kind == "O"
    if listed and len(y) and all(map(sized, y)):
        items: Sequence[Any] = [_labels(f"y[{index}]", item) for index, item in enumerate(y)]
    elif not one and _dimensions(y) == 2:
        check_unmasked("y", y)
        items = [_labels(f"y[{index}]", item) for index, item in enumerate(np.asarray(y))]
    else:
        items = [_labels("y", y)]
    labels = np.concatenate(items)
    with naming("y", y, "labels"):
        check_classification_targets(labels)
    return labels, np.array([len(item) for item in items])


def _dimensions(values: Any) -> int:
    """Return the number of axes of what can be made an array."""
    found = getattr(values, "ndim", None)
    return np.asarray(values).ndim if found is None else int(found)


def _labels(name: str, item: Any) -> Array:
    """Return the labels of one sequence, (T,)."""
    check_unmasked(name, item)
    with naming(name, item, "labels"):
        labels: Array = column_or_1d(item, warn=True)
        check_classification_targets(labels)
    return labels


def read_step_weights(sample_weight: Any, sequences: Sequences, whole: bool) -> Sequences | None:
    """Check weights and return one for each step, or None for equal ones.

    Parameters
    ----------
    sample_weight : as `weights_of_steps` takes it.
    whole : whether all steps of a sequence have to count the same.
    """
    if sample_weight is None:
        return None
    weights = weights_of_steps(sample_weight, sequences.lengths)
    made = sequences.alike(weights)
    if whole:
        ends = np.add.reduceat(
            weights != np.repeat(weights[made.starts], made.lengths), made.starts
        )
        if ends.any():
            raise ValueError(
                f"sample_weight: expected one weight for all steps of a sequence with crf=True, "
                f"which learns their tags together, got others in sequence {int(ends.argmax())}"
            )
    return made


def as_given(form: InputForm, stacked: bool, steps: Array, lengths: Array) -> Any:
    """Return what belongs to all steps (M, ...) in the form of sequences.

    Parameters
    ----------
    form : a table is one sequence: (T, ...).
    stacked : whether sequences came as one array: (N, T, ...); else a list of arrays.
    """
    if form.table:
        return steps
    if stacked:
        return steps.reshape(len(lengths), -1, *steps.shape[1:])
    return np.split(steps, np.cumsum(lengths)[:-1])


class TaggingNetwork(Network):
    """Recurrent layers and a `Linear` at every step, with a conditional random field on top or not.

    Parameters
    ----------
    layers, rng : as for `Network`.
    tags : K.
    crf : whether there is a field.
    """

    def __init__(self, layers: Any, tags: int, crf: bool, rng: np.random.RandomState) -> None:
        super().__init__(layers, tags, "none", rng)
        self.crf: CRF | None = None
        if crf:
            seed = int(rng.randint(np.iinfo(np.int32).max))
            self.crf = CRF(tags, dtype=layers.dtype, seed=seed)

    @property
    def parts(self) -> list[Any]:
        """The modules, in the order of gradients."""
        return super().parts if self.crf is None else [*super().parts, self.crf]

    def record(self, x: Array, lengths: Array | None, num_threads: int | None) -> Any:
        """Run forward for training."""
        tape = super().record(x, lengths, num_threads)
        return tape if self.crf is None else _FieldTape(tape)


@dataclass(frozen=True, slots=True, eq=False)
class _FieldTape:
    """A recorded call below a field."""

    _below: NetworkTape

    @property
    def output(self) -> Array:
        """The scores that the field takes, (T, B, K)."""
        return self._below.output

    def backward(self, of_field: Any) -> list[Any]:
        """Return the gradients of the layers, the head and the field."""
        return [*self._below.backward(of_field.x), of_field]
