"""Pieces of a graph without recurrent nodes, and what runs them: ONNX Runtime, or onnx's evaluator.

A piece is a model of its own: some nodes, with the constants that they use, and the operator sets
and functions of the model that it was cut from.
"""

from __future__ import annotations

import weakref
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

from simdrnn import _core
from simdrnn.onnx.reference_ops import Evaluator, check_refused
from simdrnn.onnx.subgraphs import every_node, names_read
from simdrnn.onnx.types import read_type, tensor_type
from simdrnn.runtime import get_num_threads

__all__ = [
    "MissingOperatorError",
    "OnnxPieces",
    "Piece",
    "Pieces",
    "RuntimePieces",
    "fit_version",
    "piece_model",
    "runtime_installed",
    "runtime_outputs",
]

# Since the first of these versions of files, what is an initializer need not be an input. Those
# after the second say nothing new of pieces but types of numbers after the third.
_LEAST_IR, _MOST_IR, _LAST_TYPE = 4, 10, TensorProto.INT4
_QUIET = 4  # errors come as exceptions; ONNX Runtime would print them, too
_MISSING = (
    "No Op registered for",
    "is not a registered function/op",
    "NOT_IMPLEMENTED",
    "is under development",
)
_HEAVY = frozenset(
    {"Conv", "ConvInteger", "ConvTranspose", "Einsum", "Gemm", "If", "Loop", "MatMul"}
) | {"MatMulInteger", "QLinearConv", "QLinearMatMul", "Scan"}
"""Operators with work for several threads, however small what they are given may look."""


class MissingOperatorError(Exception):
    """What is to run a piece has not all of its operators."""


def runtime_installed() -> bool:
    """Tell whether ONNX Runtime is there."""
    try:
        import onnxruntime  # type: ignore[import-untyped] # noqa: F401 (only whether it is there)
    except ImportError:
        return False
    return True


def piece_model(
    whole: ModelProto,
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, TypeProto],
    outputs: Sequence[str],
    constants: Mapping[str, TensorProto],
) -> ModelProto:
    """Return some nodes of a model as one of their own.

    Parameters
    ----------
    whole : the model.
    nodes : in order.
    inputs : what the nodes read of others, with types; an empty type is one that is not known.
    outputs : which of what they make is asked for.
    constants : tensors by name, of which those go in that are read.
    """
    read = set().union(*map(names_read, nodes)) if nodes else set()
    chosen = [constants[name] for name in constants if name in read]
    piece = ModelProto(ir_version=whole.ir_version)
    piece.opset_import.extend(whole.opset_import)
    graph = piece.graph
    graph.name = "piece"
    graph.node.extend(nodes)
    graph.input.extend(ValueInfoProto(name=name, type=kind) for name, kind in inputs.items())
    graph.output.extend(ValueInfoProto(name=name) for name in outputs)
    graph.initializer.extend(chosen)
    made = {name for node in nodes for name in node.output} - set(outputs)
    graph.value_info.extend(one for one in whole.graph.value_info if one.name in made)
    kept = {(one.domain, one.op_type) for one in every_node(nodes)}
    if whole.functions and kept & {(one.domain, one.name) for one in whole.functions}:
        piece.functions.extend(whole.functions)
    fit_version(piece)
    return piece


def fit_version(model: ModelProto) -> None:
    """Let a model say that it is of a version that whoever runs it may know."""
    newest = any(one.data_type > _LAST_TYPE for one in model.graph.initializer)
    version = max(model.ir_version, _LEAST_IR)
    model.ir_version = version if newest else min(version, _MOST_IR)


class Piece(Protocol):
    """A piece that is ready to run.

    Parameters
    ----------
    types : of its outputs, by name, as far as they are known.
    """

    types: dict[str, TypeProto]

    @abstractmethod
    def run(self, values: dict[str, Any]) -> None:
        """Run the piece on values by name, and put what it makes among them."""


class Pieces(Protocol):
    """What makes pieces ready.

    Parameters
    ----------
    name : of the package that runs them.
    typed : whether it must be told the types of inputs.
    """

    name: str
    typed: bool

    @abstractmethod
    def ready(self, model: ModelProto) -> Piece:
        """Return a model ready to run.

        Raises
        ------
        MissingOperatorError : not all of its operators are there.
        ValueError : it is not valid.
        """


