"""LSTM with a projection: what layers, gradients and tools around it make of h's other width."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    PATTERNS,
    as_tuple,
    assert_close,
    assert_same_bits,
    difference_step,
    difference_tolerance,
    make_layer,
    make_problem,
    results,
    tolerance,
)
from helpers_loops import every, in_turn
from simdrnn import reference
from simdrnn.layers.tape import recording_of

I, H, P = 4, 7, 3  # noqa: E741

GRADCHECKS = {
    "plain": {},
    "zoneout": {"zoneout": (0.3, 0.2)},
    "proj-clip": {"proj_clip": 0.15},
    "zoneout-clips": {"zoneout": 0.3, "proj_clip": 0.2, "cell_clip": 0.4},
    "dropouts": {"recurrent_dropout": 0.4, "candidate_dropout": 0.2, "input_dropout": 0.2},
    "coupled": {"coupled_input_forget": True},
    "peephole": {"peephole": True, "proj_clip": 0.3, "zoneout": (0.0, 0.3)},
    "stack": {"num_layers": 2, "bidirectional": True, "dropout": 0.3, "bias": False},
    "learned": {"learn_initial_state": True, "num_layers": 2},
    "sum": {"bidirectional": True, "merge": "sum", "num_layers": 2, "residual": True},
    "mul": {"bidirectional": True, "merge": "mul", "learn_initial_state": True},
    "none": {"bidirectional": True, "merge": "none"},
    "reverse": {"reverse": True, "keep_order": False, "zoneout": 0.2},
}


def lstm(module, **kwargs):
    return module.LSTM(I, H, proj_size=P, seed=1, dtype="float64", **kwargs)


# -- gradients -------------------------------------------------------------------------------------


@every(*in_turn({"name": [*GRADCHECKS], "engine": [reference, sr], "call": ["hold", "reset"]}))
def test_gradients_are_finite_differences(engine, name, call):
    patterns = {
        "hold": {"lengths": "random", "mask": "random", "masked_output": "hold"},
        "reset": {"reset": "random", "reset_state": "random", "mask": "random"},
    }
    state = None if "learn_initial_state" in GRADCHECKS[name] and call == "hold" else "random"

    report = sr.gradcheck(
        lstm(engine, **GRADCHECKS[name]), 4, 3, entries=6, state=state, **patterns[call]
    )

    assert report.ok
    assert report.tensors["weight_hr_l0"].compared > 0


def test_inference_differs_by_the_mean_of_zoneout(engine):
    assert sr.gradcheck(lstm(engine, zoneout=(0.3, 0.2)), 4, 2, training=False).ok


@every("pattern", PATTERNS)
@every("name", ["plain", "zoneout-clips", "peephole"])
def test_traces_are_p_wide_where_h_is(pattern, name):
    problems = [
        make_problem(
            module, "lstm", rng=np.random.default_rng(0), T=6, B=4, I=I, H=H, proj_size=P,
            pattern=pattern, step_grad_clip=0.3, num_layers=2, **GRADCHECKS[name],
        )
        for module in (sr, reference)
    ]  # fmt: skip
    found = []
    for problem in problems:
        tape = problem.record()
        traces = [np.full((6, 4, P + H + P), np.nan) for _ in range(2)]
        recording_of(tape).backward(problem.d_output, problem.d_state, None, traces)
        found.append(tuple(traces))

    for ours, twin in zip(*found, strict=True):
        np.testing.assert_array_equal(np.isnan(ours), np.isnan(twin))
        allowed = 2 * tolerance("float64", 24, 4 * H)
        assert_close(np.nan_to_num(ours), np.nan_to_num(twin), allowed)
        arriving = np.nan_to_num(ours[..., -P:])
        assert np.abs(arriving).max() > 0.3  # not yet clipped


def test_a_trace_of_another_width_is_refused():
    tape = lstm(sr).record(np.zeros((2, 1, I)))

    with pytest.raises(ValueError, match="trace"):
        recording_of(tape).backward(None, None, None, [np.zeros((2, 1, 3 * H))])


# -- states ----------------------------------------------------------------------------------------


@every("name", ["plain", "stack", "zoneout", "learned", "sum", "reverse"])
@every("pattern", PATTERNS)
def test_states_over_time_are_those_of_both_engines(name, pattern):
    found = []
    for module in (sr, reference):
        options = {k: v for k, v in GRADCHECKS[name].items() if k != "dropout"}
        layer = lstm(module, **options)
        problem = make_problem(
            module, "lstm", rng=np.random.default_rng(0), T=6, B=4, I=I, pattern=pattern
        )
        output, state, states = layer(problem.x, return_all_states=True, **problem.call)
        found.append((output, as_tuple(state), states, layer.last_output(state)
                      if not layer.structure.residual else output))  # fmt: skip
    rows = found[0][1][0].shape[0]
    assert [np.shape(one) for one in found[0][2]] == [(6, rows, 4, P), (6, rows, 4, H)]

    assert_close(found[0], found[1], 2 * tolerance("float64", 24, 4 * H))


def test_learned_states_have_the_widths_of_their_states(engine):
    layer = lstm(engine, learn_initial_state=True, bidirectional=True)

    shapes = {name: value.shape for name, value in layer.parameters().items() if "_0_" in name}

    assert shapes == {
        "h_0_l0": (P,), "h_0_l0_reverse": (P,), "c_0_l0": (H,), "c_0_l0_reverse": (H,),
    }  # fmt: skip


@every("batch_first", [False, True])
@every("engine")
def test_layouts(engine, batch_first, rng):
    layer, plain = (lstm(engine, batch_first=first) for first in (batch_first, False))
    x = rng.standard_normal((5, 2, I))
    want, (h, c) = plain(x)

    output, state = layer(x.swapaxes(0, 1) if batch_first else x)
    alone, (alone_h, alone_c) = layer(x[:, 1], (np.zeros((1, P)), np.zeros((1, H))))

    allowed = tolerance("float64", 10, H)  # NumPy sums rows of another batch in another order
    assert_close(output.swapaxes(0, 1) if batch_first else output, want, allowed)
    assert_close(state, (h, c), allowed)
    assert_close((alone, alone_h, alone_c), (want[:, 1], h[:, 1], c[:, 1]), allowed)


def test_chunked_training_passes_both_states_on(engine, rng):
    layer, x = lstm(engine, num_layers=2), rng.standard_normal((9, 3, I))
    reset = rng.random((9, 3)) < 0.2
    whole = layer.record(x, reset=reset)
    want = whole.backward(np.ones_like(whole.output))

    chunks = list(sr.tbptt(layer, x, 4, reset=reset))
    total = {name: np.zeros_like(value) for name, value in layer.parameters().items()}
    d_state = None
    for chunk in reversed(chunks):
        grads = chunk.tape.backward(np.ones_like(chunk.tape.output), d_state)
        d_state = grads.state
        for name, value in grads.params.items():
            total[name] += value

    assert_close(total, want.params, 2 * tolerance("float64", 36, 27))


# -- parameters ------------------------------------------------------------------------------------


def test_names_order_and_shapes_are_pytorchs(engine):
    layer = make_layer(engine, "lstm_peephole", I, H, num_layers=2, bidirectional=True, proj_size=P)

    shapes = {name: value.shape for name, value in layer.parameters().items()}

    of_one = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
    own = ["weight_ci", "weight_cf", "weight_co"]
    ends = ["_l0", "_l0_reverse", "_l1", "_l1_reverse"]
    assert list(shapes) == [name + end for end in ends for name in of_one + own]
    assert shapes["weight_hh_l1_reverse"] == (4 * H, P)
    assert shapes["weight_hr_l1_reverse"] == (P, H)
    assert (shapes["weight_ih_l0"], shapes["weight_ih_l1"]) == ((4 * H, I), (4 * H, 2 * P))


@pytest.mark.parametrize("initializer", ["uniform", "glorot", "orthogonal"])
def test_initial_weights(initializer):
    ours, twin = (
        module.LSTM(30, 60, proj_size=20, seed=0, dtype="float64", initializer=initializer)
        for module in (sr, reference)
    )

    weight, recurrent = ours.weight_hr_l0, ours.weight_hh_l0.reshape(4, 60, 20)
    bound = 1 / np.sqrt(60) if initializer == "uniform" else np.sqrt(6 / (60 + 20))
    assert_same_bits(ours.state_dict(), twin.state_dict())
    assert 0.95 * bound < np.abs(weight).max() <= bound
    if initializer == "orthogonal":
        np.testing.assert_allclose(
            recurrent.swapaxes(1, 2) @ recurrent, np.tile(np.eye(20), (4, 1, 1)), atol=1e-13
        )


def test_initialisers_of_projections(engine):
    layer, other = (
        sr.init.apply(lstm(engine), weight_hr=one, weight_hh=sr.init.glorot_uniform(), seed=0)
        for one in (sr.init.orthogonal(gain=2.0), sr.init.uniform())
    )

    product = layer.weight_hr_l0 @ layer.weight_hr_l0.T

    np.testing.assert_allclose(product, 4 * np.eye(P), atol=1e-14)
    assert_same_bits(layer.weight_hh_l0, other.weight_hh_l0)
    assert np.abs(other.weight_hr_l0).max() <= 1 / np.sqrt(H)
    with pytest.raises(ValueError, match="weight_hr: expected a layer with proj_size"):
        sr.init.apply(engine.LSTM(I, H), weight_hr=sr.init.zeros())
    with pytest.raises(ValueError, match="weight_hh: expected square matrices, got"):
        sr.init.apply(layer, weight_hh=sr.init.spectral_radius(0.9))


def test_regularizers_take_a_projection_as_one_matrix(engine):
    layer = lstm(engine)
    weight = layer.weight_hr_l0.copy()

    penalty = sr.regularizers.orthogonality(layer, 1.0, "weight_hr*")
    decay = sr.regularizers.l2(layer, 0.5)
    count = sr.regularizers.max_norm_(layer, 0.1, "weight_hr*", per="unit")

    excess = weight @ weight.T - np.eye(P)
    np.testing.assert_allclose(penalty.value, np.square(excess).sum(), rtol=1e-13)
    assert_same_bits(decay.params["weight_hr_l0"], weight)
    assert count == P
    norms = np.linalg.norm(layer.weight_hr_l0, axis=1)
    np.testing.assert_allclose(norms, np.full(P, 0.1), rtol=1e-14)


def test_copies_and_their_text(engine):
    layer = lstm(engine, proj_clip=0.5)
    text = f"LSTM({I}, {H}, proj_size={P}, dtype='float64', proj_clip=0.5)"
    text = text if engine is sr else text.replace(", dtype='float64'", ", dtype='float64'")

    found = pickle.loads(pickle.dumps(layer))

    assert repr(layer) == repr(found) == text
    assert (layer.proj_size, engine.LSTM(I, H).proj_size) == (P, 0)
    x = np.ones((3, 2, I))
    assert_same_bits(found(x), copy.deepcopy(layer)(x))
    assert layer.num_parameters == 4 * H * (I + P + 2) + P * H
    with pytest.raises(AttributeError, match="proj_size: fixed when the LSTM was made"):
        layer.proj_size = 2


@every("kind, proj_size", [("GRU", 2), ("RNN", 0), ("MGU", 1), ("LSTMCell", 2), ("GRUCell", 2)])
@every("engine")
def test_other_kinds_say_whose_projections_are(engine, kind, proj_size):
    message = f"proj_size: expected the layer LSTM, which alone has projections, got {proj_size}"

    with pytest.raises(ValueError, match=message):
        getattr(engine, kind)(3, 4, proj_size=proj_size)
    with pytest.raises(ValueError, match="proj_clip: expected an LSTM with proj_size > 0"):
        getattr(engine, kind)(3, 4, proj_clip=1.0)


@every(
    "call, message",
    [
        (lambda layer, x: layer(x, (np.zeros((1, 2, H)), np.zeros((1, 2, H)))), "state[0]: expect"
         "ed shape (L*D, B, P) = (1, 2, 3), got (1, 2, 7)"),
        (lambda layer, x: layer(x, (np.zeros((1, 2, P)), np.zeros((1, 2, P)))), "state[1]: expect"
         "ed shape (L*D, B, H) = (1, 2, 7), got (1, 2, 3)"),
        (lambda layer, x: layer(x, out=np.zeros((5, 2, H))), "out: expected shape (T, B, D*P) = "),
        (lambda layer, x: layer.record(x).backward(np.zeros((5, 2, H))), "d_output: expected shap"
         "e (T, B, D*P) = (5, 2, 3)"),
        (lambda layer, x: setattr(layer, "weight_hr_l0", np.zeros((H, P))), "weight_hr_l0: expect"
         "ed shape (P, H) = (3, 7), got (7, 3)"),
        (lambda layer, x: setattr(layer, "weight_hh_l0", np.zeros((4 * H, H))), "weight_hh_l0: e"
         "xpected shape (4*H, P) = (28, 3), got (28, 7)"),
    ],
)  # fmt: skip
@every("engine")
def test_what_does_not_fit_is_told_in_its_letters(engine, call, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011
        call(lstm(engine), np.zeros((5, 2, I)))

    assert str(error.value).startswith(message)


def test_changing_the_projection_makes_tapes_stale(engine):
    layer, x = lstm(engine), np.ones((3, 2, I))
    tape, before = layer.record(x), layer(x)[0]

    layer.weight_hr_l0 = 2 * layer.weight_hr_l0

    assert not np.array_equal(layer(x)[0], before)
    with pytest.raises(ValueError, match="backward: expected the parameters that were recorded"):
        tape.backward()


# -- tools -----------------------------------------------------------------------------------------


def test_jacobians_of_a_diagnosis_are_over_p_and_h(engine, rng):
    layer = lstm(engine, zoneout=(0.2, 0.1), proj_clip=5.0)
    x, state = rng.standard_normal((4, 1, I)), np.zeros(P + H)
    tape = layer.record(x, training=False)

    found = sr.diagnose(tape, steps=4).layers[0]

    def step(t, state):
        h, c = (part.reshape(1, 1, -1) for part in np.split(state, [P]))
        return np.concatenate([np.ravel(member) for member in layer(x[t : t + 1], (h, c))[1]])

    width = difference_step()
    for t in range(4):
        moved = [
            (step(t, state + width * unit) - step(t, state - width * unit)) / (2 * width)
            for unit in np.eye(P + H)
        ]
        radius = np.abs(np.linalg.eigvals(np.stack(moved))).max()
        assert abs(found.jacobian_radius[t, 0] - radius) < difference_tolerance(P + H)
        state = step(t, state)
    projected = layer.weight_hr_l0 @ layer.weight_hh_l0.reshape(4, H, P)
    radii = np.abs(np.linalg.eigvals(projected)).max(axis=1)
    np.testing.assert_allclose(list(found.recurrent_radius.values()), radii, rtol=1e-12)


def test_a_diagnosis_counts_what_the_clip_reached():
    tape = lstm(sr, proj_clip=0.05, bidirectional=True).record(np.ones((6, 3, I)))

    found = sr.diagnose(tape)

    for direction, layer in enumerate(found.layers):
        h = tape.output[..., direction * P : (direction + 1) * P]
        np.testing.assert_allclose(
            layer.clips["proj_clip"], (np.abs(h) >= 0.05).mean(axis=(1, 2)), rtol=1e-15
        )
        assert layer.clips["proj_clip"].max() > 0
        assert layer.gradient["h"].shape == layer.gradient["c"].shape == (6, 3)


def test_a_diagnosis_proposes_what_a_projected_layer_has():
    layer = lstm(sr)
    layer.bias_ih_l0 = np.full(4 * H, 3.0)  # the cell's h is positive
    layer.weight_hr_l0 = np.full((P, H), 1e308)

    found = sr.diagnose(layer.record(np.ones((6, 3, I))))

    assert any("gate_clip or proj_clip" in text for text in found.suggestions)
    assert not any("hidden_clip" in text for text in found.suggestions)


@pytest.mark.parametrize("every", [None, 3])
def test_memory_is_counted(every):
    layer = sr.LSTM(20, 40, num_layers=2, bidirectional=True, proj_size=9, dtype="float64", seed=0)
    tape = layer.record(np.zeros((30, 5, 20)), checkpoint_every=every)

    kept = 30 * 5 * 2 * 2 * 9 + (4 * 30 * 5 * 5 * 40 if every is None else 4 * 9 * 5 * 40)
    assert tape.nbytes == 8 * kept
    assert tape.peak_nbytes == tape.nbytes + layer.workspace_bytes(30, 5, checkpoint_every=every)


def test_a_budget_finds_the_spacing_of_least_memory():
    layer = sr.LSTM(20, 40, proj_size=9, seed=0)
    x = np.random.default_rng(0).standard_normal((600, 3, 20)).astype("float32")
    full = layer.record(x)
    budget = full.peak_nbytes // 2

    less = layer.record(x, memory_budget=budget)

    assert less.peak_nbytes <= budget
    d_output = np.ones_like(full.output)
    assert_same_bits(less.backward(d_output).params, full.backward(d_output).params)


def test_stacks_of_layers_take_the_width_of_the_projection(engine):
    layers = [engine.LSTM(I, H, proj_size=I, dtype="float64", seed=0),
              engine.GRU(I, 4, dtype="float64", seed=1)]  # fmt: skip

    assert sr.gradcheck(sr.Stack(layers, skip="residual"), 4, 2, entries=8).ok


def test_one_row_of_zeros_has_a_gradient_of_zero_steps(engine):
    problem = make_problem(
        engine, "lstm", rng=np.random.default_rng(0), T=0, B=2, I=I, H=H, proj_size=P
    )
    found = results(problem)

    assert not found["d_params"]["weight_hr_l0"].any()
    assert_same_bits(found["d_state"], problem.d_state)
