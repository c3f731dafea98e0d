"""A model of named parts: calls, gradients, names, and what is trained of it."""

from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every

V, E, H, T, B = 7, 3, 4, 5, 3
TOKENS = np.random.default_rng(3).integers(0, V, (T, B))
LENGTHS = np.array([5, 2, 4])


def tagger(dtype="float64", **options):
    """Embedding, two recurrent parts, head: an output at every step."""
    return sr.Model(
        embedding=sr.Embedding(V, E, dtype=dtype, seed=0),
        lower=sr.GRU(E, H, dtype=dtype, seed=1, **options),
        upper=sr.LSTM(H, H, dtype=dtype, seed=2, **options),
        head=sr.Linear(H, V, dtype=dtype, seed=3),
    )


def classifier(kind, rnn=None, dtype="float64"):
    rnn = sr.LSTM(E, H, bidirectional=True, dtype=dtype, seed=1) if rnn is None else rnn
    size = {"LSTM": 2 * H, "GRU": H, "Stack": H}[type(rnn).__name__]
    return sr.Model(
        embedding=sr.Embedding(V, E, dtype=dtype, seed=0), rnn=rnn,
        pooling=sr.Pooling(kind, dtype=dtype), head=sr.Linear(size, 2, dtype=dtype, seed=3),
    )  # fmt: skip


def numeric(model, name, value, step=1e-6):
    """Return dvalue/dparameter by central differences."""
    array = np.array(model.parameters()[name])
    found = np.empty_like(array)
    for index in np.ndindex(array.shape):
        sides = []
        for sign in (1.0, -1.0):
            changed = array.copy()
            changed[index] += sign * step
            model.load_state_dict({name: changed}, strict=False)
            sides.append(value())
        found[index] = (sides[0] - sides[1]) / (2 * step)
    model.load_state_dict({name: array}, strict=False)
    return found


def check_gradients(model, call, names=None):
    """Compare the gradients of a weighted sum of outputs with finite differences."""
    tape = call()
    weights = np.random.default_rng(0).standard_normal(tape.output.shape)
    grads = tape.backward(weights)
    for name in names or model.parameters():
        wanted = numeric(model, name, lambda: float((call().output * weights).sum()))
        np.testing.assert_allclose(grads.params[name], wanted, rtol=1e-6, atol=1e-8, err_msg=name)


def test_a_chain_is_its_parts_one_after_the_other():
    model = tagger()
    output, state = model(TOKENS, lengths=LENGTHS)

    x = model.embedding(TOKENS)
    below, lower = model.lower(x, lengths=LENGTHS)
    above, upper = model.upper(below, lengths=LENGTHS)

    assert np.array_equal(output, model.head(above))
    assert np.array_equal(state[0], lower)
    assert all(map(np.array_equal, state[1], upper))
    tape = model.record(TOKENS, lengths=LENGTHS)
    assert np.array_equal(tape.output, output)
    assert np.array_equal(tape.mask, np.arange(T)[:, None] < LENGTHS)


def test_gradients_are_those_of_finite_differences():
    model = tagger()
    names = ["embedding.weight", "lower.weight_hh_l0", "upper.bias_ih_l0", "head.weight"]

    check_gradients(model, lambda: model.record(TOKENS, lengths=LENGTHS), names)


@every("kind", ["last", "mean", "max"])
def test_pooling_reads_real_steps_alone(kind):
    model = classifier(kind)
    mask = np.random.default_rng(1).random((T, B)) < 0.7
    call = {"lengths": LENGTHS, "mask": mask}

    check_gradients(
        model, lambda: model.record(TOKENS, **call), ["embedding.weight", "rnn.weight_hh_l0"]
    )
    output, _ = model(TOKENS, **call)
    assert np.array_equal(output, model.record(TOKENS, **call).output)
    x = model.embedding(TOKENS)
    for row in range(B):
        real = mask[: LENGTHS[row], row]
        steps, _ = model.rnn(x[: LENGTHS[row], row][real])
        pooled = {"mean": steps.mean(0), "max": steps.max(0),
                  "last": np.concatenate([steps[-1, :H], steps[0, H:]])}[kind]  # fmt: skip
        np.testing.assert_allclose(output[row], model.head(pooled), rtol=1e-12)


