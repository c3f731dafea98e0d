"""More nodes as `helpers_onnx_operators` has them: odd forms, no rows, values of any size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from helpers_onnx_operators import NEWEST, NodeCase, floats, of

__all__ = ["edge_cases"]


def edge_cases() -> Iterator[NodeCase]:
    """Yield every case of this table."""
    yield from _forms(np.random.default_rng(5))
    yield from _empty(np.random.default_rng(6))
    yield from _large(np.random.default_rng(7))


def _forms(rng: Any) -> list[NodeCase]:
    x = floats(rng, 2, 3, 4)
    im = floats(rng, 2, 4, 7, 6)
    return [
        of(
            "GroupNormalization",
            im,
            floats(rng, 2),
            floats(rng, 2),
            sets=(18, 20),
            num_groups=2,
            depth=84,
        ),
        of("LayerNormalization", x, floats(rng, 4), sets=(17, NEWEST), outputs=3, depth=8),
        of("Dropout", x, sets=(12, NEWEST), outputs=2),
        of("MatMul", floats(rng, 4), floats(rng, 4, 3), depth=4),
        of("MatMul", floats(rng, 2, 3, 4), floats(rng, 4), depth=4),
        of("Concat", x, x, sets=(11, NEWEST), axis=-2),
        of("Gather", x, np.array(1), axis=1),
        of(
            "OneHot",
            np.array([[0, 2]]),
            np.array(4),
            np.float32([0, 1]),
            sets=(11, NEWEST),
            axis=-2,
        ),
        of("Split", x, sets=(18, NEWEST), axis=-1, num_outputs=3, outputs=3),
        of(
            "Conv",
            floats(rng, 1, 2, 4, 5, 6),
            floats(rng, 3, 2, 2, 2, 3),
            pads=[0, 1, 0, 1, 0, 1],
            depth=24,
        ),
        of(
            "ConvTranspose",
            floats(rng, 1, 2, 3, 4, 3),
            floats(rng, 2, 3, 2, 2, 3),
            strides=[2, 1, 1],
            depth=24,
        ),
        of(
            "AveragePool",
            im,
            sets=(10, NEWEST),
            kernel_shape=[3, 3],
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            ceil_mode=1,
            count_include_pad=1,
            depth=9,
        ),
        of(
            "AveragePool",
            im,
            sets=(10, NEWEST),
            kernel_shape=[2, 2],
            strides=[3, 3],
            ceil_mode=1,
            depth=4,
        ),
        of(
            "AveragePool",
            floats(rng, 1, 2, 4, 5, 6),
            kernel_shape=[2, 3, 2],
            pads=[0, 1, 0, 1, 1, 0],
            depth=12,
        ),
        of(
            "MaxPool",
            floats(rng, 1, 2, 4, 5, 6),
            kernel_shape=[2, 3, 2],
            pads=[0, 1, 0, 1, 1, 0],
            strides=[1, 2, 1],
        ),
        of("LpPool", im, kernel_shape=[2, 2], strides=[2, 1], p=1, depth=4),
        of(
            "LpPool",
            im,
            sets=(18, NEWEST),
            kernel_shape=[2, 2],
            ceil_mode=1,
            strides=[2, 2],
            dilations=[1, 2],
            depth=4,
        ),
        of("InstanceNormalization", im, floats(rng, 4), floats(rng, 4), depth=84),
        of("Clip", x, np.array(0.5, "f"), np.array(-0.5, "f"), sets=(12, NEWEST)),
        of("TopK", x, np.array([2]), sets=(11, NEWEST), axis=0, largest=1, outputs=2),
        of("CumSum", x, np.array(-1), sets=(11, NEWEST), reverse=1, depth=4),
        of("ReduceSum", x, np.array([-1, 0]), sets=(13, NEWEST), depth=8),
        of("ReduceMax", x, np.array([-2]), sets=(18, NEWEST)),
        of("ArgMax", x, axis=0, keepdims=1),
        of("Resize", im, None, np.float32([1, 1, 1.7, 0.6]), sets=(13, NEWEST), mode="nearest"),
        of("Resize", x, None, np.float32([1, 1, 2.5]), sets=(13, NEWEST), mode="linear", depth=2),
        of("Upsample", floats(rng, 1, 2, 3), sets=(7, 8), mode="nearest", scales=[1.0, 1.0, 2.5]),
        of("Upsample", floats(rng, 1, 2, 3), np.float32([1, 1, 2]), sets=(9, 9), mode="nearest"),
        of("Resize", floats(rng, 1, 2, 5), np.float32([1, 1, 0.7]), sets=(10, 10), mode="nearest"),
        of(
            "Resize",
            floats(rng, 1, 2, 5, 6),
            np.float32([1, 1, 1.3, 0.4]),
            sets=(10, 10),
            mode="linear",
            depth=4,
        ),
        of("Softmax", floats(rng, 3, 4), axis=0, depth=12),
        of("LogSoftmax", floats(rng, 2, 3, 2, 2), axis=2, depth=24),
        of("Softmax", 1e4 * floats(rng, 3, 4), sets=(7, 12), axis=1, depth=12),
        of("LogSoftmax", 1e4 * floats(rng, 3, 4), axis=1, depth=12),
        of("GlobalAveragePool", floats(rng, 1, 2, 3, 2, 2), depth=12),
        of("Einsum", floats(rng, 3, 3), sets=(12, NEWEST), equation="ii->i"),
        of(
            "Einsum",
            floats(rng, 2, 3),
            floats(rng, 3, 4),
            sets=(12, NEWEST),
            equation="ij,jk",
            depth=3,
        ),
        of("PRelu", im, floats(rng, 4, 1, 1)),
        of("PRelu", im, floats(rng, 1)),
        of(
            "Mod", np.array([-7, 7], "int32"), np.array([3, -3], "int32"), sets=(10, NEWEST), fmod=1
        ),
        of("QuantizeLinear", 4 * x, np.array(0.5, "f"), sets=(10, NEWEST)),
        of(
            "QuantizeLinear",
            4 * floats(rng, 4, 6),
            np.abs(floats(rng, 2, 6)) + np.float32(0.1),
            np.zeros((2, 6), "int8"),
            sets=(21, NEWEST),
            axis=0,
            block_size=2,
        ),
        of(
            "DequantizeLinear",
            rng.integers(-9, 9, (4, 6)).astype("int8"),
            np.abs(floats(rng, 2, 6)),
            np.ones((2, 6), "int8"),
            sets=(21, NEWEST),
            axis=0,
            block_size=2,
        ),
        of(
            "DequantizeLinear",
            rng.integers(-1000, 1000, (4, 6)).astype("int32"),
            np.array(0.5, "f"),
            sets=(10, NEWEST),
        ),
        of(
            "DequantizeLinear",
            rng.integers(-(2**31), 2**31 - 1, (4, 6)).astype("int32"),
            np.array(0.1, "f"),
            sets=(10, NEWEST),
        ),
        of(
            "Pad",
            floats(rng, 3, 4),
            np.array([0, 2, 0, 1]),
            np.array(2, "f"),
            np.array([-1, 0]),
            sets=(18, NEWEST),
        ),
        of(
            "Pad",
            np.array([[1, 2], [3, 4]]),
            np.array([1, 0, 0, 1]),
            np.array(7),
            sets=(11, NEWEST),
        ),
        of("Pad", x > 0, np.array([1, 0, 0, 1, 0, 0]), sets=(13, NEWEST)),
        of("Slice", x, np.array([-2]), np.array([2**62]), np.array([-1]), sets=(10, NEWEST)),
        of("Flatten", x, axis=3),
        of("Expand", floats(rng, 3, 1), np.array([1, 1]), sets=(8, NEWEST)),
        of("Tile", np.array([1, 2]), np.array([0])),
        of("Range", np.array(5.0, "f"), np.array(1.0, "f"), np.array(-1.5, "f"), sets=(11, NEWEST)),
        of("GridSample", im, np.tanh(floats(rng, 2, 3, 3, 2)), sets=(16, NEWEST), depth=8),
        of("Cast", np.float32([-1.5, 2.7, 1e5]), to=3),
        of("Cast", np.float32([1.5, 2.7]), to=10),
        of("LpNormalization", x),
        of("LpNormalization", np.zeros((2, 3), "f")),
        of(
            "BatchNormalization",
            floats(rng, 2, 3, 4, 5),
            *[np.abs(floats(rng, 3)) for _ in range(4)],
        ),
    ]


def _empty(rng: Any) -> list[NodeCase]:
    return [
        of(
            "BatchNormalization",
            floats(rng, 0, 3, 4),
            *[np.abs(floats(rng, 3)) for _ in range(4)],
        ),
        of("Softmax", floats(rng, 0, 3, 4), axis=1),
        of("ReduceMean", floats(rng, 0, 3), sets=(7, 17), axes=[1]),
        of("MatMul", floats(rng, 0, 3, 4), floats(rng, 4, 2)),
        of("Gemm", floats(rng, 0, 4), floats(rng, 4, 2), floats(rng, 2)),
        of("Conv", floats(rng, 0, 4, 9), floats(rng, 2, 4, 3)),
        of("ConvTranspose", floats(rng, 0, 4, 9), floats(rng, 4, 2, 3)),
        of("MaxPool", floats(rng, 0, 4, 9), kernel_shape=[2]),
        of("AveragePool", floats(rng, 0, 4, 9), kernel_shape=[2]),
        of("GlobalMaxPool", floats(rng, 0, 4, 9)),
        of("GlobalAveragePool", floats(rng, 0, 4, 9)),
        of("LRN", floats(rng, 0, 4, 9, 2), size=3),
        of("InstanceNormalization", floats(rng, 0, 4, 9), floats(rng, 4), floats(rng, 4)),
        of("LayerNormalization", floats(rng, 0, 4), floats(rng, 4), sets=(17, NEWEST)),
        of("TopK", floats(rng, 0, 4), np.array([2]), sets=(11, NEWEST), outputs=2),
        of("ArgMax", floats(rng, 0, 4), axis=1),
        of("LpNormalization", floats(rng, 0, 4), axis=1),
        of("Hardmax", floats(rng, 0, 4), axis=1),
        of("CumSum", floats(rng, 0, 4), np.array(1), sets=(11, NEWEST)),
        of("Concat", floats(rng, 0, 4), floats(rng, 0, 2), axis=1),
        of(
            "Slice",
            floats(rng, 0, 4),
            np.array([1]),
            np.array([3]),
            np.array([1]),
            sets=(10, NEWEST),
        ),
        of("Gather", floats(rng, 4, 3), np.zeros((0, 2), int)),
        of("Where", floats(rng, 0, 4) > 0, floats(rng, 0, 4), floats(rng, 4), sets=(9, NEWEST)),
        of("Split", floats(rng, 0, 4), sets=(7, 12), axis=1, split=[1, 3], outputs=2),
        of("DequantizeLinear", np.zeros((0, 4), "uint8"), np.array(0.5, "f"), sets=(10, NEWEST)),
        of("Pad", floats(rng, 0, 4), np.array([0, 1, 0, 1]), sets=(11, NEWEST)),
        of("Resize", floats(rng, 0, 2, 3, 3), np.float32([1, 1, 2, 2]), sets=(10, 10)),
    ]


def _large(rng: Any) -> list[NodeCase]:
    big = (200 * floats(rng, 3, 4)).astype("f")
    big[0] = [1e4, -1e4, 90, -90]
    pos = np.abs(big) + np.float32(0.5)
    small = (1e-6 * floats(rng, 3, 4)).astype("f")
    return [
        *[
            of(n, v)
            for v in (big, small)
            for n in (
                "Sigmoid",
                "Tanh",
                "Exp",
                "Softplus",
                "Softsign",
                "Elu",
                "Selu",
                "LeakyRelu",
                "HardSigmoid",
                "Relu",
                "Sin",
                "Atan",
                "Abs",
                "Neg",
                "Floor",
            )
        ],
        *[of("Erf", v, sets=(9, NEWEST)) for v in (big, small)]
        + [of("Mish", v, sets=(18, NEWEST)) for v in (big, small)]
        + [of("Gelu", v, sets=(20, NEWEST)) for v in (big, small)]
        + [of("Gelu", v, sets=(20, NEWEST), approximate="tanh") for v in (big, small)]
        + [of("HardSwish", v, sets=(14, NEWEST)) for v in (big, small)]
        + [of("Celu", v, sets=(12, NEWEST)) for v in (big, small)],
        *[of(n, big, axis=1, depth=12) for n in ("Softmax", "LogSoftmax", "Hardmax")],
        *[
            of("ReduceLogSumExp", big, sets=(7, 17), axes=[1], depth=8),
            of("ReduceLogSumExp", big, np.array([1]), sets=(18, NEWEST), depth=8),
            of("ReduceLogSumExp", -pos, np.array([1]), sets=(18, NEWEST), depth=8),
            of("ReduceL2", big, depth=24),
            of("ReduceLogSum", pos, depth=24),
        ],
        *[
            of("LayerNormalization", big, floats(rng, 4), sets=(17, NEWEST), depth=30),
            of(
                "InstanceNormalization",
                floats(rng, 1, 2, 4) * 100,
                floats(rng, 2),
                floats(rng, 2),
                depth=30,
            ),
            of(
                "MeanVarianceNormalization",
                1000 + floats(rng, 1, 2, 3, 2),
                sets=(9, NEWEST),
                depth=3000,
            ),
        ],
        *[
            of("Pow", pos, np.array(-0.5, "f")),
            of("Pow", big, np.array(2, "f")),
            of("Pow", -pos, np.array(3, "f")),
            of("Cast", np.float32([1e10, -1e10, 300.7, -1.5]), to=7),
            of("Mod", big, np.array(3, "f"), sets=(10, NEWEST), fmod=1),
            of("Div", np.array([2**40, -7]), np.array([3, 2])),
            of("Clip", big, np.array(-6, "f"), np.array(6, "f"), sets=(11, NEWEST)),
            of("DynamicQuantizeLinear", big, sets=(11, NEWEST), outputs=3),
            of(
                "QuantizeLinear", big, np.array(0.5, "f"), np.array(128, "uint8"), sets=(10, NEWEST)
            ),
            of(
                "QuantizeLinear",
                np.float32([0.25, 0.75, 1.25, -0.25]),
                np.array(0.5, "f"),
                np.array(128, "uint8"),
                sets=(10, NEWEST),
            ),
            of(
                "DequantizeLinear",
                rng.integers(-(2**31), 2**31 - 1, (4, 6)).astype("int32"),
                np.array(0.1, "f"),
                sets=(10, NEWEST),
            ),
            of("ThresholdedRelu", big, sets=(10, NEWEST)),
            of("Shrink", big, sets=(9, NEWEST), lambd=1.5),
            of("CumSum", big, np.array(0), sets=(11, NEWEST), depth=3),
            of("Mean", big, big),
            of("Sum", big, big),
            of("ArgMax", np.float32([[1, np.inf, np.inf]]), axis=1),
            of("TopK", np.float32([[3, 1, 3, 2, 3]]), np.array([2]), sets=(11, NEWEST), outputs=2),
            of(
                "TopK",
                np.float32([[3, 1, 3, 2, 1]]),
                np.array([3]),
                sets=(11, NEWEST),
                largest=0,
                outputs=2,
            ),
            of(
                "LpPool",
                floats(rng, 1, 2, 7),
                sets=(18, NEWEST),
                kernel_shape=[2],
                strides=[2],
                ceil_mode=1,
                depth=3,
            ),
            of(
                "LpPool",
                floats(rng, 1, 2, 7),
                sets=(18, NEWEST),
                kernel_shape=[2],
                dilations=[2],
                depth=3,
            ),
            of(
                "LpPool",
                floats(rng, 1, 2, 7, 6),
                sets=(18, NEWEST),
                kernel_shape=[2, 2],
                dilations=[1, 2],
                depth=3,
            ),
            of(
                "AveragePool",
                floats(rng, 1, 2, 7, 6),
                sets=(19, NEWEST),
                kernel_shape=[2, 2],
                dilations=[1, 2],
                strides=[2, 2],
                ceil_mode=1,
                depth=3,
            ),
        ],
    ]
