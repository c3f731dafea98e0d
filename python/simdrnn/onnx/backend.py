"""What ``onnx.backend`` asks of a backend: whole models, with recurrent nodes on our kernels.

All other nodes run on ONNX Runtime where it is installed, and else on onnx's own implementations,
`onnx.reference`, as far as these are right. A model is a program: one from a source that is not
trusted can ask these for any amount of work and memory. `simdrnn.onnx.load` runs no such program.

Examples
--------
>>> import numpy as np
>>> from onnx import helper
>>> node = helper.make_node("RNN", ["X", "W", "R"], ["Y", "Y_h"], hidden_size=1)
>>> ones = [np.ones((2, 1, 1), "f"), np.ones((1, 1, 1), "f"), np.zeros((1, 1, 1), "f")]
>>> Y, Y_h = run_node(node, ones)
>>> Y.shape, round(float(Y_h[0, 0, 0]), 4)
((2, 1, 1, 1), 0.7616)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

from simdrnn.onnx.calls import node_label
from simdrnn.onnx.files import Source
from simdrnn.onnx.program import Program
from simdrnn.onnx.session import Session
from simdrnn.validate import array_of, as_iterable, as_positive

__all__ = [
    "Prepared",
    "SimdrnnBackend",
    "is_compatible",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]

_PREPARED_WITH = ("base_dir", "num_threads", "trust_directory")


class Prepared(BackendRep):
    """A model that is ready to run.

    Parameters
    ----------
    session : of the model.

    Attributes
    ----------
    input_names : of the inputs to be given: those that have no value of their own.
    output_names : of what `run` returns.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.input_names = [one.name for one in session.get_inputs()]
        self._every = [one.name for one in session.get_all_inputs()]
        self.output_names = session.output_names
        self._outputs = namedtupledict("Outputs", self.output_names)

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run the model.

        Parameters
        ----------
        inputs : arrays by name; or a list in the order of `input_names`, or of all inputs of the
            graph; or one array, of a model with one input.
        kwargs : not used; ``onnx.backend`` allows any.

        Returns
        -------
        a named tuple of the outputs.

        Raises
        ------
        TypeError, ValueError : inputs lack, are too many, or do not fit a node, which the message
            then names.
        """
        return self._outputs(
            *self._session.run_all(self._named(inputs), sizes=False, label="inputs")
        )

    def _named(self, inputs: Any) -> dict[str, Any]:
        """Return inputs by name."""
        if isinstance(inputs, Mapping):
            return dict(inputs)
        if isinstance(inputs, np.ndarray) or not isinstance(inputs, Sequence):
            inputs = [inputs]
        for names in (self.input_names, self._every):
            if len(inputs) == len(names):
                return dict(zip(names, inputs, strict=True))
        raise ValueError(
            f"inputs: expected {len(self.input_names)} ({', '.join(self.input_names)}), "
            f"got {len(inputs)}"
        )


class SimdrnnBackend(Backend):
    """The backend, as ``onnx.backend.base.Backend`` lays down; its methods are functions here."""

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Tell whether `prepare` takes a model."""
        try:
            cls.prepare(model, device, **kwargs)
        except (NotImplementedError, TypeError, ValueError):
            return False
        return True

    @classmethod
    def prepare(cls, model: Source, device: str = "CPU", **kwargs: Any) -> Prepared:
        """Make a model ready to run, any number of times.

        Parameters
        ----------
        model : an ``onnx.ModelProto``, path or bytes.
        device : ``"CPU"``.
        kwargs : ``base_dir``, the folder with the files that tensors may be in, by default that of
            the path; ``trust_directory``, whether those files may be links; ``num_threads``, at
            most so many for a node.

        Raises
        ------
        TypeError : `model` is of another type, or an argument is unknown.
        OSError : the file, or one that it keeps tensors in, cannot be read.
        ValueError : the model is not valid, too old, or the device another; a recurrent node has
            what ours have not.
        NotImplementedError : a node has no implementation that is known to be right.
        """
        _check_known(kwargs, _PREPARED_WITH)
        if not cls.supports_device(device):
            raise ValueError(f"device: expected 'CPU', got {device!r}")
        return Prepared(Session(model, **kwargs))

    @classmethod
    def run_model(
        cls, model: Source, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """Run a model once: `prepare`, then `Prepared.run`."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Run one node.

        Parameters
        ----------
        node : of the default domain.
        inputs : arrays by name, or a list in the order of the node's inputs that are not empty.
        device : ``"CPU"``.
        outputs_info : not used.
        kwargs : ``opset_version``, by default the newest.

        Returns
        -------
        a named tuple of the node's outputs that have names.

        Raises
        ------
        TypeError : an argument is unknown.
        ValueError : the node is not valid, or does not run on such inputs.
        NotImplementedError : there is no implementation that is known to be right.
        """
        _check_known(kwargs, ("opset_version",))
        if not cls.supports_device(device):
            raise ValueError(f"device: expected 'CPU', got {device!r}")
        newest = onnx.defs.onnx_opset_version()
        version = as_positive("opset_version", kwargs.get("opset_version", newest))
        context = onnx.checker.C.CheckerContext()
        context.ir_version, context.opset_imports = onnx.IR_VERSION, {"": version}
        try:
            onnx.checker.check_node(node, context)
        except onnx.checker.ValidationError as error:
            raise ValueError(f"{node_label(node)}: expected a valid node: {error}") from error
        names = list(dict.fromkeys(name for name in node.input if name))
        fed = dict(inputs) if isinstance(inputs, Mapping) else None
        if fed is None:
            expected = "arrays by name, or in the order of the node's"
            alone = isinstance(inputs, np.ndarray)
            given = [inputs] if alone else list(as_iterable("inputs", inputs, expected))
            if len(given) != len(names):
                raise ValueError(
                    f"{node_label(node)}: inputs: expected {len(names)} ({', '.join(names)}), "
                    f"got {len(given)}"
                )
            fed = dict(zip(names, given, strict=True))
        arrays = {name: array_of(f"input {name!r}", one, "an array") for name, one in fed.items()}
        model = _one_node(node, arrays, version)
        made = [one.name for one in model.graph.output]
        return namedtupledict("Outputs", made)(*Program(model).run(arrays))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Tell whether models run on a device: on the CPU alone.

        Raises
        ------
        TypeError : `device` is no name.
        """
        if not isinstance(device, str):
            raise TypeError(f"device: expected a name, as 'CPU', got {device!r}")
        return device.split(":")[0] == "CPU"


def _check_known(given: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise TypeError(f"{name}: expected one of the arguments {', '.join(known)}")


def _one_node(node: NodeProto, arrays: Mapping[str, Any], version: int) -> ModelProto:
    """Return a node as a model, with arrays for its inputs."""
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(one.dtype), one.shape)
        for name, one in arrays.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "node", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)])


is_compatible = SimdrnnBackend.is_compatible
prepare = SimdrnnBackend.prepare
run_model = SimdrnnBackend.run_model
run_node = SimdrnnBackend.run_node
supports_device = SimdrnnBackend.supports_device