@every("kind", ["last", "mean", "max"])
@every("layout", ["batch_first", "unbatched", "residual", "stack"])
def test_pooling_in_every_layout(kind, layout):
    options = {"dtype": "float64", "seed": 1}
    rnn = sr.GRU(E, H, batch_first=layout == "batch_first", **options)
    if layout == "residual":
        rnn = sr.GRU(E, H, 2, residual=True, **options)
    elif layout == "stack":
        rnn = sr.Stack([sr.GRU(E, H, **options), sr.GRU(H, H, **options)], seed=0)
    model = classifier(kind, rnn)
    x, lengths = (TOKENS[:, 0], 4) if layout == "unbatched" else (TOKENS, LENGTHS)
    if layout == "batch_first":
        x = x.T
    call = {"lengths": lengths}

    assert np.array_equal(model(x, **call)[0], model.record(x, **call).output)
    check_gradients(model, lambda: model.record(x, **call), ["embedding.weight"])
    if layout == "batch_first":
        twin = classifier(kind, sr.GRU(E, H, **options))
        assert np.array_equal(twin(x.T, **call)[0], model(x, **call)[0])


def test_rows_without_steps_pool_to_zero():
    for kind in ("mean", "max"):
        model = classifier(kind)
        tape = model.record(TOKENS, lengths=[0, 0, 0])
        assert np.array_equal(tape.output, np.broadcast_to(model.head.bias, (B, 2)))
        assert not tape.backward(np.ones((B, 2))).params["rnn.weight_hh_l0"].any()


def test_states_are_handed_on_and_back():
    model = tagger()
    whole, end = model(TOKENS)
    first = model.record(TOKENS[:2])
    second = model.record(TOKENS[2:], first.state)

    assert np.array_equal(np.concatenate([first.output, second.output]), whole)
    assert np.array_equal(second.state[0], end[0])
    d_output = np.random.default_rng(0).standard_normal(whole.shape)
    behind = second.backward(d_output[2:])
    total = sr.accumulate([behind, first.backward(d_output[:2], behind.state)])
    once = model.record(TOKENS).backward(d_output)
    for name, gradient in once.params.items():
        np.testing.assert_allclose(total.params[name], gradient, rtol=1e-10, atol=1e-12)


def test_tied_parameters_have_the_sum_of_both_gradients():
    model = sr.Model(
        embedding=sr.Embedding(V, H, dtype="float64", seed=0),
        rnn=sr.GRU(H, H, dtype="float64", seed=1),
        head=sr.Linear(H, V, dtype="float64", seed=2),
    )
    model.tie("head.weight", "embedding.weight")

    assert "head.weight" not in model.parameters()
    check_gradients(model, lambda: model.record(TOKENS), ["embedding.weight", "head.bias"])
    optimizer = sr.optim.Adam(model, lr=0.1)
    tape = model.record(TOKENS)
    optimizer.step(tape.backward(np.ones_like(tape.output)))
    assert np.array_equal(model.head.weight, model.embedding.weight)
    assert list(optimizer.state_dict()["state"]).count("embedding.weight") == 1
    model.head.weight = np.ones((V, H))  # by either part
    assert (model.embedding(np.array([2])) == 1).all()
    np.testing.assert_allclose(model.head(np.ones(H)), H + model.head.bias, rtol=1e-12)


def test_three_parameters_that_are_tied_see_each_others_changes():
    parts = {name: sr.Linear(2, 2, seed=seed) for seed, name in enumerate("abc")}
    model = sr.Model(**parts)
    model.tie("b.weight", "a.weight")
    model.tie("c.weight", "a.weight")

    for seed, part in enumerate(parts.values()):
        value = np.full((2, 2), seed, "float32")
        part.weight = value
        for other in parts.values():
            shown = other(np.ones(2, "float32")) - other.bias
            np.testing.assert_allclose(shown, 2.0 * seed, atol=1e-6)


