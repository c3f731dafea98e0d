"""A model to be called as ONNX Runtime's ``InferenceSession`` is."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import ModelProto, ValueInfoProto

from simdrnn.onnx.files import Source, read_model
from simdrnn.onnx.outputs import light_model, shown_outputs
from simdrnn.onnx.program import Program
from simdrnn.onnx.types import Argument, argument, element_dtype
from simdrnn.validate import array_of, as_bool, as_iterable, as_positive

__all__ = ["Session"]

_DEVICE = "CPUExecutionProvider"


class Session:
    """A model, with RNN, GRU and LSTM nodes on our kernels and all others on ONNX Runtime.

    It takes the place of ``onnxruntime.InferenceSession`` where a model is loaded and run. Where
    ONNX Runtime is not installed, or has not all of the model's operators, the other nodes run on
    onnx's own implementations: slowly, and a model with a node that these are known to get wrong is
    refused. Any number of threads may run one session.

    Parameters
    ----------
    model : path, bytes of a file, or an ``onnx.ModelProto``.
    sess_options : ``onnxruntime.SessionOptions`` for what runs there; its ``intra_op_num_threads``
        holds for our kernels, too.
    providers : names, of which ``"CPUExecutionProvider"`` must be one; or None.
    num_threads : at most so many threads for a node; None leaves the choice to each.
    base_dir : folder with the files that tensors may be in; by default that of the path.
    trust_directory : whether those files may be links, as in a hub's cache.

    Attributes
    ----------
    output_names : in the order of the graph.

    Raises
    ------
    TypeError : `model` is of another type.
    OSError : the file cannot be read.
    ValueError : the model is not valid, or too old; a recurrent node has what ours have not.
    NotImplementedError : a node has no implementation that is known to be right.

    Examples
    --------
    >>> import os, tempfile
    >>> import simdrnn as sr, simdrnn.onnx
    >>> layer = sr.GRU(3, 4, seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model.onnx")
    ...     simdrnn.onnx.save(layer, path)
    ...     session = Session(path)
    >>> session.get_inputs()
    [Argument(name='x', shape=['T', 'B', 3], type='tensor(float)')]
    >>> x = np.ones((5, 2, 3), "float32")
    >>> output, h_n = session.run(None, {"x": x})
    >>> bool(np.array_equal(output, layer(x)[0]))
    True
    """

    def __init__(
        self,
        model: Source,
        sess_options: Any = None,
        providers: Sequence[Any] | None = None,
        *,
        num_threads: int | None = None,
        base_dir: str | os.PathLike[str] | None = None,
        trust_directory: bool = False,
    ) -> None:
        names = _provider_names(providers)
        if _DEVICE not in names:
            raise ValueError(f"providers: expected {_DEVICE!r} among them, got {names}")
        if num_threads is not None:
            num_threads = as_positive("num_threads", num_threads)
            if sess_options is not None:
                raise ValueError(
                    "num_threads: expected None beside sess_options, whose intra_op_num_threads "
                    f"holds, got {num_threads}"
                )
        elif sess_options is not None:
            if not hasattr(sess_options, "intra_op_num_threads"):
                found = type(sess_options).__name__
                raise TypeError(
                    f"sess_options: expected onnxruntime.SessionOptions or None, got {found}"
                )
            num_threads = sess_options.intra_op_num_threads or None
        as_bool("trust_directory", trust_directory)
        read = read_model(model, base_dir, trust_directory=trust_directory)
        self._lock = Lock()
        self._open_program: Program | None = None
        self._how: tuple[int | None, Any] = num_threads, sess_options
        self._program = Program(read, *self._how)
        defaults = {one.name for one in read.graph.initializer}
        self._wanted = {one.name: _Wanted.by(one) for one in read.graph.input}
        inputs = [argument(one) for one in read.graph.input]
        self._arguments = {one.name: one for one in inputs}
        self._inputs = [one for one in inputs if one.name not in defaults]
        self._needed = {one.name for one in self._inputs}
        self._defaults = [one for one in inputs if one.name in defaults]
        self.output_names = [one.name for one in read.graph.output]
        self._light: ModelProto | None = light_model(read)
        self._outputs: list[Argument] = []
        # Only what may be given in place of a default asks for the model again.
        self._model = read if self._defaults else None

    @property
    def other_nodes(self) -> str:
        """The package that runs the nodes that are not ours: ``"onnxruntime"`` or ``"onnx"``."""
        return self._program.other_nodes

    def get_inputs(self) -> list[Argument]:
        """Return the inputs that must be given, in the order of the graph."""
        return list(self._inputs)

    def get_all_inputs(self) -> list[Argument]:
        """Return all inputs, in the order of the graph: also those that need not be given."""
        return list(self._arguments.values())

    def get_outputs(self) -> list[Argument]:
        """Return the outputs, in the order of the graph, with what follows of types and sizes."""
        with self._lock:
            if self._light is not None:
                self._outputs = shown_outputs(self._light, self.output_names)
                self._light = None
        return list(self._outputs)

    def get_overridable_initializers(self) -> list[Argument]:
        """Return the inputs that have values of their own, and may be given others."""
        return list(self._defaults)

    def get_providers(self) -> list[str]:
        """Return what runs the model, by ONNX Runtime's name."""
        return [_DEVICE]

    def run(
        self,
        output_names: Sequence[str] | None,
        input_feed: Mapping[str, Any],
        run_options: Any = None,
    ) -> list[Any]:
        """Run the model.

        Parameters
        ----------
        output_names : which outputs are returned, in this order; None is all.
        input_feed : arrays by name, of the dtype, number of axes and fixed sizes that the model
            says; numbers and lists of numbers become arrays of that dtype.
        run_options : not used.

        Returns
        -------
        a list of arrays.

        Raises
        ------
        TypeError : `input_feed` is no mapping, an input no array, `output_names` no names.
        ValueError : an input lacks, is unknown, or does not fit, or an output is unknown; the
            message has its name. A node does not run on these inputs.
        """
        if output_names is None:
            return self.run_all(input_feed, sizes=True, label="input_feed")
        names, expected = self.output_names, "names of outputs, or None"
        if isinstance(output_names, str):  # of which each character would be one
            raise TypeError(f"output_names: expected {expected}, got the name {output_names!r}")
        wanted = list(as_iterable("output_names", output_names, expected))
        for name in wanted:
            if name not in names:
                raise ValueError(f"output_names: expected some of {', '.join(names)}, got {name!r}")
        every = self.run_all(input_feed, sizes=True, label="input_feed")
        made = dict(zip(names, every, strict=True))
        return [made[name] for name in wanted]

    def run_all(self, fed: Mapping[str, Any], *, sizes: bool, label: str) -> list[Any]:
        """Run the model and return all outputs.

        Parameters
        ----------
        fed : as `input_feed` of `run`.
        sizes : whether the axes and sizes that the model says are asked for.
        label : how messages call `fed`.
        """
        if not isinstance(fed, Mapping):
            raise TypeError(f"{label}: expected arrays by name, got {type(fed).__name__}")
        if not self._needed <= fed.keys() <= self._wanted.keys():
            needed = ", ".join(one.name for one in self._inputs)
            found = ", ".join(map(str, fed))
            raise ValueError(f"{label}: expected {needed or 'none'}, got {found or 'none'}")
        given = {name: self._wanted[name].array(one, sizes) for name, one in fed.items()}
        program = self._program
        if self._model is not None and len(given) > len(self._needed):
            program = self._opened(self._model)
            given = {
                one.name: onnx.numpy_helper.to_array(one)
                for one in self._model.graph.initializer
                if one.name in self._arguments
            } | given
        return [_own(one, given) for one in program.run(given)]

    def _opened(self, model: ModelProto) -> Program:
        """Return a program whose inputs are all that may be given."""
        with self._lock:
            if self._open_program is None:
                self._open_program = Program(model, *self._how, open=True)
            return self._open_program


def _provider_names(providers: Sequence[Any] | None) -> list[str]:
    """Return the names of providers, which may come with options each, or of ours for none."""
    if not providers and (providers is None or isinstance(providers, (list, tuple))):
        return [_DEVICE]
    if isinstance(providers, str):
        raise TypeError(f"providers: expected names in a list, got {providers!r}")
    given = as_iterable("providers", providers, "names in a list, or None")
    return [one[0] if isinstance(one, tuple) else one for one in given]


class _Wanted(NamedTuple):
    """What an input has to be.

    Parameters
    ----------
    name : of the input.
    dtype : of its values; None where it is no tensor.
    shape : sizes, names of free ones or None; None where nothing is said.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: list[int | str | None] | None

    @classmethod
    def by(cls, value: ValueInfoProto) -> _Wanted:
        """Return what a graph says of an input."""
        said = value.type.HasField("tensor_type") and value.type.tensor_type.HasField("shape")
        shape = argument(value).shape if said else None
        return cls(value.name, element_dtype(value.type), shape)

    def array(self, value: Any, sizes: bool) -> Any:
        """Return what an input is given as an array of its dtype, checked."""
        dtype = self.dtype
        if dtype is None:
            return value  # sequences, maps and the like: as ONNX Runtime has them
        array = value
        if type(value) is not np.ndarray:
            array = array_of(f"input {self.name!r}", value, f"an array of {dtype}")
        if array.dtype is dtype:
            pass  # as most are
        elif not hasattr(value, "dtype") and np.can_cast(array.dtype, dtype, "same_kind"):
            array = array.astype(dtype)
        elif dtype.kind != "O" and array.dtype.newbyteorder("=") != dtype:
            raise ValueError(f"input {self.name!r}: expected {dtype}, got {array.dtype}")
        if sizes and self.shape is not None:
            self._check(array.shape, self.shape)
        return array if array.dtype.isnative else array.astype(dtype)

    def _check(self, given: tuple[int, ...], shape: list[int | str | None]) -> None:
        fits = len(shape) == len(given)
        for one, size in zip(shape, given, strict=False):
            fits = fits and (one == size or not isinstance(one, int))
        if not fits:
            text = ", ".join("?" if one is None else str(one) for one in shape)
            raise ValueError(
                f"input {self.name!r}: expected shape ({text}{',' * (len(shape) == 1)}), "
                f"got {given}"
            )


def _own(made: Any, given: Mapping[str, Any]) -> Any:
    """Return an output that nobody else has: no input that was handed through, and no constant."""
    if not isinstance(made, np.ndarray):
        return made
    alone = made.flags.writeable and all(made is not one for one in given.values())
    return made if alone else made.copy()
