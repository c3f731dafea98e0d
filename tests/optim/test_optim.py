from __future__ import annotations

import math
import pickle
import tracemalloc

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from helpers_nn import assert_close, needs_torch, optimizer_tolerance
from simdrnn.layers.gradients import Gradients
from simdrnn.optim import SGD, Adam, AdamW, RMSprop
from simdrnn.training.modules import Embedding, Linear

DTYPES = ["float32", "float64"]
STEPS = 5

CASES = [
    (SGD, {}),
    (SGD, {"lr": 0.1, "weight_decay": 0.2}),
    (SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.2}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.2}),
    (Adam, {}),
    (Adam, {"lr": 0.1, "betas": (0.3, 0.8), "eps": 1e-3, "weight_decay": 0.2}),
    (Adam, {"lr": 0.1, "amsgrad": True, "betas": (0.9, 0.5)}),
    (AdamW, {}),
    (AdamW, {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True, "betas": (0.9, 0.5)}),
    (RMSprop, {}),
    (RMSprop, {"lr": 0.1, "alpha": 0.5, "eps": 1e-3, "weight_decay": 0.2}),
    (RMSprop, {"lr": 0.1, "momentum": 0.9}),
    (RMSprop, {"lr": 0.1, "centered": True, "alpha": 0.5}),
    (RMSprop, {"lr": 0.1, "centered": True, "alpha": 0.5, "momentum": 0.9, "weight_decay": 0.2}),
]
all_cases = every(
    "kind, options", CASES, ids=[f"{kind.__name__}-{'-'.join(o)}" for kind, o in CASES]
)
all_kinds = every("kind", [SGD, Adam, AdamW, RMSprop])


def make_problem(dtype, shape=(4, 3)):
    """A parameter, and a gradient for each step, of magnitudes 0.5 to 1.5 and either sign."""
    rng = np.random.default_rng(7)
    gradients = rng.uniform(0.5, 1.5, (STEPS, *shape)) * rng.choice([-1.0, 1.0], (STEPS, *shape))
    return rng.uniform(-1.0, 1.0, shape).astype(dtype), gradients.astype(dtype)


def magnitude(options):
    """Bound on every intermediate value: parameters, means, quotients, with room for momentum."""
    return 20.0 if options.get("momentum") else 10.0