def test_copies_and_pickles_are_tied_and_frozen_as_the_model_is():
    model = sr.Model(embedding=sr.Embedding(V, H, seed=0), head=sr.Linear(H, V, seed=1))
    model.tie("head.weight", "embedding.weight")
    model.freeze("head.bias")

    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.frozen == {"head.bias"}
        twin.embedding.weight = np.zeros((V, H), "float32")
        assert not twin.head.weight.any()
        assert model.head.weight.any()
        assert np.array_equal(twin(np.array([1]))[0], twin.head.bias[None])


def test_parts_of_no_chain_are_used_one_by_one():
    model = sr.Model(encoder=sr.GRU(E, H, seed=0), decoder=sr.GRU(E, H, seed=1))
    x = np.ones((T, B, E), "float32")
    with pytest.raises(ValueError, match="decoder takes vectors of 3, and encoder makes 4"):
        model(x)

    decoded = model.decoder.record(x)
    grads = model.gradients(encoder=[model.encoder.record(x).backward()] * 2,
                            decoder=decoded.backward(decoded.output))  # fmt: skip
    assert set(grads.params) == set(model.parameters())
    with pytest.raises(ValueError, match=r"got none of \['encoder.weight_ih_l0'"):
        model.gradients(decoder=decoded.backward(decoded.output))
    model.freeze("encoder")
    assert set(model.gradients(decoder=grads.parts["decoder"]).params) == {
        f"decoder.{name}" for name in model.decoder.parameters()
    }
    with pytest.raises(ValueError, match="encoder: expected one of the parts decoder"):
        sr.Model(decoder=sr.GRU(E, H)).gradients(encoder=grads.parts["encoder"])
    with pytest.raises(ValueError, match="expected gradients of its parameters"):
        model.gradients(
            decoder=sr.Linear(2, 2).record(np.ones(2, "float32")).backward(np.ones(2, "float32"))
        )


def test_frozen_embeddings_make_no_gradient():
    model = tagger("float32")
    model.freeze("embedding", "head.bias")
    tape = model.record(TOKENS)

    grads = tape.backward(np.ones_like(tape.output))

    assert set(model.parameters()) - set(grads.params) == {"embedding.weight", "head.bias"}
    assert grads.parts["embedding"].params == {}
    model.trainable("embedding.*")
    assert "embedding.weight" in tape.backward(np.ones_like(tape.output)).params


def test_penalties_leave_out_what_is_frozen():
    model = tagger("float32")
    model.freeze("upper")
    tape = model.record(TOKENS)
    grads = tape.backward(np.zeros_like(tape.output))

    sr.regularizers.add_(grads, sr.regularizers.l2(model, 0.5, "*weight_hh*"))

    assert np.array_equal(grads.params["lower.weight_hh_l0"], model.lower.weight_hh_l0)
    before = model.state_dict()
    sr.regularizers.max_norm_(model, 0.01, "*weight_hh*")
    assert np.array_equal(before["upper.weight_hh_l0"], model.upper.weight_hh_l0)
    assert not np.array_equal(before["lower.weight_hh_l0"], model.lower.weight_hh_l0)


@every("kind", ["model", "stack"])
def test_penalties_of_gates_are_those_of_the_layer_alone(kind):
    layer = sr.GRU(H, H, dtype="float64", seed=0)
    owner, name = sr.Model(rnn=layer, head=sr.Linear(H, 2, dtype="float64")), "rnn.weight_hh_l0"
    if kind == "stack":
        owner, name = sr.Stack([layer], skip="highway", seed=0), "0.weight_hh_l0"

    found = sr.regularizers.orthogonality(owner, 0.1, name)

    wanted = sr.regularizers.orthogonality(layer, 0.1)
    assert found.value == wanted.value
    assert np.array_equal(found.params[name], wanted.params["weight_hh_l0"])
    twin = sr.GRU(H, H, dtype="float64", seed=0)
    sr.regularizers.max_norm_(owner, 0.3, name, per="unit")
    sr.regularizers.max_norm_(twin, 0.3, "weight_hh_l0", per="unit")
    assert np.array_equal(layer.weight_hh_l0, twin.weight_hh_l0)


