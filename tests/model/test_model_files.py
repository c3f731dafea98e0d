"""One file for a model: parts, parameters, counters and training; damaged ones get a sentence."""

from __future__ import annotations

from contextlib import nullcontext, suppress

import numpy as np
import pytest

import simdrnn as sr
from helpers_loops import every
from simdrnn import files
from simdrnn.layers.savable import stepped_stages
from simdrnn.model import saving
from simdrnn.model.chain import links_of
from simdrnn.optim import SGD, Adam

X = np.random.default_rng(0).standard_normal((5, 4, 3)).astype("float32")


def model():
    made = sr.Model(
        rnn=sr.Stack(
            [sr.GRU(3, 4, dropout=0.0, seed=0), sr.LSTM(4, 4, zoneout=0.2, seed=1)],
            "highway",
            seed=2,
        ),
        drop=sr.Dropout(0.3, seed=3),
        head=sr.Linear(4, 4, seed=4),
        out=sr.Linear(4, 4, seed=5),
    )
    made.tie("out.weight", "head.weight")
    made.freeze("out.bias")
    return made


def trained():
    made = model()
    made.fit((X, X[..., [0, 1, 2, 0]]), sr.mse, epochs=1, optimizer=Adam(made), batch_size=2,
             verbose=False)  # fmt: skip
    return made


def test_a_model_comes_back_as_it_was(tmp_path):
    made = model()
    made.record(X)  # counts
    made.save(tmp_path / "model.npz")

    twin = sr.load(tmp_path / "model.npz")

    assert repr(twin) == repr(made)
    assert str(twin.summary()) == str(made.summary())
    assert twin.trainer is None
    assert np.array_equal(twin.record(X).output, made.record(X).output)
    twin.out.weight = np.zeros((4, 4), "float32")
    assert not twin.head.weight.any()


def test_others_read_the_parameters_by_their_names(tmp_path):
    made = trained()
    made.save(tmp_path / "model.npz")
    made.save(tmp_path / "alone.npz", training=False)

    with np.load(tmp_path / "alone.npz") as arrays:
        assert set(arrays) == {*made.parameters(), "simdrnn"}
    with np.load(tmp_path / "model.npz") as arrays:
        assert set(arrays) > {*made.parameters(), "optimizer:head.weight:exp_avg", "history:loss"}
        assert "optimizer:out.weight:exp_avg" not in arrays
    assert sr.load(tmp_path / "alone.npz").trainer is None


def test_models_in_models_are_saved(tmp_path):
    outer = sr.Model(inner=sr.Model(rnn=sr.GRU(3, 4, seed=0)), head=sr.Linear(4, 2, seed=1))
    outer.inner.freeze("rnn.bias*")
    outer.save(tmp_path / "outer.npz")

    twin = sr.load(tmp_path / "outer.npz")

    assert twin.frozen == outer.frozen
    assert np.array_equal(twin(X)[0], outer(X)[0])


def test_programs_in_c_get_what_they_can_step(tmp_path):
    made = sr.Model(rnn=sr.GRU(3, 4, seed=0), drop=sr.Dropout(0.5), head=sr.Linear(4, 2, seed=1))
    layers = [sr.GRU(3, 4, seed=0), sr.Linear(4, 2, seed=1)]
    assert type(made.c_handle()).__name__ == "PyCapsule"
    made.save(tmp_path / "model.simdrnn")

    stages = saving.stepped(links_of(made.parts), {})["stages"]
    wanted = [
        stepped_stages(one, f"{n}.")[0] for n, one in zip(("rnn", "head"), layers, strict=True)
    ]
    assert stages == wanted
    for other, why in (
        (model(), "without tied parameters, got out.weight"),
        (sr.Model(rnn=sr.GRU(3, 4), p=sr.Pooling()), "of layers and Linear, got Pooling"),
        (sr.Model(e=sr.Embedding(3, 4)), "of layers and Linear, got Embedding"),
        (sr.Model(a=sr.GRU(3, 4), b=sr.GRU(3, 4)), "b takes vectors of 3"),
    ):
        with pytest.raises(ValueError, match=why):
            other.c_handle()


