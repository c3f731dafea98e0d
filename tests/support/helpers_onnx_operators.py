"""Nodes of the operators that stand around recurrent ones, in every form that they have had.

Attributes are off their defaults where they can be, axes are not the last, and sizes differ, so
that an implementation of another operator set's meaning gives other numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the [test] extra: onnx")

NEWEST = 21


class NodeCase(NamedTuple):
    """One node with what it is given.

    Parameters
    ----------
    operator, since, until : the operator sets in which the node means something.
    inputs : arrays; None is an input that is left out.
    attributes : of the node.
    outputs : how many it has.
    depth : how many numbers are added up for one of its results.
    """

    operator: str
    since: int
    until: int
    inputs: tuple[Any, ...]
    attributes: dict[str, Any]
    outputs: int
    depth: int

    def node(self, mark: str = "") -> Any:
        """Return the node; names begin with `mark`."""
        names = ["" if one is None else f"{mark}in{place}" for place, one in enumerate(self.inputs)]
        made = [f"{mark}out{place}" for place in range(self.outputs)]
        return onnx.helper.make_node(self.operator, names, made, f"{mark}node", **self.attributes)

    def fed(self, mark: str = "") -> dict[str, Any]:
        """Return the inputs by name."""
        return {f"{mark}in{p}": one for p, one in enumerate(self.inputs) if one is not None}


def node_cases() -> Iterator[NodeCase]:
    """Yield every case of the table."""
    for part in (_elementwise, _activations, _products, _norms, _reductions, _shapes, _moves,
                 _images, _signals, _whole_numbers):  # fmt: skip
        yield from part(np.random.default_rng(0))


def of(
    operator: str, *inputs: Any, sets: tuple[int, int] = (7, NEWEST), outputs: int = 1,
    depth: int = 1, **attributes: Any,
) -> NodeCase:  # fmt: skip
    return NodeCase(operator, *sets, inputs, attributes, outputs, depth)


def floats(rng: Any, *shape: int) -> Any:
    return rng.standard_normal(shape).astype("float32")


def _elementwise(rng: Any) -> Iterator[NodeCase]:
    x, row, column = floats(rng, 2, 3, 4), floats(rng, 4), floats(rng, 3, 1)
    positive = np.abs(x) + np.float32(0.1)
    for name in ("Add", "Sub", "Mul", "Div", "Pow"):
        yield of(name, positive, column)
        yield of(name, positive, row)
    whole = np.array([-7, 7, -1, 9])
    for name in ("Add", "Sub", "Mul", "Div"):
        yield of(name, whole, np.array([2, -2, 3, 4]))
    yield of("Pow", np.abs(whole), np.array([2, 1, 3, 0]), sets=(12, NEWEST))
    yield of("Pow", row, np.array([2, 1, 3, 0]), sets=(12, NEWEST))
    for name in ("Max", "Min"):
        yield of(name, whole, np.array([2, -2, 3, 4]), sets=(12, NEWEST))
    for name in ("Max", "Min", "Sum", "Mean"):
        yield of(name, x, column, row, sets=(8, NEWEST))
        yield of(name, x, positive)
    for name in ("Abs", "Neg", "Exp", "Ceil", "Floor", "Tanh", "Sigmoid", "Identity"):
        yield of(name, 3 * x)
    for name in ("Sqrt", "Log", "Reciprocal"):
        yield of(name, positive)
    yield of("Erf", x, sets=(9, NEWEST))
    yield of("Sign", x, sets=(9, NEWEST))
    yield of("Round", np.float32([0.5, 1.5, -2.5, 1.2]), sets=(11, NEWEST))
    yield of("Clip", x, sets=(7, 10), min=-0.5, max=0.75)
    yield of("Clip", x, sets=(7, 10), max=0.25)
    yield of("Clip", x, np.array(-0.5, "f"), np.array(0.75, "f"), sets=(11, NEWEST))
    yield of("Clip", whole, np.array(-3), np.array(5), sets=(12, NEWEST))
    yield of("Clip", x, None, np.array(0.25, "f"), sets=(11, NEWEST))
    for name in ("Sin", "Cos", "Atan"):
        yield of(name, x)
    yield of("IsNaN", np.float32([1, np.nan, np.inf]), sets=(9, NEWEST))
    yield of("IsInf", np.float32([1, -np.inf, np.inf]), sets=(10, NEWEST), detect_negative=0)
    for name in ("GreaterOrEqual", "LessOrEqual"):
        yield of(name, np.round(x), np.round(column), sets=(12, NEWEST))
    yield of("Xor", x > 0, row > 0)
    yield of("CastLike", 3 * x, whole, sets=(15, NEWEST))
    for name in ("Greater", "Less"):
        yield of(name, x, column)
    yield of("Equal", np.round(2 * x).astype("int64"), np.array([[0], [1], [-1]]))
    yield of("And", x > 0, row > 0)
    yield of("Or", x > 0, row > 0)
    yield of("Not", x > 0)
    yield of("Where", x > 0, x, column, sets=(9, NEWEST))
    yield of("Mod", np.array([-7, 7, 5]), np.array([3, -3, 4]), sets=(10, NEWEST))
    yield of("Mod", 5 * row, np.float32([3, -3, 2, 4]), sets=(10, NEWEST), fmod=1)
    yield of("Cast", 3 * x, to=6)
    yield of("Cast", x > 0, to=1)
    yield of("Cast", whole, to=6)
    yield of("Cast", x, to=11)
    yield of("Cast", x, to=9)
    yield of("Dropout", x, ratio=0.25, sets=(7, 11))
    yield of("Dropout", x, np.array(0.25, "f"), sets=(12, NEWEST))


def _activations(rng: Any) -> Iterator[NodeCase]:
    x = 2 * floats(rng, 2, 3, 4)
    for name in ("Relu", "Softplus", "Softsign", "Elu", "Selu", "LeakyRelu", "HardSigmoid"):
        yield of(name, x)
    yield of("Elu", x, alpha=0.5)
    yield of("Selu", x, alpha=1.5, gamma=1.25)
    yield of("LeakyRelu", x, alpha=0.25)
    yield of("HardSigmoid", x, alpha=0.25, beta=0.375)
    yield of("PRelu", x, floats(rng, 3, 1))
    yield of("ThresholdedRelu", x, sets=(10, NEWEST), alpha=0.75)
    yield of("Celu", x, sets=(12, NEWEST), alpha=0.5)
    yield of("Shrink", x, sets=(9, NEWEST), lambd=0.75, bias=0.25)
    yield of("HardSwish", x, sets=(14, NEWEST))
    yield of("Mish", x, sets=(18, NEWEST))
    yield of("Gelu", x, sets=(20, NEWEST), approximate="tanh")
    for name in ("Softmax", "LogSoftmax", "Hardmax"):
        yield of(name, x, depth=12)
        for axis in (0, 1, 2):
            yield of(name, x, axis=axis, depth=24)
        yield of(name, x, sets=(11, NEWEST), axis=-2, depth=12)
        yield of(name, x[:, :0], axis=1)


def _products(rng: Any) -> Iterator[NodeCase]:
    yield of("MatMul", floats(rng, 2, 3, 4), floats(rng, 4, 5), depth=4)
    yield of("MatMul", floats(rng, 2, 1, 3, 4), floats(rng, 5, 4, 2), depth=4)
    a, b, c = floats(rng, 4, 3), floats(rng, 5, 4), floats(rng, 5)
    yield of("Gemm", a, b, c, transA=1, transB=1, alpha=0.5, beta=0.25, depth=5)
    yield of("Gemm", a.T.copy(), b.T.copy(), c[:1], alpha=0.5, beta=2.0, depth=5)
    yield of("Gemm", a.T.copy(), b.T.copy(), floats(rng, 3, 1), depth=5)
    yield of("Gemm", a, b.T.copy(), transA=1, sets=(11, NEWEST), depth=4)
    yield of("Einsum", floats(rng, 2, 3, 4), floats(rng, 2, 4, 5), sets=(12, NEWEST),
              equation="bij,bjk->bki", depth=4)  # fmt: skip
    x, filters, bias = floats(rng, 2, 4, 9), floats(rng, 6, 2, 3), floats(rng, 6)
    yield of("Conv", x, filters, bias, group=2, strides=[2], pads=[2, 1], dilations=[2], depth=7)
    for way in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield of("Conv", x, floats(rng, 3, 4, 4), auto_pad=way, strides=[2], depth=17)
    yield of("Conv", x, floats(rng, 3, 4, 3), auto_pad="SAME_UPPER", strides=[3], depth=13)
    yield of("Conv", x, filters, kernel_shape=[3], group=2, depth=7)
    image, wide = floats(rng, 2, 4, 7, 6), floats(rng, 6, 4, 3, 2)
    yield of("Conv", image, wide, bias, pads=[1, 0, 0, 1], strides=[2, 1], depth=25)
    yield of("Conv", image, floats(rng, 4, 1, 3, 3), group=4, depth=9)
    back, few = floats(rng, 4, 3, 3), floats(rng, 6)
    yield of("ConvTranspose", x, back, floats(rng, 3), strides=[2], pads=[1, 0], depth=9,
              output_padding=[1])  # fmt: skip
    yield of("ConvTranspose", x, back, few, group=2, strides=[2], dilations=[2], depth=5)
    yield of("ConvTranspose", image, floats(rng, 4, 1, 3, 2), group=4, strides=[2, 1], depth=7)
    yield of("ConvTranspose", image, floats(rng, 4, 2, 3, 2), group=2, pads=[1, 0, 2, 1], depth=13)
    for way in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield of("ConvTranspose", x, back, auto_pad=way, strides=[2], depth=9)
        yield of("ConvTranspose", image, floats(rng, 4, 2, 4, 3), auto_pad=way, strides=[3, 2],
                  group=2, depth=25)  # fmt: skip
    yield of("ConvTranspose", x, back, strides=[2], output_shape=[20], depth=9)
    yield of("ConvTranspose", x, back, strides=[3], dilations=[2], pads=[2, 1], depth=9,
              output_padding=[2])  # fmt: skip
    yield of("ConvTranspose", x, back, strides=[2], output_shape=[18], auto_pad="SAME_LOWER",
              depth=9)  # fmt: skip


def _norms(rng: Any) -> Iterator[NodeCase]:
    x = floats(rng, 3, 4, 5)
    scale, bias, mean = (floats(rng, 4) for _ in range(3))
    variance = np.abs(floats(rng, 4)) + np.float32(0.5)
    for epsilon in (1e-5, 0.25):
        yield of("BatchNormalization", x, scale, bias, mean, variance, epsilon=epsilon)
    yield of("BatchNormalization", x, scale, bias, mean, variance, momentum=0.5)
    yield of("BatchNormalization", x[..., 0], scale, bias, mean, variance, epsilon=0.125)
    yield of("InstanceNormalization", x, scale, bias, epsilon=0.125, depth=10)
    yield of("LayerNormalization", x, floats(rng, 4, 5), floats(rng, 4, 5), sets=(17, NEWEST),
              axis=1, epsilon=0.125, depth=40)  # fmt: skip
    yield of("LayerNormalization", x, floats(rng, 5), sets=(17, NEWEST), depth=10)
    yield of("GroupNormalization", x, scale, bias, sets=(21, NEWEST), num_groups=2, depth=20)
    yield of("LRN", floats(rng, 2, 6, 3, 2), size=3, alpha=0.5, beta=0.625, bias=1.5, depth=3)
    yield of("LpNormalization", x, axis=1, p=2, depth=4)
    yield of("LpNormalization", x, axis=0, p=1, depth=3)
    yield of("MeanVarianceNormalization", floats(rng, 2, 4, 3, 2), sets=(9, NEWEST), depth=24)
    yield of("MeanVarianceNormalization", floats(rng, 2, 4, 3, 2), sets=(9, NEWEST),
              axes=[0, 2], depth=12)  # fmt: skip


_SUMS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2")
_LOGS = ("ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")


def _reductions(rng: Any) -> Iterator[NodeCase]:
    x = np.abs(floats(rng, 2, 3, 4)) + np.float32(0.25)
    for name in (*_SUMS, *_LOGS):
        changed = 13 if name == "ReduceSum" else 18
        for axes, keep in (([1], 0), ([0, 2], 1)):
            yield of(name, x, sets=(7, changed - 1), axes=axes, keepdims=keep, depth=8)
            yield of(name, x, np.array(axes), sets=(changed, NEWEST), keepdims=keep, depth=8)
        yield of(name, x, sets=(11, changed - 1), axes=[-2], depth=3)
        yield of(name, x, keepdims=0, depth=24)
        yield of(name, x, np.array([], int), sets=(changed, NEWEST), noop_with_empty_axes=1)
        if "Log" not in name:
            yield of(name, np.array([[1, -4], [3, 2]]), sets=(7, changed - 1), axes=[0])
    twice = np.float32([[1, 3, 3], [2, 2, 0]])
    for name in ("ArgMax", "ArgMin"):
        yield of(name, x, axis=1, keepdims=0)
        yield of(name, twice, axis=1)
        yield of(name, twice, sets=(12, NEWEST), axis=1, select_last_index=1)
        yield of(name, x, sets=(11, NEWEST), axis=-2)
    yield of("TopK", x, sets=(7, 9), axis=1, k=2, outputs=2)
    yield of("TopK", x, np.array([2]), sets=(10, NEWEST), axis=1, outputs=2)
    yield of("TopK", x, np.array([3]), sets=(11, NEWEST), axis=-1, largest=0, outputs=2)
    for way in ({}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1}):
        yield of("CumSum", x, np.array(1), sets=(11, NEWEST), depth=3, **way)


def _shapes(rng: Any) -> Iterator[NodeCase]:
    x = floats(rng, 2, 3, 4)
    yield of("Shape", x)
    yield of("Shape", x, sets=(15, NEWEST), start=1, end=-1)
    yield of("Size", x)
    yield of("Reshape", x, np.array([0, -1, 2]))
    yield of("Reshape", x[:0], np.array([0, 2, 6]), sets=(14, NEWEST), allowzero=1)
    yield of("Flatten", x, axis=2)
    yield of("Flatten", x, axis=0)
    yield of("Flatten", x, sets=(11, NEWEST), axis=-1)
    thin = floats(rng, 1, 3, 1, 4)
    yield of("Squeeze", thin, sets=(7, 12), axes=[2])
    yield of("Squeeze", thin, np.array([2]), sets=(13, NEWEST))
    yield of("Squeeze", thin)
    yield of("Unsqueeze", x, sets=(7, 12), axes=[0, 2])
    yield of("Unsqueeze", x, np.array([0, 2]), sets=(13, NEWEST))
    yield of("Unsqueeze", x, np.array([-1, 0]), sets=(13, NEWEST))
    yield of("Transpose", x, perm=[1, 2, 0])
    yield of("Transpose", x)
    yield of("Expand", floats(rng, 3, 1), np.array([2, 1, 4]), sets=(8, NEWEST))
    yield of("Tile", x, np.array([1, 2, 3]))
    yield of("ConstantOfShape", np.array([2, 3]), sets=(9, NEWEST),
              value=onnx.numpy_helper.from_array(np.array([7], "int32")))  # fmt: skip
    yield of("Constant", value=onnx.numpy_helper.from_array(x))
    yield of("Constant", sets=(12, NEWEST), value_floats=[1.5, 2.5])
    yield of("Range", np.array(2), np.array(9), np.array(3), sets=(11, NEWEST))
    yield of("NonZero", x > 0, sets=(9, NEWEST))
    for name in ("Squeeze", "Flatten", "Identity", "Transpose"):
        yield of(name, x[:, :0] if name != "Squeeze" else thin[:, :0])
    yield of("EyeLike", floats(rng, 3, 4), sets=(9, NEWEST), k=1)
    yield of("Compress", x, np.array([True, False, True]), sets=(9, NEWEST), axis=1)
    yield of("Unique", np.array([3, 1, 1, 2]), sets=(11, NEWEST), outputs=4)
    yield of("Trilu", floats(rng, 3, 4), np.array(1), sets=(14, NEWEST), upper=0)


def _moves(rng: Any) -> Iterator[NodeCase]:
    x = floats(rng, 3, 4, 5)
    yield of("Concat", x, x[:, :2], axis=1)
    yield of("Split", x, sets=(7, 12), axis=1, split=[3, 1], outputs=2)
    yield of("Split", x, np.array([3, 1]), sets=(13, NEWEST), axis=1, outputs=2)
    yield of("Split", x, sets=(7, 17), axis=1, outputs=2)
    yield of("Split", x, sets=(18, NEWEST), axis=2, num_outputs=2, outputs=2)
    yield of("Slice", x, sets=(7, 9), starts=[1, -4], ends=[3, 9], axes=[0, 2])
    for steps, ends in (([1, 2], [3, 9]), ([1, -1], [3, -9])):
        limits = [np.array(one) for one in ([1, -1], ends, [0, 2], steps)]
        yield of("Slice", x, *limits, sets=(10, NEWEST))
    yield of("Gather", x, np.array([[2, 0], [1, 1]]), axis=1)
    yield of("Gather", x, np.array([-1, 0]), sets=(11, NEWEST), axis=-1)
    index = rng.integers(0, 4, (3, 2, 5))
    yield of("GatherElements", x, index, sets=(11, NEWEST), axis=1)
    yield of("GatherND", x, np.array([[0, 1], [2, 3]]), sets=(11, NEWEST))
    yield of("GatherND", x, np.array([[1], [3], [0]]), sets=(12, NEWEST), batch_dims=1)
    unlike = np.argsort(floats(rng, 3, 4, 5), axis=1)[:, :2]
    yield of("ScatterElements", x, unlike, floats(rng, 3, 2, 5), sets=(11, NEWEST), axis=1)
    yield of("ScatterND", x, np.array([[0, 1], [2, 3]]), floats(rng, 2, 5), sets=(11, NEWEST))
    places = [0, 1, 2, 1, 0, 1]
    yield of("Pad", x, sets=(7, 10), pads=places, value=1.5)
    yield of("Pad", x, np.array(places), np.array(1.5, "f"), sets=(11, NEWEST))
    yield of("Pad", x, np.array([1, 0, 2, 1]), None, np.array([1, 2]), sets=(18, NEWEST))
    yield of("Pad", x, np.array([-1, 1, 0, 0, -2, 1]), sets=(11, NEWEST))
    yield of("Pad", x, sets=(7, 10), pads=[-1, 1, 0, 0, -2, 1])
    yield of("Pad", x, np.array([1, 0, 2, 4, 1, 0]), sets=(19, NEWEST), mode="wrap")
    for mode in ("reflect", "edge"):
        yield of("Pad", x, sets=(7, 10), pads=places, mode=mode)
        yield of("Pad", x, np.array(places), sets=(11, NEWEST), mode=mode)
    yield of("OneHot", np.array([[0, 2], [-1, 1]]), np.array(4), np.float32([0.5, 2]),
              sets=(9, NEWEST), axis=1)  # fmt: skip
    yield of("ReverseSequence", x, np.array([1, 3, 2, 3]), sets=(10, NEWEST), time_axis=0,
              batch_axis=1)  # fmt: skip
    yield of("ReverseSequence", x, np.array([1, 4, 2]), sets=(10, NEWEST), time_axis=1,
              batch_axis=0)  # fmt: skip
    for way in ("add", "mul"):
        yield of("ScatterElements", x, unlike, floats(rng, 3, 2, 5), sets=(16, NEWEST), axis=1,
                  reduction=way)  # fmt: skip
    yield of("DepthToSpace", floats(rng, 1, 8, 2, 3), blocksize=2)
    yield of("DepthToSpace", floats(rng, 1, 8, 2, 3), sets=(11, NEWEST), blocksize=2, mode="CRD")
    yield of("SpaceToDepth", floats(rng, 1, 2, 4, 6), blocksize=2)


def _images(rng: Any) -> Iterator[NodeCase]:
    image, line = floats(rng, 2, 3, 7, 6), floats(rng, 2, 3, 9)
    for name in ("MaxPool", "AveragePool"):
        yield of(name, image, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1], depth=6)
        yield of(name, line, kernel_shape=[4], strides=[2], auto_pad="SAME_UPPER", depth=4)
        yield of(name, line, kernel_shape=[4], strides=[3], auto_pad="SAME_LOWER", depth=4)
        for way in ("SAME_UPPER", "SAME_LOWER", "VALID"):
            yield of(name, image, kernel_shape=[3, 2], strides=[1, 1], auto_pad=way, depth=6)
            yield of(name, image, kernel_shape=[4, 3], strides=[2, 3], auto_pad=way, depth=12)
            yield of(name, line, kernel_shape=[3], strides=[3], auto_pad=way, depth=3)
        yield of(name, line, kernel_shape=[3], depth=3)
        yield of(name, line, kernel_shape=[3], pads=[2, 1], depth=3)
        yield of(name, line, sets=(10, NEWEST), kernel_shape=[2], strides=[3], ceil_mode=1,
                  depth=2)  # fmt: skip
        yield of(name, image, sets=(10, NEWEST), kernel_shape=[2, 3], strides=[2, 2],
                  pads=[1, 1, 0, 0], ceil_mode=1, depth=6)  # fmt: skip
    yield of("MaxPool", image, sets=(10, NEWEST), kernel_shape=[2, 3], dilations=[2, 1])
    yield of("MaxPool", line, sets=(8, NEWEST), kernel_shape=[3], strides=[2], outputs=2)
    yield of("AveragePool", line, kernel_shape=[3], pads=[1, 1], count_include_pad=1, depth=3)
    yield of("AveragePool", image, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2],
              count_include_pad=1, depth=9)  # fmt: skip
    yield of("AveragePool", image, sets=(19, NEWEST), kernel_shape=[2, 2], dilations=[2, 2],
              depth=4)  # fmt: skip
    for way in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        yield of("LpPool", line, kernel_shape=[4], strides=[3], auto_pad=way, depth=4)
    yield of("LpPool", line, kernel_shape=[3], pads=[1, 1], depth=3)
    yield of("MaxPool", image, sets=(11, NEWEST), kernel_shape=[2, 2], dilations=[2, 1],
              auto_pad="SAME_LOWER")  # fmt: skip
    yield of("MaxPool", image, sets=(8, NEWEST), kernel_shape=[2, 3], pads=[1, 0, 1, 0],
              outputs=2)  # fmt: skip
    yield of("MaxPool", image, sets=(8, NEWEST), kernel_shape=[2, 2], strides=[2, 2],
              storage_order=1, outputs=2)  # fmt: skip
    yield of("MaxPool", image - 5, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    yield of("LpPool", image, kernel_shape=[3, 2], strides=[2, 1], p=3, depth=6)
    for name in ("GlobalAveragePool", "GlobalMaxPool"):
        yield of(name, image, depth=42)
        yield of(name, line, depth=9)
    small, grow = floats(rng, 1, 2, 3, 4), np.float32([1, 1, 2, 1.5])
    for mode in ("nearest", "linear"):
        yield of("Upsample", small, sets=(7, 8), mode=mode, scales=[1.0, 1.0, 2.0, 2.0], depth=4)
        yield of("Upsample", small, np.float32([1, 1, 3, 2]), sets=(9, 9), mode=mode, depth=4)
        yield of("Resize", small, grow, sets=(10, 10), mode=mode, depth=4)
        yield of("Resize", small, np.float32([1, 1, 0.6, 0.5]), sets=(10, 10), mode=mode, depth=4)
    sizes = np.array([1, 2, 7, 6])
    for mode in ("nearest", "linear", "cubic"):
        for way in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
            how = {"mode": mode, "coordinate_transformation_mode": way, "depth": 16}
            yield of("Resize", small, None, grow, sets=(13, NEWEST), **how)
            yield of("Resize", small, None, None, sizes, sets=(13, NEWEST), **how)
            yield of("Resize", small, np.float32([]), grow, sets=(11, 12), **how)
    for way in ("floor", "ceil", "round_prefer_ceil"):
        yield of("Resize", small, None, grow, sets=(13, NEWEST), nearest_mode=way)
    yield of("Resize", small, None, grow, sets=(13, NEWEST), mode="cubic", cubic_coeff_a=-0.5,
              exclude_outside=1, depth=16)  # fmt: skip
    yield of("Resize", small, np.float32([0, 0, 0.2, 0.1, 1, 1, 0.9, 0.7]), None, sizes,
              sets=(13, NEWEST), mode="linear", extrapolation_value=2.0, depth=4,
              coordinate_transformation_mode="tf_crop_and_resize")  # fmt: skip
    less = np.float32([1, 1, 0.6, 0.5])
    yield of("Resize", small, None, less, sets=(13, NEWEST), mode="linear", depth=4)
    yield of("Resize", small, None, less, sets=(18, NEWEST), mode="linear", antialias=1, depth=8)
    yield of("Resize", small, None, less[2:], sets=(18, NEWEST), mode="linear", axes=[2, 3],
              depth=4)  # fmt: skip
    yield of("Resize", small, None, None, np.array([6, 6]), sets=(18, NEWEST), mode="linear",
              axes=[2, 3], keep_aspect_ratio_policy="not_larger", depth=4)  # fmt: skip


def _signals(rng: Any) -> Iterator[NodeCase]:
    wave = floats(rng, 2, 32, 1)
    yield of("HannWindow", np.array(8), sets=(17, NEWEST), periodic=0, depth=8)
    yield of("DFT", wave, sets=(17, 19), axis=1, onesided=1, depth=32)
    yield of("DFT", wave, None, np.array(1), sets=(20, NEWEST), onesided=1, depth=32)
    yield of("STFT", wave, np.array(8), np.hanning(16).astype("float32"), np.array(16),
              sets=(17, NEWEST), onesided=1, depth=32)  # fmt: skip


def _whole_numbers(rng: Any) -> Iterator[NodeCase]:
    x, bytes_ = 4 * floats(rng, 3, 4, 2), rng.integers(0, 256, (3, 4, 2)).astype("uint8")
    scales, zeros = np.float32([0.5, 0.25, 1, 0.125]), np.array([3, 128, 0, 255], "uint8")
    yield of("QuantizeLinear", x, scales[:1].reshape(()), zeros[1:2].reshape(()), sets=(10, NEWEST))
    yield of("QuantizeLinear", x, scales[:1].reshape(()), np.array(-5, "int8"), sets=(10, NEWEST))
    yield of("QuantizeLinear", x, scales, zeros, sets=(13, NEWEST), axis=1)
    yield of(
        "DequantizeLinear",
        bytes_,
        scales[:1].reshape(()),
        zeros[1:2].reshape(()),
        sets=(10, NEWEST),
    )
    yield of("DequantizeLinear", bytes_, scales[:1].reshape(()), sets=(10, NEWEST))
    yield of("DequantizeLinear", bytes_, scales, zeros, sets=(13, NEWEST), axis=1)
    yield of("DequantizeLinear", bytes_, scales, zeros, sets=(13, NEWEST), axis=-2)
    yield of("DynamicQuantizeLinear", x, sets=(11, NEWEST), outputs=3)
    left, right = bytes_[..., 0], bytes_[:2, :, 1].T.copy()
    yield of(
        "MatMulInteger",
        left,
        right,
        zeros[:1].reshape(()),
        zeros[1:2].reshape(()),
        sets=(10, NEWEST),
    )