def test_a_model_within_a_model():
    inner = sr.Model(embedding=sr.Embedding(V, E, seed=0), rnn=sr.GRU(E, H, seed=1))
    model = sr.Model(encoder=inner, head=sr.Linear(H, V, seed=2))
    inner.freeze("embedding")

    tape = model.record(TOKENS, lengths=LENGTHS)
    grads = tape.backward(np.ones_like(tape.output))

    assert model.frozen == {"encoder.embedding.weight"}
    assert "encoder.rnn.weight_hh_l0" in grads.params
    assert "encoder.embedding.weight" not in grads.params
    with pytest.raises(ValueError, match="a model within it did"):
        model.trainable("encoder")


def test_generation_takes_a_model():
    model = sr.Model(embedding=sr.Embedding(V, E, seed=0), rnn=sr.GRU(E, H, seed=1),
                     head=sr.Linear(H, V, seed=2))  # fmt: skip

    assert sr.generate(model, [1, 2], steps=4, seed=0).shape == (4,)


def test_dropout_draws_while_recording_for_training():
    model = sr.Model(
        rnn=sr.GRU(E, H, seed=0), drop=sr.Dropout(0.5, seed=1), head=sr.Linear(H, 2, seed=2)
    )
    x = np.ones((T, B, E), "float32")

    assert np.array_equal(model.record(x, training=False).output, model(x)[0])
    drawn = [model.record(x).tapes["drop"].output for _ in range(2)]
    assert ((drawn[0] == 0) != (drawn[1] == 0)).any()
    assert 0.2 < (drawn[0] == 0).mean() < 0.8
    tape = model.record(x)
    back = tape.tapes["drop"].backward(np.ones_like(drawn[0])).x
    assert np.array_equal(back == 0, tape.tapes["drop"].output == 0)
    assert set(np.unique(back)) == {0.0, 2.0}


def test_calls_never_see_half_of_an_update():
    model = sr.Model(
        a=sr.Linear(1, 1, bias=False, seed=0),
        b=sr.Linear(1, 1, bias=False, seed=1),
        c=sr.Stack([sr.RNN(1, 1, nonlinearity="relu", bias=False, seed=2)]),
    )
    fixed = {"c.0.weight_hh_l0": np.zeros((1, 1), "float32")}
    names = ("a.weight", "b.weight", "c.0.weight_ih_l0")
    values = [
        {name: np.full((1, 1), one, "float32") for name, one in zip(names, product, strict=True)}
        | fixed
        for product in ((2, 8, 1), (4, 1, 4), (16, 0.5, 2))
    ]
    model.load_state_dict(values[0])
    x = np.ones((1, 1, 1), "float32")
    seen, ends = set(), threading.Event()

    def write():
        while not ends.is_set():
            for value in values:
                model.load_state_dict(value)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(300):
            seen.add(float(model(x)[0][0, 0, 0]))
            seen.add(float(model.record(x).output[0, 0, 0]))
    finally:
        ends.set()
        writer.join()

    assert seen == {16.0}


LINEAR, GRU = sr.Linear(2, 2), sr.GRU(2, 2)
TWICE = np.ones((3, 1, 2), "float32")


def two_dtypes():
    return sr.Model(a=sr.Linear(2, 2), b=sr.Linear(2, 2, dtype="float64"))


