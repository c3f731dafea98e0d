"""Classes made from the table of cells: what users see of them is what they see of written ones."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys

import numpy as np
import pytest

import simdrnn as sr
from helpers import (
    INFOS,
    assert_same_bits,
    beside,
    bias_rows,
    gates_with_rows,
    make_layer,
)
from helpers_loops import every
from helpers_source import ROOT
from simdrnn import reference
from simdrnn.layers import from_table
from simdrnn.layers.compiled import COMPILED
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.single_step import RecurrentCell
from simdrnn.spec.cell import CellInfo

PAGE = ROOT / "docs" / "cells.md"

WRITTEN = ("GRU", "LSTM", "RNN")
MADE = tuple(str(i.layer) for i in INFOS.values() if i.layer not in (None, *WRITTEN))
BY_LAYER = {info.layer: info for info in INFOS.values()}


def test_the_list_names_every_layer_once():
    assert sr.list_cells() == sorted([*WRITTEN, *MADE])
    assert {"MGU", "LiGRU", "JANET", "UGRNN"} <= {*MADE}


@every("ending", ["", "Cell"])
@every("name", MADE)
@every("engine")
def test_classes_are_found_listed_and_the_same_every_time(engine, name, ending):
    found = getattr(engine, name + ending)

    assert found is getattr(engine, name + ending)
    assert (found.__module__, found.__qualname__) == (engine.__name__, name + ending)
    assert name + ending in dir(engine)
    assert issubclass(found, (RecurrentLayer, RecurrentCell))


def test_the_namespaces_still_list_what_they_hold():
    assert {*sr.__all__} <= {*dir(sr)}
    assert {*reference.__all__} <= {*dir(reference)}


@every("name", ["MGUCells", "Cell", "None", "NoneCell", "Mgu", "rnn_relu"])
@every("engine")
def test_other_names_are_refused(engine, name):
    with pytest.raises(AttributeError, match=f"module '{engine.__name__}' has no attribute"):
        getattr(engine, name)


@every("name", MADE)
def test_the_constructor_takes_what_that_of_a_gru_takes(name):
    gated = ["forget_bias"] * (BY_LAYER[name].keep >= 0)
    for ending in ("", "Cell"):
        ours = inspect.signature(getattr(sr, name + ending)).parameters
        gru = inspect.signature(getattr(sr, "GRU" + ending)).parameters

        wanted = [p for p in gru if p not in ("reset_after", "options")]
        assert list(ours) == [*wanted, *gated, "options"]
        for parameter in wanted:
            assert ours[parameter] == gru[parameter]


@every("name", MADE)
@every("engine")
def test_the_documentation_is_that_of_the_twin(engine, name):
    twin = sys.modules[type(reference.CELLS[BY_LAYER[name].name]).__module__]
    equations = inspect.cleandoc(twin.__doc__)

    for ending in ("", "Cell"):
        text = inspect.getdoc(getattr(engine, name + ending))
        assert text.startswith(equations + "\n\n")
        assert "\nParameters\n----------\ninput_size, hidden_size" in text
        assert text.endswith("engine." if engine is sr else "by default in float64.")


@every("name", MADE)
@every("engine")
def test_layers_are_shown_copied_and_pickled_as_others_are(engine, name, rng):
    layer = getattr(engine, name)(3, 4, 2, dropout=0.5, dtype="float32", gate_clip=2, seed=0)
    x = rng.standard_normal((5, 2, 3)).astype("float32")
    scores = beside(BY_LAYER[name].name, 5, 2, rng, "float32")
    want = layer(x, **scores)

    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(twin) is type(layer)
        assert_same_bits(twin(x, **scores), want)
    assert repr(layer) == f"{name}(3, 4, num_layers=2, dropout=0.5, gate_clip=2.0)"


@every("name", MADE)
def test_layers_of_the_reference_are_float64_unless_told(name):
    assert getattr(reference, name)(2, 3).dtype == np.float64
    assert getattr(sr, name)(2, 3).dtype == np.float32


@every("ending", ["", "Cell"])
@every("name", [name for name in MADE if BY_LAYER[name].keep >= 0])
@every("engine")
def test_forget_bias_is_that_of_the_gate_that_keeps(engine, name, ending):
    plain, layer = (getattr(engine, name + ending)(3, 4, seed=0, forget_bias=b) for b in (None, 2))
    info, wanted = BY_LAYER[name], 2
    before = plain.state_dict()
    for kind, rows in bias_rows(info.name, info.keep, 4).items():
        key = kind if ending else f"{kind}_l0"
        before[key][rows] = wanted
        wanted = 0  # all of it is in the first

    assert_same_bits(layer.state_dict(), before)


def test_a_cell_without_such_a_gate_has_no_forget_bias():
    table = {"plain": CellInfo("rnn_relu", gates=1, separate=0, states=1, saved=0, layer="Plain")}

    binding = COMPILED._replace(cells=lambda: table, namespace="nowhere")

    made = from_table.cell_class("Plain", binding, reference.layers.equations_of)

    assert "forget_bias" not in inspect.signature(made).parameters
    assert from_table.cell_class("Other", binding, reference.layers.equations_of) is None
    assert from_table.class_names(table) == ["Plain", "PlainCell"]


def test_mistakes_are_told_as_by_other_layers(engine):
    with pytest.raises(ValueError, match="hidden_size: expected"):
        engine.MGU(3, 0)
    with pytest.raises(ValueError, match="cell_clip: expected a cell with a c state, got mgu"):
        engine.MGU(3, 4, cell_clip=1.0)
    with pytest.raises(TypeError, match="reset_after: unknown option"):
        engine.MGU(3, 4, reset_after=True)
    with pytest.raises(ValueError, match="forget_bias: expected bias=True with it"):
        engine.MGU(3, 4, bias=False, forget_bias=1.0)


@every("name", sorted(INFOS))
@every("bias", [True, False])
@every("engine")
def test_parameters_have_rows_for_the_gates_that_they_act_on(engine, name, bias):
    layer = make_layer(engine, name, 3, 4, 2, bias=bias, bidirectional=True)

    shapes = {key: value.shape for key, value in layer.parameters().items()}

    for end, width in (("_l0", 3), ("_l0_reverse", 3), ("_l1", 8), ("_l1_reverse", 8)):
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            rows = 4 * len(gates_with_rows(name, kind))
            columns = {"weight_ih": (width,), "weight_hh": (4,)}.get(kind, ())
            if rows and (columns or bias):
                assert shapes.pop(kind + end) == (rows, *columns)
        for own in INFOS[name].own:
            if bias or not own.name.startswith("bias_"):
                assert shapes.pop(own.name + end) == ((1,) if own.shared else (4,))
    assert not shapes


@every("name", sorted(INFOS))
def test_the_table_names_every_gate_and_points_into_them(name):
    info = INFOS[name]

    assert len({*info.gate_names}) == len(info.gate_names) == info.gates
    assert -1 <= info.keep < info.gates
    assert -1 <= info.write < info.gates
    assert info.write < 0 or info.keep != info.write


def test_classes_can_be_asked_for_first():
    code = "import simdrnn.reference as r; print(r.JANETCell(1, 1)); from simdrnn import MGU"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "JANETCell(1, 1, dtype='float64')"


@pytest.mark.skipif(not PAGE.is_file(), reason="the documents are not beside the tests")
def test_the_page_of_cells_is_up_to_date():
    tool = ROOT / "tools" / "write_cells_page.py"

    done = subprocess.run([sys.executable, tool], capture_output=True, text=True, check=True)

    assert done.stdout == PAGE.read_text(encoding="utf-8"), f"python {tool.name} docs/cells.md"
