"""`fit`: that it learns, keeps the best, stops when asked, and goes on to the bit."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from simdrnn.optim import SGD, Adam, Cosine, EarlyStopping, GradientNoise, Plateau, Warmup

V, B = 9, 40
TOKENS = np.random.default_rng(0).integers(0, V, (7, B))
TARGET = (TOKENS.sum(axis=0) > 28).astype("int64")
LENGTHS = {"lengths": np.arange(B) % 3 + 5}
DATA = (TOKENS, TARGET, LENGTHS)
HELD_OUT = (TOKENS[:, :10], TARGET[:10])


def noisy_model():
    """Everything that draws at random."""
    return sr.Model(
        embedding=sr.Embedding(V, 6, seed=0),
        rnn=sr.Stack(
            [sr.LSTM(6, 8, recurrent_dropout=0.2, seed=1), sr.LSTM(8, 8, zoneout=0.1, seed=2)],
            dropout=0.3, seed=3,
        ),
        pooling=sr.Pooling("last"),
        drop=sr.Dropout(0.2, seed=4),
        head=sr.Linear(8, 2, seed=5),
    )  # fmt: skip


def plain_model(dtype="float32"):
    return sr.Model(
        embedding=sr.Embedding(V, 8, dtype=dtype, seed=0), rnn=sr.GRU(8, 8, dtype=dtype, seed=1),
        pooling=sr.Pooling("last", dtype=dtype), head=sr.Linear(8, 2, dtype=dtype, seed=2),
    )  # fmt: skip


def training(model, **changed):
    options = {
        "optimizer": Adam(model, lr=0.02, weight_decay=1e-3, groups={"head.*": {"lr": 0.01}}),
        "schedule": Warmup(4, then=Plateau(0.5, patience=0)),
        "early_stopping": EarlyStopping(patience=30),
        "gradient_noise": GradientNoise(1e-4, seed=1),
        "max_norm": 1.0,
        "seed": 3,
    }
    return options | changed


def fit(model, epochs, data=DATA, validation=HELD_OUT, **options):
    return model.fit(
        data, sr.softmax_cross_entropy, epochs=epochs, batch_size=16, validation=validation,
        verbose=False, **options,
    )  # fmt: skip


def same(one, other):
    assert one.trainer.history.arrays().keys() == other.trainer.history.arrays().keys()
    for name, values in one.trainer.history.arrays().items():
        assert np.array_equal(values, other.trainer.history.arrays()[name], equal_nan=True), name
    for name, value in one.parameters().items():
        assert np.array_equal(value, other.parameters()[name]), name
    for name, value in (one.trainer.last or {}).items():
        assert np.array_equal(value, other.trainer.last[name]), name


def interrupting(after):
    """Return a loss that is interrupted, as by Ctrl-C, while it is made for the n-th time."""
    calls = []

    def loss(output, target):
        calls.append(1)
        if len(calls) == after:
            os.kill(os.getpid(), signal.SIGINT)
        return sr.softmax_cross_entropy(output, target)

    return loss


def test_a_loss_with_parameters_is_refused_not_left_untrained():
    model = sr.Model(rnn=sr.GRU(3, 4, seed=0), scores=sr.Linear(4, 5, seed=1))
    crf, before = sr.losses.CRF(5, seed=2), model.state_dict()

    with pytest.raises(TypeError, match=r"loss: expected one without parameters, got .* a CRF"):
        model.fit((np.ones((6, 8, 3), "float32"), np.zeros((6, 8), int)), crf.record, epochs=1)

    assert all(np.array_equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.fixture
def interruptible():
    """Let SIGINT interrupt, whatever a shell chose for what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_it_learns_and_says_how():
    model = plain_model()
    history = fit(model, 30, optimizer=Adam(model, lr=0.05), seed=0, schedule=Cosine(90))

    assert history.loss[0] > 0.6
    assert history.loss[-1] < 0.1
    assert history.steps == [3 * epoch for epoch in range(1, 31)]
    assert history.lr[0] > 100 * history.lr[-1]
    assert np.isnan(history.norm).all()
    assert history.stopped == "epochs"
    assert "best validation" in repr(history)
    found = model.evaluate(HELD_OUT, sr.softmax_cross_entropy, batch_size=3)
    assert found == pytest.approx(min(history.validation), rel=1e-6)


RESUME = """
import sys
import test_fit
import simdrnn as sr
model = sr.load(sys.argv[1])
test_fit.fit(model, int(sys.argv[3]))
model.save(sys.argv[2])
"""


