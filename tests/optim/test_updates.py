"""Steps of all parameters in one pass: NumPy's bits, whatever the threads and instruction set."""

from __future__ import annotations

import math
import os

import numpy as np
import pytest

import helpers_optim
import simdrnn as sr
from helpers import assert_same_bits
from helpers_loops import every
from helpers_nn import rounding
from simdrnn.engine import updates
from simdrnn.optim import SGD, Adam, AdamW, RMSprop

RULES = {SGD: helpers_optim.sgd, Adam: helpers_optim.adam, AdamW: helpers_optim.adamw,
         RMSprop: helpers_optim.rmsprop}  # fmt: skip
CASES = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "weight_decay": 0.2}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.2}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (Adam, {"lr": 0.1}),
    (Adam, {"lr": 0.1, "betas": (0.3, 0.8), "eps": 1e-3, "weight_decay": 0.2}),
    (Adam, {"lr": 0.1, "amsgrad": True, "betas": (0.9, 0.5)}),
    (AdamW, {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True}),
    (RMSprop, {"lr": 0.1}),
    (RMSprop, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.2}),
    (RMSprop, {"lr": 0.1, "centered": True, "alpha": 0.5}),
    (RMSprop, {"lr": 0.1, "centered": True, "alpha": 0.5, "momentum": 0.9}),
]
all_cases = every(
    "kind, options", CASES, ids=[f"{kind.__name__}-{'-'.join(o)}" for kind, o in CASES]
)
STEPS = 3
# Around the pieces and slices that arrays are cut into, and enough for several threads.
SHAPES = [(), (1,), (511,), (513, 3), (2**13 + 1,), (300, 1000)]


def problem(dtypes=("float32", "float64")):
    """Parameters of all shapes, and gradients for every step, of sizes from 1e-6 to 1e3."""
    rng = np.random.default_rng(3)

    def draw(shape, dtype):
        values = rng.standard_normal(shape) * 10.0 ** rng.uniform(-6, 3, shape)
        return np.array(values, dtype)

    kinds = [(shape, dtype) for dtype in dtypes for shape in SHAPES]
    return [draw(*kind) for kind in kinds], [[draw(*kind) for kind in kinds] for _ in range(STEPS)]


@all_cases
def test_a_step_has_the_bits_of_numpy_on_any_threads_and_instruction_set(kind, options):
    parameters, gradients = problem()
    wanted, states = [p.copy() for p in parameters], [{} for _ in parameters]
    for step, arrays in enumerate(gradients, start=1):
        for p, g, state in zip(wanted, arrays, states, strict=True):
            RULES[kind](p, g, state, step, **options)
    before = sr.isa.active()

    for isa in sr.isa.available():
        for threads in (1, 3):
            own = [p.copy() for p in parameters]
            optimizer = kind(own, **options)
            sr.isa.use(isa)
            sr.set_num_threads(threads)
            try:
                for arrays in gradients:
                    optimizer.step(arrays)
            finally:
                sr.isa.use(before)
                sr.set_num_threads(None)

            assert_same_bits(tuple(own), tuple(wanted))
            kept = optimizer.state_dict()["state"]
            for index, state in enumerate(states):
                own_state = kept[str(index)]
                assert_same_bits({slot: own_state[slot] for slot in state}, state)


@every("dtype", ["float32", "float64"])
def test_clipping_in_the_step_has_the_bits_of_clipping_before_it(dtype):
    parameters, gradients = problem([dtype])
    others = [p.copy() for p in parameters]
    optimizer, other = Adam(parameters, lr=0.1), Adam(others, lr=0.1)

    for arrays in gradients:
        before = [g.copy() for g in arrays]
        norm = optimizer.step(arrays, max_norm=0.5)
        assert_same_bits(tuple(arrays), tuple(before))
        assert norm == sr.clip_grad_norm_(before, 0.5)
        other.step(before)

    assert_same_bits(tuple(parameters), tuple(others))


def test_the_norm_does_not_depend_on_threads_and_instruction_set_and_is_near():
    gradients = problem()[1][0]
    want = math.fsum(float(x) * float(x) for g in gradients for x in g.ravel()) ** 0.5
    before, found = sr.isa.active(), set()

    for isa in sr.isa.available():
        for threads in (1, 2, 3):
            sr.isa.use(isa)
            sr.set_num_threads(threads)
            try:
                found.add(math.sqrt(updates.sum_of_squares(gradients)))
            finally:
                sr.isa.use(before)
                sr.set_num_threads(None)

    (norm,) = found
    # The longest chain of additions: a sixteenth of a slice, the parts, and the slices.
    slices = sum(-(-g.size // 2**13) for g in gradients)
    assert abs(norm / want - 1.0) < rounding("float64", 2**13 // 16 + 16 + slices, 1.0)


def test_parameters_that_share_memory_are_updated_one_after_the_other():
    memory = np.ones(300_000, "float32")
    gradients = [np.full(200_000, 0.25, "float32"), np.full(200_000, 0.5, "float32")]

    SGD([memory[:200_000], memory[100_000:]], lr=1.0).step(gradients)

    want = np.repeat([0.75, 0.25, 0.5], 100_000).astype("float32")
    assert_same_bits(memory, want)


def test_a_parameter_may_be_its_own_gradient():
    parameter = np.arange(50_000.0)

    SGD(parameter, lr=0.5).step(parameter)

    np.testing.assert_array_equal(parameter, np.arange(50_000.0) / 2)


@every(
    "parameters, gradients, kept, message",
    [
        ([np.ones(2)], [np.ones(3)], [], "gradients: expected the sizes of the parameters"),
        ([np.ones(2)], [], [], "gradients: expected one for each parameter"),
        ([np.ones(2)], [np.ones(2, "f4")], [], "gradients: expected contiguous, aligned arrays"),
        ([np.ones(4)[::2]], [np.ones(2)], [], "parameters: expected contiguous, aligned arrays"),
        ([np.ones(2, ">f8")], [np.ones(2)], [], "parameters: expected contiguous, aligned arrays"),
        ([np.ones(2)], [np.ones(2)], [[np.ones(1)]], "kept: expected the sizes of the parameters"),
        ([np.ones(2)], [np.ones(2)], [[]], "kept: expected an array for each parameter"),
        ([np.ones(2)], [np.ones(2)], [[np.ones(2)]] * 2, "kept: expected 1 lists"),
    ],
)
def test_what_would_read_other_memory_is_refused(parameters, gradients, kept, message):
    with pytest.raises(ValueError, match=message):
        updates.sgd(parameters, gradients, kept, 1.0, 0.0, 0.1, 0.0, 1.0, False, False)


def test_read_only_memory_is_not_written():
    array = np.ones(2)
    array.flags.writeable = False

    with pytest.raises(ValueError, match="writeable"):
        updates.sgd([array], [np.ones(2)], [], 1.0, 0.0, 0.1, 0.0, 1.0, False, False)
    with pytest.raises(ValueError, match="writeable"):
        updates.scale([array], 2.0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_goes_on_with_the_same_bits():
    weight, gradient = np.ones(400_000, "float32"), np.full(400_000, 0.3, "float32")
    optimizer = Adam(weight)
    optimizer.step(gradient, max_norm=1.0)
    child = os.fork()
    optimizer.step(gradient, max_norm=1.0)
    if child == 0:
        want = np.ones_like(weight)
        other = Adam(want)
        for _ in range(2):
            other.step(gradient, max_norm=1.0)
        os._exit(0 if weight.tobytes() == want.tobytes() else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
