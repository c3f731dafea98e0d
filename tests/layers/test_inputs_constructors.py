"""Constructors: any argument makes what works, or is refused by name."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simdrnn as sr
from helpers import printed
from helpers_inputs import (
    BOOLS,
    NO_COUNT,
    NO_NAME,
    NO_NUMBERS,
    NO_POSITIVE,
    REFUSED,
    Given,
    I,
    assert_refused,
    refusal,
    twins,
    values,
)
from helpers_loops import every

SIZES = values([1, 2, np.int64(3)], [0, *NO_COUNT])
DTYPES = values(
    ["float32", "float64", "f4", "<f8", float, np.float32, np.dtype("float64")],
    ["float16", "int64", "complex64", ">f4", object, int, None, "nonsense", 3, [1], "f4,f4", ()],
)
NO_SEEDS = [value for value in NO_COUNT if value is not None]
LIMITS = values(
    [None, 1, 0.5, np.float32(2), 1e300, 1e-300], [v for v in NO_POSITIVE if v is not None]
)
COMMON = {
    "bias": BOOLS,
    "dtype": DTYPES,
    "seed": values([None, 0, 2**64, 10**30, np.uint8(3)], NO_SEEDS),
    "initializer": values(["uniform", "glorot", "orthogonal"], NO_NAME),
    **dict.fromkeys(("gate_clip", "hidden_clip", "step_grad_clip", "step_grad_norm"), LIMITS),
}
LAYER = COMMON | {
    "num_layers": values([1, 2], [0, *NO_COUNT]),
    "batch_first": BOOLS,
    "bidirectional": BOOLS,
    "dropout": values(
        [0, 1, 0.5, np.float32(0.25)], [-0.1, 1.1, 10**400, float("nan"), True, *NO_NUMBERS]
    ),
}
OF_KIND = {
    "RNN": {"nonlinearity": values(["tanh", "relu"], NO_NAME)},
    "GRU": {"reset_after": BOOLS},
    "LSTM": {
        "cell_clip": LIMITS,
        "forget_bias": values(
            [None, 1, -0.5], [float("inf"), float("nan"), 10**400, "1", True, 1j]
        ),
    },
}
CONSTRUCTORS = {kind: LAYER | own for kind, own in OF_KIND.items()}
CONSTRUCTORS |= {f"{kind}Cell": COMMON | own for kind, own in OF_KIND.items()}
CONSTRUCTORS["LSTM"]["proj_size"] = values(
    [0, 1, np.uint8(1)], [-1, "0", None, False, 0.5, np.array([0, 0]), 10**400]
)
CONSTRUCTORS["LSTM"]["proj_clip"] = LIMITS
MODULES = {
    "Linear": ({"in_features": SIZES, "out_features": SIZES}, {"bias": BOOLS}),
    "Embedding": ({"num_embeddings": SIZES, "embedding_dim": SIZES}, {}),
}
for name, (sizes, own) in MODULES.items():
    CONSTRUCTORS[name] = sizes | own | {key: COMMON[key] for key in ("dtype", "seed")}


@every("kind", CONSTRUCTORS)
@settings(max_examples=80)
@given(data=st.data())
def test_constructors(kind, data):
    required = MODULES[kind][0] if kind in MODULES else dict.fromkeys(
        ("input_size", "hidden_size"), SIZES
    )  # fmt: skip
    optional = {key: value for key, value in CONSTRUCTORS[kind].items() if key not in required}
    arguments = data.draw(st.fixed_dictionaries(required, optional=optional))
    passed = {name: argument.value for name, argument in arguments.items()}
    # A forget bias needs a bias to be part of.
    biased = bool(arguments.get("bias", Given(True, True, "")).plain)
    if not biased and arguments.get("forget_bias", Given(None, None, "")).value is not None:
        arguments["forget_bias"] = Given(passed["forget_bias"], REFUSED, "without bias")
    # A projection makes h smaller, and is clipped in place of it.
    projected = arguments.get("proj_size", Given(0, 0, "")).plain == 1
    if projected and arguments["hidden_size"].plain == 1:
        arguments["proj_size"] = Given(passed["proj_size"], REFUSED, "not less than H")
    for clip, meant in (("hidden_clip", not projected), ("proj_clip", projected)):
        if not meant and arguments.get(clip, Given(None, None, "")).value is not None:
            arguments[clip] = Given(passed[clip], REFUSED, "of another h")

    def make(**arguments):
        with warnings.catch_warnings():  # of dropout that has no place to act
            warnings.filterwarnings("ignore", "dropout: acts between")
            return getattr(sr, kind)(**arguments)

    if any(argument.refused for argument in arguments.values()):
        assert_refused(arguments, make, **passed)
    else:
        made = make(**passed)
        width = passed[next(iter(required))]
        x = np.zeros((2, 1, width) if kind in OF_KIND else (1, width), made.dtype)
        made(np.zeros((2, 2), int) if kind == "Embedding" else x)


ABSURD = [2**40, 2**62, 2**63, 2**64, 10**30]


@every("size", ABSURD)
@every(
    "kind, name, arguments",
    [
        ("LSTM", "input_size", {"hidden_size": 4096}),
        ("GRU", "hidden_size", {"input_size": 4096}),
        ("RNN", "num_layers", {"input_size": 1, "hidden_size": 1}),
        ("GRUCell", "hidden_size", {"input_size": 4096}),
        ("Linear", "in_features", {"out_features": 4096}),
        ("Linear", "out_features", {"in_features": 4096}),
        ("Embedding", "num_embeddings", {"embedding_dim": 4096}),
    ],
)
def test_absurd_sizes_do_not_fit_in_memory(kind, name, arguments, size):
    with pytest.raises((ValueError, MemoryError), match=name):
        getattr(sr, kind)(**arguments, **{name: size})


@given(T=st.integers(-2, 2**70), B=st.integers(-2, 2**16) | st.integers(2**31, 2**70))
def test_workspace_of_any_size(T, B):
    layer, _ = twins("lstm", "float32", False, 1, False)

    error = refusal(layer.workspace_bytes, T, B)

    if error is None:
        assert layer.workspace_bytes(T, B) >= 0
    else:
        assert str(error).startswith(("T:", "B:"))
        assert not (0 <= T < 2**20 and 0 <= B < 2**20)


def test_many_steps_of_nothing_take_no_time():
    code = f"""
    import signal
    import numpy as np
    import simdrnn as sr
    signal.alarm(20)  # a call that counts the steps would take an hour
    output, state = sr.GRU({I}, 2, num_layers=2, bidirectional=True)(
        np.zeros((2**40, 0, {I}), "float32")
    )
    print(output.shape, state.shape)
    """

    assert printed(code) == "(1099511627776, 0, 4) (4, 0, 2)"
