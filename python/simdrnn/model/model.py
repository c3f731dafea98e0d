"""`simdrnn.Model`: parts under names, with one set of parameters, one file and one loop."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.layers.gradients import Gradients
from simdrnn.layers.savable import c_handle, described, whole_document
from simdrnn.layers.stepped import refused
from simdrnn.model import saving
from simdrnn.model.batches import Batch, data_of
from simdrnn.model.chain import Link, Options, call_link, real_mask, step_parts
from simdrnn.model.fitting import Fitting, check_loss, mean_loss
from simdrnn.model.history import History
from simdrnn.model.owner import PartOwner
from simdrnn.model.streaming import stream
from simdrnn.model.tape import ModelGradients, ModelTape
from simdrnn.model.trainer import ROWS_OF_A_BATCH, Trainer, how_batches_go_on
from simdrnn.optim import EarlyStopping, GradientNoise, Optimizer
from simdrnn.training.accumulation import accumulate
from simdrnn.validate import Array, as_bool, as_positive

__all__ = ["Model"]


class Model(PartOwner):
    """Layers, stacks, embeddings and heads under names.

    Parts that follow each other, in the order given, are called and recorded as one. Others, as an
    encoder and a decoder with attention between them, are recorded one by one, and `gradients` puts
    together what their tapes return. Either way the model has all parameters under one set of
    names, which optimisers, files, `summary` and `freeze` go by.

    Parameters
    ----------
    parts : by name, in order: `Embedding`, recurrent layers, `Stack`, `Pooling`, `Dropout`,
        `Linear`, or anything that can be trained. They stay what they are, and are attributes:
        ``model.rnn``.

    Raises
    ------
    TypeError, ValueError : a part cannot be trained, comes twice, or has a name that the model
        needs for itself.

    Notes
    -----
    Parameters are named ``{part}.{name}``. A part of a chain is handed what the one before it puts
    out; ``lengths``, ``mask``, ``reset``, ``state`` and the other arguments of a call go to the
    parts that take them. The state is that of the recurrent part, or a tuple where there are
    several. With ``Pooling("last")`` behind the layers the head reads each row's last real step
    alone.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> model = sr.Model(
    ...     embedding=sr.Embedding(20, 8, seed=0),
    ...     rnn=sr.LSTM(8, 16, seed=1),
    ...     pooling=sr.Pooling("last"),
    ...     head=sr.Linear(16, 3, seed=2),
    ... )
    >>> tokens = np.arange(12).reshape(4, 3)  # T, B
    >>> tape = model.record(tokens, lengths=[4, 2, 1])
    >>> loss = sr.softmax_cross_entropy(tape.output, np.array([0, 1, 2]))
    >>> grads = tape.backward(loss.backward())
    >>> sr.optim.Adam(model, lr=1e-2).step(grads, max_norm=1.0) > 0
    True
    >>> list(model.parameters())[:2]
    ['embedding.weight', 'rnn.weight_ih_l0']
    """

    __module__ = "simdrnn"

    trainer: Trainer | None  # what it is trained by, if it is: `fit` goes on with it

    def save(self, path: Any, *, training: bool = True) -> None:
        """Write one file with the parts, their parameters and counters, and the training.

        `simdrnn.load` returns an equal model. With its `trainer` come the optimiser's state, the
        schedule, early stopping, the history, and the parameters of the last step where the model
        has those of the best: training goes on to the bit, also in the middle of an epoch.

        Parameters
        ----------
        path : str or path-like that ends with ``.safetensors`` (which needs the package of that
            name), ``.npz``, or ``.simdrnn`` for programs in C, which read a model of layers in one
            direction and `Linear`. A file that is there is replaced, at once. The arrays of
            parameters have the names of `parameters`.
        training : whether to write the trainer, if there is one.

        Raises
        ------
        TypeError, ValueError : `path` is no path or ends otherwise; or a part, the optimiser or the
            schedule is none of this library.
        ImportError : the format's package is not installed.
        OSError : the file cannot be written; what was there is there still.

        Examples
        --------
        >>> import tempfile
        >>> import simdrnn as sr
        >>> model = sr.Model(rnn=sr.GRU(3, 4), head=sr.Linear(4, 2))
        >>> model.freeze("rnn")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.npz")
        ...     twin = sr.load(f"{folder}/model.npz")
        >>> twin, twin.frozen == model.frozen
        (Model(rnn=GRU(3, 4), head=Linear(4, 2)), True)
        """
        from simdrnn import files

        written = as_bool("training", training) and self.trainer is not None
        with self._parts.hold():
            document = self._described(written)
            arrays = dict(self.parameters())
            if written:
                arrays |= saving.trainer_arrays(self.trainer)  # type: ignore[arg-type]
            try:
                stepped = self._stepped()
            except ValueError as error:
                stepped = refused(error)
            files.write(path, whole_document(document), arrays, stepped)

    c_handle = c_handle
    stream = stream

    def _stepped(self) -> dict[str, Any]:
        """Return what it is to those who step it without Python."""
        return saving.stepped(self._links, self._parts.tied)

    def _document(self) -> dict[str, Any]:
        """Return what `simdrnn.files.loading` builds an equal model of, beside the arrays."""
        return self._described(training=True)

    def _described(self, training: bool) -> dict[str, Any]:
        """Return what a file says, with `training` or without."""
        parts, trainer = self._parts, self.trainer if training else None
        return described(self, {}) | {
            "members": saving.members_of(parts.members),
            "tied": parts.tied,
            "frozen": sorted(parts.frozen),
            "training": None if trainer is None else saving.trainer_document(trainer),
        }

    @classmethod
    def _assembled(
        cls, document: Mapping[str, Any], arrays: Mapping[str, Array], build: Callable[..., Any]
    ) -> Model:
        """Return the model that a file describes; `build` makes its parts."""
        parts, others = saving.parts_of(document, arrays, build)
        made = cls(**parts)
        for name, to in document["tied"].items():
            made.tie(name, to)
        frozen = document.get("frozen")
        if not isinstance(frozen, list) or not set(frozen) <= set(made.parameters()):
            raise ValueError(f"frozen: expected names of parameters, got {frozen!r:.80}")
        made._parts.frozen |= set(frozen)
        saving.restore_trainer(made, document.get("training"), others)
        return made

    def __call__(
        self,
        x: npt.ArrayLike,
        state: object = None,
        *,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        reset: npt.ArrayLike | None = None,
        masked_output: str = "zero",
        num_threads: int | None = None,
        reset_state: object = None,
        attention: npt.ArrayLike | None = None,
    ) -> tuple[Array, Any]:
        """Run the chain of parts for inference: no dropout, nothing saved.

        Parameters
        ----------
        x : as the first part takes it: integers (T, B) for an `Embedding`, (T, B, I) for a layer.
        state : of the recurrent part, in its form; a tuple where there are several.
        lengths, mask, reset, masked_output, num_threads, reset_state, attention : as when calling
            a layer, for the parts that take them.

        Returns
        -------
        output : of the last part.
        state : in the form of the argument, after the last step of each row; None where no part has
            one.

        Raises
        ------
        ValueError, TypeError : the parts are no chain, and the message says why; or an argument
            does not fit.
        """
        links = self._chain()
        options = Options(links, {
            "lengths": lengths, "mask": mask, "reset": reset, "masked_output": masked_output,
            "num_threads": num_threads, "reset_state": reset_state, "attention": attention,
        })  # fmt: skip
        states = options.each("state", state)

        def run() -> tuple[Array, Any]:
            given: Any = x
            after = {}
            for link in links:
                given, after[link.name] = call_link(link, given, states.get(link.name), options)
            return given, options.joined(after)

        return self._parts.at_one_version(run)

    def record(
        self,
        x: npt.ArrayLike,
        state: object = None,
        *,
        training: bool = True,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        reset: npt.ArrayLike | None = None,
        masked_output: str = "zero",
        checkpoint_every: int | None = None,
        memory_budget: int | None = None,
        num_threads: int | None = None,
        reset_state: object = None,
        attention: npt.ArrayLike | None = None,
        copy: bool = False,
    ) -> ModelTape:
        """Run the chain of parts and keep what back-propagation needs.

        Parameters
        ----------
        training : whether dropout, zoneout and noise are drawn at random.
        checkpoint_every, memory_budget : as when recording a layer.
        x, state, lengths, mask, reset, masked_output, num_threads, reset_state, attention : as when
            calling the model.
        copy : whether the tape keeps copies of what it refers to.

        Returns
        -------
        ModelTape with ``output``, ``state``, ``mask`` and ``backward``.

        Raises
        ------
        ValueError, TypeError : as when calling the model.
        """
        as_bool("training", training)
        links = self._chain()
        options = Options(links, {
            "lengths": lengths, "mask": mask, "reset": reset, "masked_output": masked_output,
            "checkpoint_every": checkpoint_every, "memory_budget": memory_budget,
            "num_threads": num_threads, "reset_state": reset_state, "attention": attention,
            "copy": as_bool("copy", copy), "training": training,
        })  # fmt: skip
        if copy and "copy" not in links[0].takes:
            x = np.array(x)
        states = options.each("state", state)
        return self._parts.at_one_version(lambda: ModelTape(links, x, states, options, self._parts))

    def fit(
        self,
        data: Any,
        loss: Callable[..., Any],
        *,
        epochs: int = 10,
        optimizer: Optimizer | None = None,
        schedule: Callable[[int], float] | None = None,
        max_norm: float | None = None,
        gradient_noise: GradientNoise | None = None,
        validation: Any = None,
        early_stopping: EarlyStopping | None = None,
        batch_size: int | None = None,
        shuffle: bool | None = None,
        seed: int | None = None,
        num_threads: int | None = None,
        verbose: bool = True,
    ) -> History:
        """Train the chain of parts for some epochs, or go on where an earlier call ended.

        With `validation` the model has the parameters of its best epoch afterwards, however
        training ends: by the number of epochs, by early stopping, or by Ctrl-C, which ends it after
        the step that is being made, without an exception; a second Ctrl-C raises. The next call
        goes on from the last step, not from the best.

        Parameters
        ----------
        data : arrays ``(x, target)`` or ``(x, target, options)`` with all rows, or batches: an
            iterable of such tuples, as a list, or a function that returns one for each epoch.
            Options are further arguments of `record`, as ``{"lengths": lengths}``. Rows of x, and
            of what is laid out like it, are along the axis B of the recurrent part; those of
            targets too, or along the first axis where there is one output for each row.
        loss : of `simdrnn.losses`, or another ``loss(output, target)`` that returns one; where
            steps are not real it is given ``mask=``, too.
        epochs : how often to go through the data, now; what an earlier call left of an epoch counts
            as one.
        optimizer : of `simdrnn.optim`, made for this model. A new one begins a new training. None
            goes on with the one before, or is ``Adam(model)``.
        schedule, max_norm, gradient_noise, early_stopping : see `Trainer`. None is what it was in
            the call before, or none. Steps of a schedule are those of the optimiser: one a batch.
        validation : data in the same forms, or a function of nothing that returns what is to be
            low, as ``lambda: -accuracy(model)``.
        batch_size : rows of a batch, of arrays. None is what it was in the call before, or 32.
        shuffle : whether rows of arrays are taken in a new order in every epoch. None is what it
            was in the call before, or True.
        seed : of that order; None draws one for a new training. See `Trainer`.
        num_threads : as when recording.
        verbose : whether to show progress on stderr, as a bar where tqdm is installed.

        Returns
        -------
        History of all epochs since training began, with ``plot()``.

        Raises
        ------
        ValueError, TypeError : an argument does not fit, or a loss is not finite; the step before
            it was then the last.

        Examples
        --------
        >>> import numpy as np, simdrnn as sr
        >>> model = sr.Model(
        ...     rnn=sr.GRU(1, 8, seed=0), pooling=sr.Pooling("last"), head=sr.Linear(8, 2, seed=1)
        ... )
        >>> x = np.random.default_rng(0).standard_normal((10, 64, 1)).astype("float32")
        >>> target = (x.sum(axis=(0, 2)) > 0).astype("int64")
        >>> optimizer = sr.optim.Adam(model, lr=0.02)
        >>> history = model.fit(
        ...     (x, target), sr.softmax_cross_entropy, epochs=15, optimizer=optimizer, seed=2,
        ...     verbose=False,
        ... )
        >>> history.loss[-1] < 0.5 * history.loss[0], history.stopped
        (True, 'epochs')
        """
        check_loss(loss)
        trainer: Trainer | None = self.trainer
        if trainer is not None and optimizer not in (None, trainer.optimizer):
            trainer = None
        rows, shuffled = how_batches_go_on(trainer, batch_size, shuffle)
        found = data_of("data", data, self._axes(), rows)
        if trainer is None:
            trainer = Trainer(self, optimizer, seed=seed)
        elif seed is not None and seed != trainer.seed:
            raise ValueError(f"seed: expected None or that of this training, {trainer.seed}")
        trainer.take(schedule, max_norm, gradient_noise, early_stopping)
        if trainer.early_stopping is not None and validation is None:
            raise ValueError("early_stopping: expected validation= with it, got None")
        validate: Callable[[], float] | None = None
        if validation is not None:
            validate = self._validation(validation, loss, rows, num_threads)
        trainer.batch_size, trainer.shuffle = rows, shuffled
        fitting = Fitting(self, trainer, loss, found, validate, shuffled, num_threads)
        return fitting.run(as_positive("epochs", epochs), as_bool("verbose", verbose))

    def _validation(
        self, data: Any, loss: Callable[..., Any], rows: int, num_threads: int | None
    ) -> Callable[[], float]:
        """Return what measures the validation loss."""

        def mean(held_out: Any) -> float:
            found = data_of("validation", held_out, self._axes(), rows)
            return mean_loss(found, loss, lambda batch: self._evaluated(batch, num_threads))

        if not callable(data):
            data_of("validation", data, self._axes(), rows)  # what does not fit is refused before
            return lambda: mean(data)

        def measured() -> float:
            found = data()
            return float(found) if isinstance(found, numbers.Real) else mean(found)

        return measured

    def evaluate(
        self,
        data: Any,
        loss: Callable[..., Any],
        *,
        batch_size: int = ROWS_OF_A_BATCH,
        num_threads: int | None = None,
    ) -> float:
        """Return the mean loss over data, without dropout.

        Parameters
        ----------
        data, loss, batch_size, num_threads : as for `fit`.

        Raises
        ------
        ValueError, TypeError : an argument does not fit.
        """
        check_loss(loss)
        found = data_of("data", data, self._axes(), as_positive("batch_size", batch_size))
        return mean_loss(found, loss, lambda batch: self._evaluated(batch, num_threads))

    def _evaluated(self, batch: Batch, num_threads: int | None) -> tuple[Array, Array | None]:
        """Return the output for a batch, and which steps of it are real."""
        links = self._chain()
        options = Options(links, {
            name: one for name, one in batch.options.items() if name != "state"
        } | {"num_threads": num_threads})  # fmt: skip
        states = options.each("state", batch.options.get("state"))
        given, mask = batch.x, None
        for link in links:
            given, _ = call_link(link, given, states.get(link.name), options)
            if link.recurrent:
                mask = None if link.pooling else real_mask(link, given, options)
        return given, mask

    def _axes(self) -> tuple[int, int]:
        """Return which axis of x, and of targets, has the rows."""
        recurrent = [link for link in self._chain() if link.recurrent]
        if not recurrent:
            return 0, 0
        axis = 0 if recurrent[-1].batch_first else 1
        return axis, 0 if recurrent[-1].pooling is not None else axis

    def _chain(self) -> list[Link]:
        """Return the parts as a chain, or say why they are none."""
        if isinstance(self._links, str):
            raise ValueError(
                f"model: expected parts that follow each other, but {self._links}; record the "
                "parts one by one and hand what their tapes return to model.gradients"
            )
        return self._links

    def _parts_of_a_step(self) -> tuple[Any, list[Any], Any] | None:
        """Return what `generate` runs; None where its parts are no chain that it could run."""
        return None if isinstance(self._links, str) else step_parts(self._links)

    def gradients(self, **grads: Gradients | Sequence[Gradients]) -> ModelGradients:
        """Put together gradients of parts that were recorded one by one.

        Parameters
        ----------
        grads : by the part's name, what its tape's ``backward`` returned; a list where it was
            recorded several times, which are added. Of a part that is not given all has to be
            frozen.

        Returns
        -------
        ModelGradients: ``params`` under the model's names, of what is not frozen, those of tied
        parameters added; ``x`` and ``state`` are the parts' own, in ``parts``.

        Raises
        ------
        ValueError, TypeError : there is no such part, gradients of another one, or none of one that
            is trained.

        Examples
        --------
        >>> import numpy as np, simdrnn as sr
        >>> model = sr.Model(encoder=sr.GRU(3, 4, seed=0), decoder=sr.GRU(2, 4, seed=1))
        >>> encoded = model.encoder.record(np.ones((5, 1, 3), "float32"))
        >>> decoded = model.decoder.record(np.ones((6, 1, 2), "float32"), encoded.state)
        >>> of_decoder = decoded.backward(np.ones_like(decoded.output))
        >>> of_encoder = encoded.backward(d_state=of_decoder.state)
        >>> grads = model.gradients(encoder=of_encoder, decoder=of_decoder)
        >>> sr.optim.SGD(model, lr=0.1).step(grads)
        """
        added: dict[str, Gradients] = {}
        for name, given in grads.items():
            if name not in self._parts.members:
                known = ", ".join(self._parts.members)
                raise ValueError(f"{name}: expected one of the parts {known}")
            whole = accumulate(given) if isinstance(given, (list, tuple)) else given
            if not isinstance(whole, Gradients):
                raise TypeError(f"{name}: expected Gradients, got {type(whole).__name__}")
            own = self._parts.members[name].parameters()
            shapes = {key: gradient.shape for key, gradient in whole.params.items()}
            if shapes != {key: array.shape for key, array in own.items() if key in shapes}:
                raise ValueError(
                    f"{name}: expected gradients of its parameters {list(own)}, got {shapes}"
                )
            added[name] = whole
        params = self._parts.gradients(added)
        missing = [n for n in self.parameters() if n not in params and n not in self.frozen]
        if missing:
            raise ValueError(f"grads: expected those of all that is trained, got none of {missing}")
        return ModelGradients(None, None, params, parts=added)
