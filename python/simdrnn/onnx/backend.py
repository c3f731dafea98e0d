"""What ``onnx.backend`` asks of a backend: whole models, with recurrent nodes on our kernels.

All other nodes run on onnx's own implementations, `onnx.reference`. A model is a program: one from
a source that is not trusted can ask these for any amount of work and memory. `simdrnn.onnx.load`
runs no such program.

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

from simdrnn.onnx.files import Source, read_model
from simdrnn.onnx.operators import LEAST_OPSET, OPERATORS
from simdrnn.onnx.reference_ops import Evaluator
from simdrnn.onnx.trace import node_label

__all__ = [
    "Prepared",
    "SimdrnnBackend",
    "is_compatible",
    "prepare",
    "run_model",
    "run_node",
    "supports_device",
]


class Prepared(BackendRep):
    """A model that is ready to run.

    Parameters
    ----------
    model : a valid model with its tensors in it.

    Attributes
    ----------
    input_names : of the inputs to be given: those that have no value of their own.
    output_names : of what `run` returns.
    """

    def __init__(self, model: ModelProto) -> None:
        graph = _with_named_outputs(model)
        self._evaluator = Evaluator(graph)
        given = {one.name for one in model.graph.initializer}
        self._every = [one.name for one in model.graph.input]
        self.input_names = [name for name in self._every if name not in given]
        self.output_names = [one.name for one in model.graph.output]
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
        TypeError, ValueError : inputs lack, are too many, or do not fit a recurrent node, which the
            message then names. Other nodes raise what onnx's implementations do.
        """
        fed = self._named(inputs)
        unknown, absent = fed.keys() - {*self._every}, {*self.input_names} - fed.keys()
        if unknown or absent:
            raise ValueError(
                f"inputs: expected {', '.join(self.input_names)}, got {', '.join(fed) or 'none'}"
            )
        made = self._evaluator.run(None, {name: np.asarray(one) for name, one in fed.items()})
        return self._outputs(*made)

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


def _with_named_outputs(model: ModelProto) -> ModelProto:
    """Return the model with a name for every output of a node.

    To onnx's evaluator all that have none are one value, which later nodes that leave out an input
    would be given.
    """
    if all(name for node in model.graph.node for name in node.output):
        return model
    named = ModelProto()
    named.CopyFrom(model)
    for index, node in enumerate(named.graph.node):
        for place, name in enumerate(node.output):
            if not name:
                node.output[place] = f"unused {index} {place}"
    return named


class SimdrnnBackend(Backend):
    """The backend, as ``onnx.backend.base.Backend`` lays down; its methods are functions here."""

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Tell whether `prepare` takes a model."""
        try:
            cls.prepare(model, device)
        except (NotImplementedError, RuntimeError, TypeError, ValueError):
            return False
        return True

    @classmethod
    def prepare(cls, model: Source, device: str = "CPU", **kwargs: Any) -> Prepared:
        """Make a model ready to run, any number of times.

        Parameters
        ----------
        model : an ``onnx.ModelProto``, path or bytes.
        device : ``"CPU"``.
        kwargs : not used; ``onnx.backend`` allows any.

        Raises
        ------
        ValueError : the model is not valid, too old, or the device another.
        NotImplementedError : onnx has no implementation of a node.
        """
        if not cls.supports_device(device):
            raise ValueError(f"device: expected 'CPU', got {device!r}")
        read = read_model(model)
        versions = {one.domain: one.version for one in read.opset_import}
        for node in read.graph.node:
            version = versions.get(node.domain, LEAST_OPSET)
            if node.op_type in OPERATORS and not node.domain and version < LEAST_OPSET:
                raise ValueError(
                    f"{node_label(node)}: expected operator set {LEAST_OPSET} or later, "
                    f"got {version}"
                )
        return Prepared(read)

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
        """
        if not cls.supports_device(device):
            raise ValueError(f"device: expected 'CPU', got {device!r}")
        version = int(kwargs.get("opset_version", onnx.defs.onnx_opset_version()))
        context = onnx.checker.C.CheckerContext()
        context.ir_version, context.opset_imports = onnx.IR_VERSION, {"": version}
        try:
            onnx.checker.check_node(node, context)
        except onnx.checker.ValidationError as error:
            raise ValueError(f"{node_label(node)}: expected a valid node: {error}") from error
        names = list(dict.fromkeys(name for name in node.input if name))
        fed = dict(inputs) if isinstance(inputs, Mapping) else None
        if fed is None:
            given = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
            if len(given) != len(names):
                raise ValueError(
                    f"{node_label(node)}: inputs: expected {len(names)} ({', '.join(names)}), "
                    f"got {len(given)}"
                )
            fed = dict(zip(names, given, strict=True))
        made = [name for name in node.output if name]
        graph = helper.make_graph(
            [node],
            "node",
            [onnx.ValueInfoProto(name=name) for name in names],
            [onnx.ValueInfoProto(name=name) for name in made],
        )
        evaluator = Evaluator(graph, opsets={"": version})
        arrays = {name: np.asarray(one) for name, one in fed.items()}
        return namedtupledict("Outputs", made)(*evaluator.run(made, arrays))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Tell whether models run on a device: on the CPU alone."""
        return device.split(":")[0] == "CPU"


is_compatible = SimdrnnBackend.is_compatible
prepare = SimdrnnBackend.prepare
run_model = SimdrnnBackend.run_model
run_node = SimdrnnBackend.run_node
supports_device = SimdrnnBackend.supports_device
