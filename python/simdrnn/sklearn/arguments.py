"""The arguments that the classifier and the regressor share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from sklearn.base import BaseEstimator

__all__ = ["Arguments", "documented", "naming_its_class"]

Class = TypeVar("Class", bound=type)
Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def naming_its_class(
    method: Callable[Concatenate[Any, Parameters], Result],
) -> Callable[Concatenate[Any, Parameters], Result]:
    """Make a method say what it takes, and of which class it is, when it is called otherwise.

    Python's own sentence names the class that a method is written in, which is nobody's estimator.
    """
    signature = inspect.signature(method)
    placed = inspect.Parameter.POSITIONAL_ONLY
    parameters = signature.parameters.items()
    known = [name for name, own in parameters if name != "self" and own.kind is not placed]
    place = "" if method.__name__ == "__init__" else f".{method.__name__}"

    @functools.wraps(method)
    def checked(self: Any, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        name = type(self).__name__ + place
        for unknown in (argument for argument in kwargs if argument not in known):
            instead = getattr(self, "_elsewhere", {}).get(unknown)
            raise TypeError(
                f"{unknown}: {name} has no such argument; "
                f"expected {instead or 'one of ' + ', '.join(known)}"
            )
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{name}: {error}; expected {', '.join(known)}") from None
        return method(self, *args, **kwargs)

    return checked


class Arguments(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Constructor of the estimators.

    Parameters
    ----------
    cell : ``"lstm"``, ``"gru"``, ``"rnn"``, or another name of `simdrnn.list_cells`, in any case;
        not of a layer that takes more than x at every step (AUGRU).
    hidden_size : H, units of a layer, or a tuple with those of each layer.
    num_layers : L, layers one above the other; with a tuple it may stay 1.
    bidirectional : whether every layer also runs backwards in time.
    dropout : probability, between layers, in training.
    pooling : what of a sequence goes into the linear head: ``"last"``, the output at its last step
        (of the backward direction at the first, where that one ends); ``"mean"`` or ``"max"`` of
        its outputs. Padding is never seen.
    layer_options : dict of further arguments of the layers, such as
        ``{"recurrent_dropout": 0.2, "initializer": "orthogonal"}``.
    columns : how a table (N, F) is read: as N sequences with ``"steps"``, F steps of one number;
        with ``"features"``, one step of F features.
    standardize : whether features are scaled to mean 0 and variance 1 over all steps of all
        sequences of `fit`, or of the first `partial_fit`; a regressor's targets as well. Losses
        are in these units, predictions never. A feature that does not vary is left out until a
        further `partial_fit` brings other values; a target that does not is predicted exactly.
    optimizer : ``"adam"``, ``"adamw"``, ``"rmsprop"`` or ``"sgd"``.
    learning_rate : of the optimiser.
    optimizer_options : dict of its further arguments, such as ``{"momentum": 0.9}``.
    batch_size : sequences in a mini-batch; ``"auto"`` is 64. Those of one mini-batch have about
        the same length if lengths differ and `shuffle` is on.
    max_iter : the most epochs.
    alpha : L2 penalty as in `MLPClassifier`: ``alpha / 2`` times the sum of the squares of the
        weights, without biases, divided by what the sequences of the mini-batch count.
    clip_norm : bound on the norm of all gradients together; None is no bound.
    tol, n_iter_no_change : training ends when the loss, or with `early_stopping` the score, has not
        become better by `tol` for more than `n_iter_no_change` epochs.
    early_stopping : whether to hold a part of the data out, classes in proportion where there are
        enough of each, and to end with the parameters that did best on it.
    validation_fraction : the part that is held out.
    shuffle : whether mini-batches are drawn anew in every epoch.
    warm_start : whether `fit` goes on from the parameters that are there. Arguments that would make
        another network are then refused, as by `partial_fit`.
    dtype : ``"float32"`` or ``"float64"``, of the network.
    random_state : integer, `numpy.random.RandomState` or None: fixes initial weights, dropout,
        what is held out and the order of the examples.
    n_jobs : threads; None leaves it to the engine, -1 is all. Results do not depend on it.
    verbose : whether to show progress: a bar on a terminal if tqdm is installed, else a line every
        two seconds, on stderr.
    """

    @naming_its_class
    def __init__(
        self,
        cell: str = "lstm",
        hidden_size: int | tuple[int, ...] = 64,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        pooling: str = "last",
        layer_options: Mapping[str, Any] | None = None,
        columns: str = "steps",
        standardize: bool = True,
        optimizer: str = "adam",
        learning_rate: float = 3e-3,
        optimizer_options: Mapping[str, Any] | None = None,
        batch_size: int | str = "auto",
        max_iter: int = 200,
        alpha: float = 0.0,
        clip_norm: float | None = 1.0,
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        shuffle: bool = True,
        warm_start: bool = False,
        dtype: str = "float32",
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.pooling = pooling
        self.layer_options = layer_options
        self.columns = columns
        self.standardize = standardize
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.optimizer_options = optimizer_options
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.alpha = alpha
        self.clip_norm = clip_norm
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.dtype = dtype
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose


def documented(cls: Class) -> Class:
    """Put the parameters of the constructor where a docstring has the line ``{parameters}``.

    They stand in the docstring of the class above that has the constructor.
    """
    source = next(base for base in cls.__mro__[1:] if "__init__" in vars(base))
    if cls.__doc__ and source.__doc__:  # without -OO
        parameters = inspect.cleandoc(source.__doc__).split("\n\n", 1)[1]
        cls.__doc__ = inspect.cleandoc(cls.__doc__).replace("{parameters}", parameters)
    return cls