@every("ending", [".npz", ".safetensors"])
def test_a_run_that_is_saved_and_loaded_by_another_process_has_the_bits_of_one(ending, tmp_path):
    if ending == ".safetensors":
        pytest.importorskip("safetensors")
    straight = noisy_model()
    fit(straight, 6, **training(straight))
    first = noisy_model()
    fit(first, 2, **training(first))
    first.save(tmp_path / f"first{ending}")

    here = str(Path(__file__).parent)
    paths = os.pathsep.join([here, *filter(None, sys.path)])
    names = [str(tmp_path / f"{name}{ending}") for name in ("first", "last")]
    subprocess.run(
        [sys.executable, "-c", RESUME, *names, "4"],
        check=True, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip

    same(straight, sr.load(tmp_path / f"last{ending}"))


def test_the_best_is_kept_and_the_last_gone_on_from(tmp_path):
    def go(model, epochs, **options):
        goal = (3.0, 1.0, 2.0, 2.5, 0.5, 0.7, 0.9)
        fit(model, epochs, validation=lambda: goal[len(model.trainer.history)], **options)

    straight, cut = noisy_model(), noisy_model()
    go(straight, 6, **training(straight))
    go(cut, 3, **training(cut))
    assert cut.trainer.history.best_epoch == 1
    last = cut.trainer.last
    assert not np.array_equal(last["head.bias"], cut.head.bias)

    cut = pickle.loads(pickle.dumps(cut))
    go(cut, 3)

    same(straight, cut)
    cut.head.bias = np.full(2, 7.0, "float32")  # somebody sets out from another place
    cut.freeze("*")
    go(cut, 1)
    assert cut.head.bias.tolist() == [7.0, 7.0]


def test_training_without_validation_goes_on_and_is_not_undone():
    model, twin = plain_model(), plain_model()
    goal = (1.0, 2.0)
    fit(model, 2, validation=lambda: goal[len(model.trainer.history)], seed=0)
    assert model.trainer.last is not None

    fit(model, 2, validation=None)

    fit(twin, 4, validation=None, seed=0)
    assert all(np.array_equal(twin.parameters()[n], v) for n, v in model.parameters().items())


@every("after, steps", [(2, 2), (3, 3), (5, 4)])  # three steps an epoch, and validation
def test_ctrl_c_ends_training_after_a_step_and_it_goes_on_to_the_bit(
    after, steps, tmp_path, interruptible
):
    straight, cut = noisy_model(), noisy_model()
    fit(straight, 4, **training(straight))

    history = cut.fit(DATA, interrupting(after), epochs=4, batch_size=16, validation=HELD_OUT,
                      verbose=False, **training(cut))  # fmt: skip

    assert history.stopped == "interrupted"
    assert cut.trainer.steps == steps
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    cut.save(tmp_path / "cut.npz")
    cut = sr.load(tmp_path / "cut.npz")
    if steps % 3:  # with other batches nobody could tell which rows are left of the epoch
        with pytest.raises(ValueError, match=r"batch_size: expected None or 16, .* got 5; a new"):
            cut.fit(DATA, sr.softmax_cross_entropy, batch_size=5, validation=HELD_OUT)
        with pytest.raises(ValueError, match=r"shuffle: expected None or True, .* got False"):
            cut.fit(DATA, sr.softmax_cross_entropy, shuffle=False, validation=HELD_OUT)
    fit(cut, 4 - steps // 3)
    same(straight, cut)


def test_batches_go_on_as_they_were(tmp_path):
    straight, first = noisy_model(), noisy_model()
    fit(straight, 4, **training(straight), shuffle=False)
    fit(first, 2, **training(first), shuffle=False)
    first.save(tmp_path / "first.npz")

    for again in (first, sr.load(tmp_path / "first.npz")):
        again.fit(DATA, sr.softmax_cross_entropy, epochs=2, validation=HELD_OUT, verbose=False)
        same(straight, again)


def test_ctrl_c_keeps_the_best(interruptible):
    model = plain_model()
    goal = iter([3.0, 1.0, 2.0, 2.5])
    seen = []

    def validation():
        seen.append(model.state_dict())
        return next(goal)

    history = model.fit(DATA, interrupting(11), epochs=9, batch_size=16, verbose=False, seed=0,
                        validation=validation)  # fmt: skip

    assert (history.stopped, len(history), model.trainer.steps) == ("interrupted", 3, 10 + 1)
    assert all(np.array_equal(seen[1][n], v) for n, v in model.parameters().items())


def test_early_stopping_ends_it():
    model = plain_model()
    goal = iter([3.0, 1.0, 1.0, 1.0, 1.0, 1.0])

    history = fit(model, 9, validation=lambda: next(goal), early_stopping=EarlyStopping(2), seed=0)

    assert (history.stopped, len(history), history.best_epoch) == ("early stopping", 5, 1)


def test_batches_are_arrays_that_were_cut():
    rows = [slice(0, 16), slice(16, 32), slice(32, 40)]
    cut = [(TOKENS[:, r], TARGET[r], {"lengths": LENGTHS["lengths"][r]}) for r in rows]
    whole = plain_model()
    fit(whole, 2, seed=0, shuffle=False, optimizer=Adam(whole))

    for data in (cut, lambda: iter(cut)):
        model = plain_model()
        fit(model, 2, data=data, seed=0, optimizer=Adam(model))
        same(whole, model)
    once = plain_model()
    with pytest.raises(ValueError, match="to be gone through once for each epoch"):
        fit(once, 2, data=iter(cut))
    assert len(once.trainer.history) == 1


def test_every_epoch_has_an_order_of_its_own():
    model, twin = plain_model(), plain_model()
    fit(model, 1, seed=0)
    trainer = sr.Trainer(twin, seed=0)

    orders = [trainer.order(B), model.trainer.order(B)]

    assert [sorted(order) for order in orders] == [list(range(B))] * 2
    assert (orders[0] != orders[1]).any()
    assert np.array_equal(trainer.order(B), orders[0])


def test_losses_of_steps_get_the_mask():
    model = sr.Model(rnn=sr.GRU(1, 4, batch_first=True, seed=0), head=sr.Linear(4, 1, seed=1))
    x = np.random.default_rng(0).standard_normal((6, 5, 1)).astype("float32")
    masks = []

    def loss(output, target, mask=None):
        masks.append(mask)
        return sr.mse(output, target, mask=mask)

    lengths = np.array([5, 1, 2, 3, 4, 5])
    history = model.fit(
        (x, x, {"lengths": lengths}), loss, epochs=1, batch_size=4, shuffle=False, verbose=False,
        optimizer=Adam(model, lr=1e-12),  # the network stays as it is
    )  # fmt: skip

    assert [mask.shape for mask in masks] == [(4, 5), (2, 5)]
    assert np.array_equal(masks[0].sum(axis=1), lengths[:4])
    exact = sr.mse(model(x)[0], x, mask=np.arange(5) < lengths[:, None]).value
    found = model.evaluate((x, x, {"lengths": lengths}), sr.mse, batch_size=4)
    assert found == pytest.approx(exact, rel=1e-6)
    assert history.loss == pytest.approx([exact], rel=1e-6)  # over steps, 11 and 9 of them


def test_a_loss_that_is_not_finite_is_not_learned():
    model = sr.Model(rnn=sr.GRU(1, 4, seed=0), head=sr.Linear(4, 1, seed=1))
    x = np.ones((3, 8, 1), "float32")
    target = x.copy()
    target[0, 5] = np.nan
    before = model.state_dict()

    with pytest.raises(ValueError, match=r"loss, got nan .* not made\. target\[0, 5, 0\] is nan"):
        model.fit((x, target), sr.mse, verbose=False)
    with pytest.raises(ValueError, match=r"loss, got nan .* not made\. x\[0, 5, 0\] is nan"):
        model.fit([(target, x)], sr.mse, verbose=False)

    def diverged(output, target, mask=None):
        return sr.mse(output * np.float32(np.nan), target, mask=mask)

    # Behind the lengths there may be anything, so that is not the reason.
    for options in ({}, {"lengths": np.array([3, 3, 3, 3, 3, 0, 3, 3])}):
        given = target if options else x
        with pytest.raises(ValueError, match=r"not made\. A lower learning rate"):
            model.fit((given, given, options), diverged, verbose=False)
    model.rnn.bias_ih_l0 = np.full(12, np.inf, "float32")
    with pytest.raises(ValueError, match=r"not made\. rnn.bias_ih_l0\[0\] is inf"):
        model.fit((x, x), diverged, verbose=False)
    model.rnn.bias_ih_l0 = before["rnn.bias_ih_l0"]

    assert all(np.array_equal(before[name], view) for name, view in model.parameters().items())


def test_every_step_has_noise_of_its_own():
    model, noise = plain_model("float64"), GradientNoise(0.1, seed=1)
    trainer = sr.Trainer(model, SGD(model, lr=1.0), gradient_noise=noise)

    for step in range(3):
        before = model.state_dict()
        trainer.step({name: np.zeros_like(value) for name, value in before.items()})
        wanted = {name: np.zeros_like(value) for name, value in before.items()}
        noise.add_(wanted, step)
        for name, value in model.parameters().items():
            np.testing.assert_allclose(before[name] - value, wanted[name], rtol=0, atol=1e-14)


def test_a_loop_of_ones_own_is_that_of_fit():
    ours, own = plain_model(), plain_model()
    fit(ours, 2, shuffle=False, **training(ours, early_stopping=None, schedule=Cosine(6, low=0.1)))
    options = training(own, early_stopping=None, schedule=Cosine(6, low=0.1))
    trainer = sr.Trainer(own, **options)

    for _ in range(2):
        for start in (0, 16, 32):
            rows = slice(start, start + 16)
            tape = own.record(TOKENS[:, rows], lengths=LENGTHS["lengths"][rows])
            loss = sr.softmax_cross_entropy(tape.output, TARGET[rows])
            assert trainer.step(tape.backward(loss.backward())) > 0

    last = ours.trainer.last or ours.parameters()
    assert all(np.array_equal(last[name], view) for name, view in own.parameters().items())


def test_the_curve_is_drawn(tmp_path):
    model = plain_model()
    history = fit(model, 3, seed=0, schedule=Cosine(9))
    pytest.importorskip("matplotlib")

    figure = history.plot()

    assert {line.get_label() for line in figure.axes[0].get_lines()} >= {"training", "validation"}
    assert len(figure.axes) == 2  # the learning rate beside it
    figure.savefig(tmp_path / "curve.png")


def test_without_matplotlib_it_says_so(monkeypatch):
    history = fit(plain_model(), 1, seed=0)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(ImportError, match="plot needs matplotlib"):
        history.plot()


LINEAR = sr.Linear(2, 2)


def fitted(data=DATA, loss=sr.softmax_cross_entropy, **options):
    return plain_model().fit(data, loss, verbose=False, **options)


@every("call, error, message", [
    (lambda: fitted(TOKENS, TARGET), TypeError, "loss: expected a function of .* got ndarray; arr"),
    (lambda: fitted(3), TypeError, r"data: expected arrays \(x, target\)"),
    (lambda: fitted((TOKENS,)), TypeError, "data: expected .* got tuple of 1"),
    (lambda: fitted([]), ValueError, "data: expected one batch or more, got none"),
    (lambda: fitted([TOKENS]), TypeError, r"data\[0\]: expected .* got ndarray"),
    (lambda: fitted((TOKENS, TARGET[:3])), ValueError, "of 40 rows on axis 0, as x .* on axis 1"),
    (lambda: fitted(([[1], [1, 2]], TARGET)), TypeError, r"data\[0\]: expected an array of all"),
    (lambda: fitted((TOKENS, np.ma.array(TARGET))), TypeError, r"data\[1\]: .* got a masked array"),
    (lambda: fitted((TOKENS, TARGET, {"mask": len})), TypeError, "mask: expected an array of all"),
    (lambda: fitted((TOKENS, TARGET, {"lengths": [1]})), ValueError, "expected lengths of 40 rows"),
    (lambda: fitted((TOKENS, TARGET, {"state": 1})), ValueError, "options of .* got 'state'"),
    (lambda: fitted((TOKENS, TARGET, [1])), TypeError, "further arguments as a dict, got list"),
    (lambda: fitted(loss=lambda o, t: 3.0), TypeError, "loss: expected a Loss, .* got float"),
    (lambda: fitted(optimizer=3), TypeError, "optimizer: expected one of simdrnn.optim, got int"),
    (lambda: fitted(optimizer=Adam(LINEAR)), ValueError, "made for this model alone"),
    (lambda: fitted(early_stopping=EarlyStopping()), ValueError, "expected validation= with it"),
    (lambda: fitted(early_stopping=3), TypeError, "early_stopping: expected an EarlyStopping"),
    (lambda: fitted(schedule=3), TypeError, "schedule: expected a function of the step, got int"),
    (lambda: fitted(schedule=lambda step: -1), ValueError, r"schedule: expected a number in \[0"),
    (lambda: fitted(gradient_noise=0.1), TypeError, "gradient_noise: expected a GradientNoise"),
    (lambda: fitted(epochs=0), ValueError, "epochs: expected a positive integer"),
    (lambda: fitted(validation=3), TypeError, "validation: expected arrays"),
    (lambda: sr.Model(a=LINEAR, b=sr.GRU(3, 2)).fit(DATA, sr.mse), ValueError, "b takes vectors"),
])  # fmt: skip
def test_bad_input_gets_a_sentence(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_another_seed_is_another_training():
    model = plain_model()
    fit(model, 1, seed=4)

    with pytest.raises(ValueError, match="seed: expected None or that of this training, 4"):
        fit(model, 1, seed=5)
    fit(model, 1, seed=5, optimizer=Adam(model))
    assert len(model.trainer.history) == 1