@every("call, error, message", [
    (lambda: sr.Model(), TypeError, "parts: expected one or more"),
    (lambda: sr.Model([GRU, LINEAR]), TypeError, "parts: expected each by name, .* got list"),
    (lambda: sr.Model(freeze=GRU), ValueError, "freeze: expected a name that a model does not"),
    (lambda: sr.Model(a=sr.GRU), TypeError, "a: expected a layer, a stack .* got the class"),
    (lambda: sr.Model(a=3), TypeError, "a: expected a layer, a stack or a module, got int"),
    (lambda: sr.Model(a=GRU, b=GRU), ValueError, "b: expected another part than a, got the same"),
    (lambda: sr.Model(a=GRU).b, AttributeError, "no part and no attribute 'b'"),
    (lambda: setattr(sr.Model(a=GRU), "a", LINEAR), AttributeError, "a: the parts of a model"),
    (lambda: sr.Model(a=LINEAR)(TWICE, lengths=[1]), ValueError, "lengths: expected a model"),
    (lambda: sr.Model(a=LINEAR)(TWICE, TWICE), ValueError, "state: expected None"),
    (lambda: sr.Model(a=GRU, b=sr.GRU(2, 2))(TWICE, (1,)), TypeError, "state: expected a tuple"),
    (lambda: sr.Model(a=GRU)(TWICE, masked_output=TWICE), ValueError, "masked_output: expected"),
    (lambda: sr.Model(a=LINEAR)(TWICE, masked_output=TWICE), ValueError, "masked_output: expected"),
    (lambda: sr.Model(p=sr.Pooling(), a=GRU)(TWICE), ValueError, "p: a Pooling has to follow"),
    (lambda: sr.Model(a=GRU, p=sr.Pooling(), b=sr.GRU(2, 2))(TWICE), ValueError, "b: it needs"),
    (lambda: sr.Model(a=sr.GRUCell(2, 2))(TWICE), ValueError, "a is of type GRUCell, which is"),
    (lambda: two_dtypes()(TWICE), ValueError, "its parts are of different dtypes"),
    (lambda: sr.Model(a=GRU).freeze("b*"), ValueError, r"patterns: expected some of .* got 'b\*'"),
    (lambda: sr.Model(a=GRU).freeze(), TypeError, "patterns: expected one or more"),
    (lambda: sr.Model(a=GRU).tie("a.x", "a.y"), ValueError, "name: expected a parameter, one of"),
    (lambda: sr.Model(a=GRU).tie(GRU, "a.bias_hh_l0"), TypeError, "name: .* parameter, got GRU"),
    (lambda: sr.Model(a=GRU).tie("a.bias_hh_l0", None), TypeError, "to: .* parameter, got None"),
    (lambda: sr.Model(a=GRU).tie("a.bias_hh_l0", "b"), ValueError, "to: expected .* got 'b'"),
    (lambda: sr.Model(a=GRU).tie("a.bias_hh_l0", "a.weight_hh_l0"), ValueError, "of the shape"),
    (lambda: sr.Model(a=GRU).load_state_dict({}), ValueError, "expected exactly the names"),
    (lambda: sr.Model(a=LINEAR).load_state_dict({"a.bias": TWICE}, False), ValueError, "a.bias"),
    (lambda: sr.Model(a=LINEAR).record(TWICE).backward(TWICE[0]), ValueError, "d_output: expected"),
    (lambda: sr.Trainer(3), TypeError, "model: expected a model, .* got int"),
    (lambda: sr.Trainer(np.ones(2)), TypeError, "model: expected a model, .* got ndarray"),
    (lambda: sr.Trainer([GRU]), TypeError, "model: expected a model, .* got list"),
    (lambda: sr.Trainer(sr.GRU), TypeError, "model: expected a model, .* got the class GRU"),
    (lambda: sr.Trainer(sr.Model(a=LINEAR)).order(-1), ValueError, "rows: expected a non-negative"),
    (lambda: sr.Trainer(sr.Model(a=LINEAR)).order([1]), TypeError, "rows: expected a non-negative"),
    (lambda: sr.Pooling("median"), ValueError, "kind: expected"),
])  # fmt: skip
def test_bad_input_gets_a_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()