class RuntimePieces:
    """Pieces that run on ONNX Runtime.

    Every session has threads of its own, so that pieces without much work get none beside the
    caller's.

    Parameters
    ----------
    num_threads : of a node; by default as many as our kernels would use.
    options : ONNX Runtime's, in place of the above.
    """

    name, typed = "onnxruntime", True

    def __init__(self, num_threads: int | None = None, options: Any = None) -> None:
        self._heavy = options or _session_options(num_threads or get_num_threads())
        self._light = options or _session_options(1)
        for one in (self._heavy, self._light):
            _teach(one)

    def ready(self, model: ModelProto) -> Piece:
        """Return a model ready to run; see `Pieces.ready`."""
        heavy = any(
            node.op_type in _HEAVY or node.domain not in ("", _core.runtime_domain)
            for node in model.graph.node
        )
        return _RuntimePiece(model, self._heavy if heavy else self._light)


def _session_options(num_threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
    options.log_severity_level = _QUIET
    # Threads that wait by turning would take the cores from our kernels.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


_TAUGHT: weakref.WeakSet[Any] = weakref.WeakSet()
"""Options with our operators: with them twice they are refused."""


def _teach(options: Any) -> None:
    """Let sessions of these options know the operators that call us."""
    if options not in _TAUGHT:
        options.register_custom_ops_library(_core.__file__)
        _TAUGHT.add(options)


class _RuntimePiece:
    def __init__(self, model: ModelProto, options: Any) -> None:
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no class in common
            kind = MissingOperatorError if _lacks_operator(error) else ValueError
            raise kind(f"model: ONNX Runtime does not run it: {error}") from error
        self._inputs = [one.name for one in model.graph.input]
        self._outputs = [one.name for one in model.graph.output]
        self.types = {one.name: _type_of(one) for one in self._session.get_outputs()}

    def run(self, values: dict[str, Any]) -> None:
        """Run the piece: arrays go in and come out without copies."""
        made = self._session.run(self._outputs, {name: values[name] for name in self._inputs})
        values |= zip(self._outputs, made, strict=True)


def runtime_outputs(model: ModelProto) -> Sequence[Any] | None:
    """Return the outputs of a model as ONNX Runtime shows them; None if it does not run it."""
    import onnxruntime

    options = _session_options(1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # its exceptions have no class in common
        return None
    found: Sequence[Any] = session.get_outputs()
    return found


def _lacks_operator(error: Exception) -> bool:
    return type(error).__name__ == "NotImplemented" or any(one in str(error) for one in _MISSING)


def _type_of(shown: Any) -> TypeProto:
    """Return the type of an output of a session; of its shape the rank alone is certain."""
    kind = read_type(shown.type) or TypeProto()
    if kind.HasField("tensor_type") and shown.shape:
        return tensor_type(kind.tensor_type.elem_type, [None] * len(shown.shape))
    return kind


class OnnxPieces:
    """Pieces that run on onnx's evaluator, where it is right."""

    name, typed = "onnx", False

    def ready(self, model: ModelProto) -> Piece:
        """Return a model ready to run; see `Pieces.ready`."""
        return _OnnxPiece(model)


class _OnnxPiece:
    def __init__(self, model: ModelProto) -> None:
        _drop_masks(model)
        check_refused(model)
        _name_outputs(model)
        try:
            self._evaluator = Evaluator(model)
        except Exception as error:  # as its parts happen to fail
            raise MissingOperatorError(
                f"model: onnx's own implementations do not run it: {error}"
            ) from error
        self._inputs = [one.name for one in model.graph.input]
        self._outputs = [one.name for one in model.graph.output]
        self.types = {name: TypeProto() for name in self._outputs}

    def run(self, values: dict[str, Any]) -> None:
        """Run the piece."""
        with np.errstate(all="ignore"):  # infinities are results as others
            made = self._evaluator.run(self._outputs, {name: values[name] for name in self._inputs})
        values |= zip(self._outputs, made, strict=True)


def _drop_masks(model: ModelProto) -> None:
    """Take masks that nobody reads from the outputs of Dropout nodes."""
    read = {one.name for one in model.graph.output}.union(*map(names_read, model.graph.node))
    for node in model.graph.node:
        if node.op_type == "Dropout" and not {*node.output[1:]} & read:
            del node.output[1:]


def _name_outputs(model: ModelProto) -> None:
    """Give a name to every output of a node.

    To onnx's evaluator all that have none are one value, which later nodes that leave out an input
    would be given.
    """
    count = 0
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in every_node(nodes):
            for place, name in enumerate(node.output):
                if not name:
                    node.output[place] = f"unused {count}"
                    count += 1