def change(document, arrays, what):
    """Damage a file in one of the ways that its checksum does not see."""
    training = document["training"]
    if what == "part":
        document["members"]["rnn"]["class"] = "os"
    elif what == "tied":
        document["tied"] = {"out.weight": "nowhere"}
    elif what == "frozen":
        document["frozen"] = ["nobody"]
    elif what == "array":
        del arrays["head.weight"]
    elif what == "moment":
        del arrays["optimizer:head.weight:exp_avg"]
    elif what == "shape":
        arrays["optimizer:head.weight:exp_avg"] = np.zeros(3, "float32")
    elif what == "stranger":
        arrays["other:head.weight"] = np.zeros(3, "float32")
    elif what == "optimizer":
        training["optimizer"]["kind"] = "eval"
    elif what == "schedule":
        training["schedule"] = {"kind": "print"}
    elif what == "missing":
        del training["steps"]
    elif what == "steps":
        training["steps"] = -1
    elif what == "history":
        del arrays["history:loss"]


@every("what", ["part", "tied", "frozen", "array", "moment", "shape", "stranger", "optimizer",
                "schedule", "missing", "steps", "history"])  # fmt: skip
@every("ending", [".npz"])
def test_files_that_do_not_fit_get_a_sentence(what, ending, tmp_path):
    path = tmp_path / f"model{ending}"
    trained().save(path)
    document, arrays = files.read(path)
    change(document, arrays, what)
    files.write(path, document, arrays)

    with pytest.raises(ValueError, match="path: expected a file that save wrote, got"):
        sr.load(path)


def test_a_file_with_a_bit_changed_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    made = trained()
    made.save(path)
    wanted = made.parameters()
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).integers(0, len(data), 40):
        changed = data.copy()
        changed[place] ^= 1
        path.write_bytes(changed)
        with suppress(ValueError):  # a byte of a header that means nothing may be any
            found = sr.load(path)
            assert all(np.array_equal(found.parameters()[n], v) for n, v in wanted.items())


class Own:
    """What can be trained, and is none of ours."""

    def __init__(self):
        self._array = np.ones(3, "float32")

    def parameters(self):
        return {"w": self._array}

    def _update_parameters(self):
        return nullcontext({"w": self._array})


def test_what_no_file_keeps_is_said_before_one_is_written(tmp_path):
    path = tmp_path / "model.npz"
    with pytest.raises(TypeError, match="save: expected parts of simdrnn, got Own as own"):
        sr.Model(own=Own()).save(path)
    made = model()
    sr.Trainer(made, schedule=lambda step: 1.0)
    with pytest.raises(
        TypeError, match=r"save: expected a schedule of simdrnn\.optim, got function"
    ):
        made.save(path)
    sr.Trainer(made, SGD(made, all_reduce=lambda buffer: None))
    with pytest.raises(ValueError, match="save: expected an optimiser without all_reduce"):
        made.save(path)
    assert not path.exists()
    made.save(path, training=False)
    assert path.exists()
    with pytest.raises(ValueError, match=r"path: expected a name that ends with"):
        model().save(tmp_path / "model.txt")


def test_parts_of_others_are_trained(tmp_path):
    own = Own()
    made = sr.Model(own=own, head=sr.Linear(2, 2, seed=0))
    before = made.head.bias.copy()

    grads = {name: np.ones_like(view) for name, view in made.parameters().items()}
    SGD(made, lr=0.5).step(grads)

    assert np.array_equal(own._array, [0.5] * 3)
    assert np.array_equal(made.head.bias, before - np.float32(0.5))
    with pytest.raises(ValueError, match="own is of type Own, which is not recorded"):
        made(X)