def sgd(p, gradients, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    buffer = None
    for g in gradients:
        g = g + weight_decay * p
        buffer = g if buffer is None else momentum * buffer + (1 - dampening) * g
        p -= lr * (g + momentum * buffer if nesterov else buffer if momentum else g)
    return p


def adam(
    p, gradients, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, shrink=0.0
):
    m = v = largest = 0.0
    for t, g in enumerate(gradients, start=1):
        p = p * (1 - lr * shrink)
        g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        largest = max(largest, v) if amsgrad else v
        m_hat, v_hat = m / (1 - betas[0] ** t), largest / (1 - betas[1] ** t)
        p -= lr * m_hat / (math.sqrt(v_hat) + eps)
    return p


def adamw(p, gradients, weight_decay=1e-2, **options):
    return adam(p, gradients, shrink=weight_decay, **options)


def rmsprop(
    p, gradients, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=False
):
    v = m = buffer = 0.0
    for g in gradients:
        g = g + weight_decay * p
        v = alpha * v + (1 - alpha) * g * g
        m = alpha * m + (1 - alpha) * g
        u = g / (math.sqrt(v - m * m if centered else v) + eps)
        buffer = momentum * buffer + u
        p -= lr * buffer
    return p


FORMULAS = {SGD: sgd, Adam: adam, AdamW: adamw, RMSprop: rmsprop}


@all_cases
def test_equals_formula_for_one_number(kind, options):
    parameter, gradients = make_problem("float64")
    pairs = zip(parameter.ravel().tolist(), gradients.reshape(STEPS, -1).T.tolist(), strict=True)
    want = np.array([FORMULAS[kind](p, g, **options) for p, g in pairs]).reshape(parameter.shape)

    optimizer = kind(parameter, **options)
    for gradient in gradients:
        optimizer.step(gradient)

    assert_close(parameter, want, optimizer_tolerance("float64", STEPS, magnitude(options)))


@pytest.mark.peers
@needs_torch
@every("dtype", DTYPES)
@all_cases
def test_equals_pytorch(kind, options, dtype):
    import torch

    parameter, gradients = make_problem(dtype)
    theirs = torch.from_numpy(parameter.copy()).requires_grad_()
    their_optimizer = getattr(torch.optim, kind.__name__)([theirs], **options)
    optimizer = kind(parameter, **options)

    for gradient in gradients:
        theirs.grad = torch.from_numpy(gradient.copy())
        their_optimizer.step()
        optimizer.step(gradient)

    tolerance = optimizer_tolerance(dtype, STEPS, magnitude(options))
    assert_close(parameter, theirs.detach().numpy(), tolerance)


@all_kinds
def test_layers_dicts_arrays_and_lists_are_updated_alike(kind):
    weight, gradients = make_problem("float32")
    linear = Linear(3, 4, bias=False)
    linear.weight = weight
    named, array = {"a": weight.copy()}, weight.copy()
    want = weight.copy()

    optimizer, alone = kind([linear, named, array], lr=0.1), kind(want, lr=0.1)
    for g in gradients:
        optimizer.step([Gradients(None, None, {"weight": g}), {"a": g}, g])
        alone.step(g)

    np.testing.assert_array_equal(linear.weight, want)
    np.testing.assert_array_equal(named["a"], want)
    np.testing.assert_array_equal(array, want)


@all_kinds
@every("shape", [(), (0, 3), (1,), (2**14,), (2**14 + 1,), (3, 2**14 - 5)])
def test_every_element_is_updated_whatever_the_size(kind, shape):
    parameter, other = np.ones(shape), np.ones(1)

    optimizer = kind([parameter, other], lr=0.1)
    for _ in range(2):
        optimizer.step([np.full(shape, 0.7), np.full(1, 0.7)])

    np.testing.assert_array_equal(parameter, np.full(shape, other[0]))


@all_kinds
def test_strides_make_no_difference(kind):
    parameter, gradients = make_problem("float64")
    strided = np.zeros((6, 8))[::-2, ::2].T
    strided[...] = parameter

    dense_optimizer, strided_optimizer = kind(parameter), kind(strided)
    for gradient in gradients:
        dense_optimizer.step(gradient)
        strided_optimizer.step(np.asfortranarray(gradient))

    np.testing.assert_array_equal(strided, parameter)


@all_kinds
def test_gradients_are_not_written(kind):
    parameter, gradients = make_problem("float64")
    before = gradients.copy()

    kind(parameter, weight_decay=0.1).step(gradients[0])

    np.testing.assert_array_equal(gradients, before)


def test_module_learns_that_it_changed():
    linear = Linear(3, 4, seed=0)
    tape = linear.record(np.ones((2, 3), "float32"))
    grads = tape.backward(np.ones((2, 4), "float32"))

    SGD(linear).step(grads)

    with pytest.raises(ValueError, match="changed after record"):
        tape.backward(np.ones((2, 4), "float32"))


def test_learning_rate_can_be_assigned():
    parameter = np.array([1.0])
    optimizer = SGD(parameter, lr=0.5)

    optimizer.lr *= 0.5
    optimizer.step(np.array([1.0]))

    assert optimizer.lr == 0.25
    assert parameter[0] == 0.75


@pytest.mark.thread_unsafe(reason="traces what the whole process allocates")
def test_step_needs_no_temporary_of_the_parameters_size():
    parameter, gradient = np.ones(1_000_000, "float32"), np.ones(1_000_000, "float32")
    optimizer = Adam(parameter, weight_decay=0.1, amsgrad=True)

    tracemalloc.start()
    optimizer.step(gradient)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < parameter.nbytes // 50


@all_cases
def test_gradient_that_is_not_finite_is_silent(kind, options):
    parameter = np.array([1.0, 1.0, 1.0])

    kind(parameter, **options).step(np.array([np.nan, np.inf, 1e300]))

    assert np.isnan(parameter[0])


def test_centered_rmsprop_survives_a_constant_gradient():
    parameter = np.zeros(100, "float32")
    optimizer = RMSprop(parameter, centered=True, alpha=0.5)

    for _ in range(100):
        optimizer.step(np.linspace(0.1, 7.0, 100, dtype="float32"))

    assert not np.isnan(parameter).any()


# State.


@all_cases
def test_state_dict_continues_with_the_same_bits(kind, options):
    first, gradients = make_problem("float32")
    second = first.copy()
    optimizer, other = kind({"w": first}, **options), kind({"w": second}, **options)
    for gradient in gradients[:2]:
        optimizer.step({"w": gradient})
    second[...] = first

    other.load_state_dict(optimizer.state_dict())
    for gradient in gradients[2:]:
        optimizer.step({"w": gradient})
        other.step({"w": gradient})

    np.testing.assert_array_equal(second, first)


def test_state_dict_is_a_snapshot():
    parameter, gradients = make_problem("float64")
    optimizer = Adam([parameter], lr=0.5)

    saved = optimizer.state_dict()
    optimizer.step([gradients[0]])

    assert saved["step"] == 0
    assert saved["lr"] == 0.5
    np.testing.assert_array_equal(saved["state"]["0"]["exp_avg"], 0.0)


def test_pickled_optimizer_continues_with_its_own_layer():
    linear = Linear(3, 4, seed=0)
    gradients = {"weight": np.ones((4, 3), "float32"), "bias": np.ones(4, "float32")}
    optimizer = Adam(linear)
    optimizer.step(gradients)

    copy = pickle.loads(pickle.dumps(optimizer))
    copy.step(gradients)
    optimizer.step(gradients)

    np.testing.assert_array_equal(copy._owners[0].weight, linear.weight)
    assert copy._owners[0] is not linear


@every(
    "change, error, message",
    [
        ({"kind": "SGD"}, ValueError, "kind: expected 'Adam', got 'SGD'"),
        ({"betas": (0.5, 0.9)}, ValueError, r"betas: expected \(0.9, 0.999\), got \(0.5, 0.9\)"),
        ({"betas": np.ones((2, 2))}, ValueError, r"betas: expected \(0.9, 0.999\), got array"),
        ({"step": -1}, ValueError, "step: expected an integer >= 0, got -1"),
        ({"lr": "fast"}, TypeError, "lr: expected a number"),
        ({"state": {}}, ValueError, r"state\['state'\]: expected the names \['array'\], got \[\]"),
        ({"extra": 1}, ValueError, "state: expected the names"),
        ({"state": {"array": {"exp_avg": np.ones(2)}}}, ValueError, "array: expected the names"),
        (
            {"state": {"array": {"exp_avg": np.ones(2), "exp_avg_sq": np.ones(3)}}},
            ValueError,
            r"array.exp_avg_sq: expected shape \(2,\), got \(3,\)",
        ),
    ],
)
def test_bad_state_is_named_and_changes_nothing(change, error, message):
    optimizer = Adam(np.ones(2), lr=0.5)
    before = optimizer.state_dict()

    with pytest.raises(error, match=message):
        optimizer.load_state_dict({**before, "lr": 0.1, **change})

    assert str(optimizer.state_dict()) == str(before)


# Errors.


@every(
    "grads, error, message",
    [
        ([np.ones(2)], ValueError, "grads: expected a list of 2, one for each of layers, got 1"),
        (
            np.ones(2),
            ValueError,
            "grads: expected a list of 2, one for each of layers, got ndarray",
        ),
        ([np.ones(2), {"w": np.ones(4)}], ValueError, r"grads\[1\]\['w'\]: expected shape \(3,\)"),
        ([np.ones(2), {"v": np.ones(3)}], ValueError, r"grads\[1\]: expected the names \['w'\]"),
        ([np.ones(2), {}], ValueError, r"grads\[1\]: expected the names \['w'\], got \[\]"),
        ([np.ones(2), np.ones(3)], TypeError, r"grads\[1\]: expected Gradients or a dict"),
        ([np.ones(2), {"w": np.ones(3, "f4")}], TypeError, r"grads\[1\]\['w'\]: .* got float32"),
        (
            [None, {"w": np.ones(3)}],
            TypeError,
            r"grads\[0\]: expected an array of float64, got None",
        ),
    ],
)
def test_gradients_that_do_not_fit_are_named_and_nothing_changes(grads, error, message):
    array, named = np.ones(2), {"w": np.ones(3)}
    optimizer = Adam([array, named])

    with pytest.raises(error, match=message):
        optimizer.step(grads)

    np.testing.assert_array_equal(array, 1.0)
    np.testing.assert_array_equal(named["w"], 1.0)
    assert optimizer.state_dict()["step"] == 0


def test_array_exchanged_for_another_shape_is_named():
    named = {"w": np.ones(3)}
    optimizer = SGD(named)
    named["w"] = np.ones(4)

    with pytest.raises(ValueError, match=r"layers\['w'\]: expected shape \(3,\), got \(4,\)"):
        optimizer.step({"w": np.ones(3)})


def read_only():
    array = np.ones(2)
    array.flags.writeable = False
    return array


@every(
    "layers, error, message",
    [
        (np.ones(2, "int64"), TypeError, "layers: expected dtype float32 or float64, got int64"),
        ([1.0], TypeError, r"layers\[0\]: expected a layer, a module, a float array"),
        ({"w": [1.0]}, TypeError, r"layers\['w'\]: expected .* got list"),
        (np.ones(2, ">f8"), TypeError, "layers: expected native byte order, got >f8"),
        (np.ma.masked_array([1.0]), TypeError, "got a masked array"),
        ([np.ones(1), read_only()], ValueError, r"layers\[1\]: expected a writable array"),
        (Linear(2, 2).parameters(), ValueError, r"layers\['weight'\]: expected a writable array"),
    ],
)
def test_what_cannot_be_trained_is_named(layers, error, message):
    with pytest.raises(error, match=message):
        SGD(layers)


@every("kind", [SGD, Adam, AdamW, RMSprop])
def test_copies_of_a_layers_parameters_are_not_trained(kind):
    layer, stack = sr.GRU(2, 3, seed=0), sr.Stack([sr.GRU(2, 3, seed=0)])
    for owner in (layer, stack, sr.GRUCell(2, 3, seed=0), sr.Linear(2, 3, seed=0)):
        state = owner.state_dict()
        first = next(iter(state.values()))
        for layers in (state, [state], dict(state), first, [first[:1]], [owner, state]):
            with pytest.raises(TypeError, match="expected the layer itself, got its state_dict"):
                kind(layers)
        with pytest.raises(ValueError, match="to train a layer pass the layer, not its param"):
            kind(owner.parameters())
        assert all(type(array) is np.ndarray for array in state.values())
        own = {name: array.copy() for name, array in state.items()}  # a user's own are
        kind(own, lr=0.5).step({name: np.ones_like(array) for name, array in own.items()})
        assert not any(np.array_equal(own[name], state[name]) for name in own)


def test_gradients_are_clipped_not_parameters():
    layer = sr.GRU(2, 3, seed=0)
    for clip in (sr.clip_grad_norm_, sr.clip_grad_value_):
        with pytest.raises(TypeError, match="expected gradients, got copies of parameters"):
            clip(layer.state_dict(), 1.0)
        with pytest.raises(ValueError, match=r"pass what backward returned, not parameters\(\)"):
            clip(layer.parameters(), 1.0)


@every("value", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_is_refused_where_asked_for(value):
    weights = [np.ones(3), {"a": np.ones((2, 2))}]
    optimizer = Adam(weights, lr=0.1)
    grads = [np.ones(3), {"a": np.full((2, 2), value)}]

    with pytest.raises(ValueError, match="grads: expected a finite norm, got"):
        optimizer.step(grads, max_norm=1.0, error_if_nonfinite=True)
    assert (weights[0] == 1).all()
    assert optimizer.state_dict()["step"] == 0
    with pytest.raises(ValueError, match="error_if_nonfinite: expected max_norm= with it"):
        optimizer.step(grads, error_if_nonfinite=True)
    with pytest.raises(TypeError, match="error_if_nonfinite: expected True or False, got 1"):
        optimizer.step(grads, max_norm=1.0, error_if_nonfinite=1)

    assert optimizer.step([np.ones(3), {"a": np.ones((2, 2))}], max_norm=1.0) == 7**0.5
    optimizer.step([np.ones(3), {"a": np.ones((2, 2))}], max_norm=1.0, error_if_nonfinite=True)
    assert optimizer.state_dict()["step"] == 2


def test_nothing_may_be_listed_twice():
    embedding, array = Embedding(3, 2), np.ones(2)

    with pytest.raises(ValueError, match="each layer and array once"):
        SGD([embedding, embedding])
    with pytest.raises(ValueError, match="each layer and array once"):
        SGD([array, {"w": array}])
    layer = sr.GRU(2, 3)
    model = sr.Model(rnn=sr.Stack([layer]), head=sr.Linear(3, 2))
    for twice in ([model, layer], [model.head, model], [sr.Stack([layer]), layer]):
        with pytest.raises(
            ValueError, match=r"once, got one twice: layers\[1\].* is in layers\[0\]"
        ):
            SGD(twice)


@every(
    "kind, options, message",
    [
        (SGD, {"lr": -1.0}, r"lr: expected a number in \[0, inf\), got -1.0"),
        (SGD, {"lr": math.nan}, "lr: expected"),
        (SGD, {"momentum": -0.1}, "momentum: expected"),
        (SGD, {"weight_decay": math.inf}, "weight_decay: expected"),
        (SGD, {"nesterov": True}, r"nesterov: expected momentum > 0 and dampening = 0"),
        (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov: expected"),
        (Adam, {"betas": (0.9, 1.0)}, r"betas\[1\]: expected a number in \[0, 1\), got 1.0"),
        (Adam, {"eps": -1e-8}, "eps: expected"),
        (AdamW, {"betas": (-0.1, 0.9)}, r"betas\[0\]: expected"),
        (RMSprop, {"alpha": 1.1}, r"alpha: expected a number in \[0, 1\], got 1.1"),
    ],
)
def test_option_out_of_range_is_named(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(np.ones(2), **options)


@every(
    "kind, options, message",
    [
        (SGD, {"lr": "0.1"}, "lr: expected a number"),
        (SGD, {"nesterov": 1}, "nesterov: expected True or False"),
        (Adam, {"betas": 0.9}, "betas: expected a pair of numbers, got 0.9"),
        (RMSprop, {"centered": None}, "centered: expected True or False"),
    ],
)
def test_option_of_the_wrong_type_is_named(kind, options, message):
    with pytest.raises(TypeError, match=message):
        kind(np.ones(2), **options)


def test_repr_shows_every_option():
    assert repr(SGD(np.ones(1), lr=0.5, momentum=0.9)) == (
        "SGD(lr=0.5, momentum=0.9, dampening=0.0, weight_decay=0.0, nesterov=False)"
    )
