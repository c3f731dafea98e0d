"""Compilers, exporters and transforms see `simdrnn.torch` as operators, or get PyTorch's path."""

from __future__ import annotations

import pytest

from helpers_loops import every

pytestmark = pytest.mark.peers
torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")

from torch.fx.experimental.proxy_tensor import make_fx  # noqa: E402
from torch.library import opcheck  # noqa: E402

import simdrnn.torch  # noqa: E402
from simdrnn.torch.operators import recurrent, recurrent_backward  # noqa: E402

OURS = "simdrnn.recurrent.default"
WIDTHS = {"lstm": (4, 4), "gru": (4,), "rnn_tanh": (4,), "rnn_relu": (4,)}


class Model(torch.nn.Module):
    """A recurrent layer and something behind it."""

    def __init__(self, kind=simdrnn.torch.LSTM, **options):
        super().__init__()
        self.rnn = kind(3, 4, **options)
        self.out = torch.nn.Linear(4, 2)

    def forward(self, x):
        """Return the model's outputs and the final state."""
        output, state = self.rnn(x)
        return self.out(output), state


def operator_arguments(
    cell, *, dropout=0.5, batch_first=False, packed=False, states=True, bidirectional=False,
    marked=False, record=True,
):  # fmt: skip
    """Return arguments of the forward operator, in float64."""
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(cell, torch.nn.RNN)
    projected = {"proj_size": 2} if cell == "lstm" and batch_first else {}
    layer = kind(3, 4, 2, bidirectional=bidirectional, dtype=torch.float64, **projected)
    x = torch.randn((7, 3) if packed else (2, 5, 3), dtype=torch.float64, requires_grad=True)
    batch = 3 if packed else 2 if batch_first else 5
    rows = 4 if bidirectional else 2
    given = [
        torch.randn(rows, batch, width, dtype=torch.float64, requires_grad=True)
        for width in WIDTHS[cell][: 2 if states or packed else 0]
    ]
    sizes = torch.tensor([3, 3, 1]) if packed else None
    spec = (cell, 2, bidirectional, True, batch_first, dropout, bool(projected))
    key = torch.tensor(5) if dropout else None
    marks = (None, None, None, False)
    if marked:
        flags = torch.rand(2, 5) < 0.5
        marks = (torch.tensor([2, 0, 1, 2, 2][:batch]), flags, ~flags, not states)
    return (x, given, list(layer.parameters()), sizes, key, record, *spec, *marks)


VARIANTS = [
    {"cell": "lstm"},
    {"cell": "gru", "states": False},
    {"cell": "lstm", "batch_first": True, "states": False},
    {"cell": "rnn_relu", "packed": True},
    {"cell": "rnn_tanh", "bidirectional": True},
    {"cell": "lstm", "marked": True, "states": False},
    {"cell": "gru", "marked": True},
]


variants = pytest.mark.parametrize(
    "variant", VARIANTS, ids=lambda v: "-".join(["forward" if len(v) == 1 else "", *v])
)


@variants
@every("record", [False, True])
def test_opcheck_of_forward(variant, record):
    opcheck(recurrent, operator_arguments(**variant, record=record))


@every("record", [False, True])
def test_programs_that_were_saved_before_there_were_marks(record):
    # They have no arguments for marks, and say whether they were recorded when they were traced.
    layer, x = simdrnn.torch.GRU(3, 4), torch.randn(5, 2, 3)
    spec = ("gru", 1, False, True, False, 0.0, False)
    given = (x, [], list(layer.parameters()), None, None, record, *spec)

    output, _, reserve = recurrent(*given)
    got = torch.autograd.grad(output.sum(), list(layer.parameters()))

    want = torch.autograd.grad(layer(x)[0].sum(), list(layer.parameters()))
    torch.testing.assert_close(got, want, rtol=0, atol=0)
    assert bool(len(reserve)) is record


def backward_arguments(needs_x, **variant):
    """Return arguments of the backward operator."""
    x, states, weights, sizes, key, record, *rest = operator_arguments(**variant)
    output, *finals, reserve = recurrent(x, states, weights, sizes, key, record, *rest)
    d_finals = [torch.randn_like(final).detach() for final in finals]
    d_output, kept = torch.randn_like(output).detach(), reserve.detach()
    return (d_output, d_finals, x, states, weights, sizes, key, kept, needs_x, *rest)


def detached(thing):
    """Return tensors, and lists of them, that need no gradient."""
    if isinstance(thing, list):
        return [detached(one) for one in thing]
    return thing.detach() if isinstance(thing, torch.Tensor) else thing


@variants
@every("needs_x", [True, False], ids=["x", "no-x"])
def test_opcheck_of_backward(variant, needs_x):
    opcheck(recurrent_backward, detached(list(backward_arguments(needs_x, **variant))))


def test_opcheck_of_backward_of_backward():
    # Compilers do not differentiate twice, so nothing is compiled here.
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    opcheck(recurrent_backward, backward_arguments(True, cell="lstm"), test_utils=checks)


def test_operators_refuse_what_they_cannot_read():
    x, states, weights, _, key, record, *spec = operator_arguments("lstm")
    packed = operator_arguments("lstm", packed=True)
    sizes = torch.tensor([3, 4])

    with pytest.raises(
        ValueError, match=r"weights: expected float32 or float64 tensors on the CPU"
    ):
        recurrent(x, states, weights[:-1], None, key, record, *spec)
    with pytest.raises(ValueError, match=r"weights: expected"):
        recurrent(x, states, [], None, key, record, *spec)
    with pytest.raises(ValueError, match=r"batch_sizes: expected positive int64 numbers"):
        recurrent(*packed[:3], sizes, *packed[4:])
    with pytest.raises(ValueError, match=r"x: expected shape"):
        recurrent(x[..., :2], states, weights, None, key, record, *spec)
    with pytest.raises(ValueError, match=r"states: expected"):
        recurrent(x, [h[:1] for h in states], weights, None, key, record, *spec)
    marks = (torch.tensor([3] * 5), None, None, False)
    with pytest.raises(ValueError, match=r"lengths: expected values in \[0, T\] = \[0, 2\]"):
        recurrent(x, states, weights, None, key, record, *spec[:-4], *marks)


def step(model, x):
    """Return results and gradients of one call."""
    model.zero_grad()
    results, state = model(x)
    (
        results.sum() + sum(s.sum() for s in (state if isinstance(state, tuple) else (state,)))
    ).backward()
    return [results, *(p.grad.clone() for p in model.parameters())]


def test_a_compiled_model_gives_the_same():
    model, x = Model(simdrnn.torch.GRU, batch_first=True), torch.randn(2, 5, 3)
    want = step(model, x)

    got = step(torch.compile(model, backend="aot_eager"), x)

    torch.testing.assert_close(got, want, rtol=0, atol=0)


@torch._dynamo.config.patch(allow_rnn=True)
def test_a_whole_graph_where_dynamo_allows_it():
    model, x = Model(num_layers=2, dropout=0.5), torch.randn(5, 2, 3)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)

    torch.manual_seed(1)
    want = step(model, x)
    torch.manual_seed(1)
    got = step(compiled, x)

    torch.testing.assert_close(got, want, rtol=0, atol=0)
    with torch.no_grad():
        model.rnn.weight_hh_l0.mul_(0.5)
        model.eval()
        torch.testing.assert_close(compiled(x), model(x), rtol=0, atol=0)


@torch._dynamo.config.patch(allow_rnn=True)
@every("kind", ["LSTM", "GRU", "LSTMCell"])
@every("given", ["states", "unbatched", "keywords"])
def test_a_whole_graph_of_carried_states(kind, given):
    torch._dynamo.reset()
    if kind == "LSTMCell" and given == "keywords":
        return
    layer = getattr(simdrnn.torch, kind)(3, 4)
    rows = () if given == "unbatched" else (2,)
    x = torch.randn(*(rows if kind == "LSTMCell" else (5, *rows)), 3)
    h = torch.randn(*(rows if kind == "LSTMCell" else (1, *rows)), 4)
    more = {"lengths": torch.tensor([5, 3])} if given == "keywords" else {}
    compiled = torch.compile(layer, backend="eager", fullgraph=True)

    def twice(function):
        results = function(x, h if kind == "GRU" else (h, h + 1), **more)
        carried = results if kind == "LSTMCell" else results[1]
        detached = carried.detach() if kind == "GRU" else tuple(one.detach() for one in carried)
        return function(x, detached, **more)

    torch.testing.assert_close(twice(compiled), twice(layer), rtol=0, atol=0)


def test_compiled_cells_are_in_the_graph():
    cell = simdrnn.torch.GRUCell(3, 4)
    x = torch.randn(2, 3)
    graphs = []

    def backend(graph, inputs):
        graphs.append(str(graph.graph))
        return graph

    compiled = torch.compile(lambda x: cell(x, cell(x)), backend=backend, fullgraph=True)

    torch.testing.assert_close(compiled(x), cell(x, cell(x)), rtol=0, atol=0)
    assert graphs[0].count("torch.ops.simdrnn.recurrent.default") == 2


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_inductor_compiles_what_is_around():
    cell, x = simdrnn.torch.LSTMCell(3, 4), torch.randn(2, 3, requires_grad=True)

    def function(x):
        h, c = cell(x * 2)
        return h.sin().sum() + c.sum()

    (want,) = torch.autograd.grad(function(x), x)
    (got,) = torch.autograd.grad(torch.compile(function, fullgraph=True)(x), x)

    # cos and sums in another order: a few roundings.
    torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-6)


def targets(program):
    return [str(node.target) for node in program.graph.nodes if node.op == "call_function"]


@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")
def test_export():
    model, x = Model(batch_first=True), torch.randn(2, 5, 3)
    sizes = {"x": {0: torch.export.Dim("B"), 1: torch.export.Dim("T")}}

    program = torch.export.export(model, (x,), dynamic_shapes=sizes)
    lowered = program.run_decompositions()

    other = torch.randn(3, 7, 3)
    for one in (program, lowered):
        assert OURS in targets(one)
        torch.testing.assert_close(one.module()(other), model(other), rtol=0, atol=0)


def test_make_fx_records_the_operator():
    model = Model()

    graph = make_fx(lambda x: model(x)[0], tracing_mode="real")(torch.randn(5, 2, 3))

    assert OURS in targets(graph)
    x = torch.randn(5, 2, 3)
    torch.testing.assert_close(graph(x), model(x)[0], rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_traced_script_keeps_the_operator():
    model = Model()

    traced = torch.jit.trace(model, torch.randn(5, 2, 3))

    x = torch.randn(4, 3, 3)
    torch.testing.assert_close(traced(x), model(x), rtol=0, atol=0)
    assert "simdrnn::recurrent" in str(traced.inlined_graph)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_a_script_takes_pytorchs_layer(kind):
    model, x = Model(getattr(simdrnn.torch, kind)), torch.randn(5, 2, 3)
    want = model(x)[0]

    scripted = torch.jit.script(model)

    torch.testing.assert_close(scripted(x)[0], want, rtol=0, atol=1e-6)
    assert f"aten::{kind.lower()}" in str(scripted.inlined_graph)
    assert scripted.rnn.weight_hh_l0.data_ptr() == model.rnn.weight_hh_l0.data_ptr()
    cell = getattr(simdrnn.torch, f"{kind}Cell")(3, 4)
    torch.testing.assert_close(torch.jit.script(cell)(x[0]), cell(x[0]), rtol=0, atol=1e-6)


# PyTorch's own path


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_transforms_take_pytorchs_path():
    layer = simdrnn.torch.GRU(3, 4, dtype=torch.float64)
    plain = torch.nn.GRU(3, 4, dtype=torch.float64)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(5, 2, 3, dtype=torch.float64)

    found = []
    for module in (plain, layer):
        gradient = torch.func.grad(lambda x, m=module: m(x)[0].square().sum())(x)
        found.append((gradient, torch.func.jvp(lambda x, m=module: m(x)[0], (x,), (x + 1,))[1]))
        with pytest.raises(RuntimeError, match="Batching rule not implemented for aten::gru"):
            torch.func.vmap(lambda x, m=module: m(x)[0])(torch.randn(6, 5, 2, 3).double())

    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_forward_mode_takes_pytorchs_path():
    layer, x = simdrnn.torch.GRU(3, 4), torch.randn(5, 2, 3)

    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, torch.ones_like(x))
        tangent = torch.autograd.forward_ad.unpack_dual(layer(dual)[0]).tangent

    assert tangent is not None
    assert tangent.any()


def test_autocast_takes_pytorchs_path():
    layer, x = simdrnn.torch.LSTM(3, 4), torch.randn(5, 2, 3)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(x)[0]
        want = torch.nn.LSTM.forward(layer, x)[0]

    assert output.dtype == want.dtype == torch.bfloat16
    assert torch.equal(output, want)


@torch._dynamo.config.patch(allow_rnn=True)
def test_compiled_autocast_takes_pytorchs_path():
    layer, x = simdrnn.torch.LSTM(3, 4), torch.randn(5, 2, 3)

    @torch.compile(backend="eager", fullgraph=True)
    def function(x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return layer(x)[0]

    assert function(x).dtype == torch.bfloat16


@pytest.mark.filterwarnings("ignore:The tensor attributes self.rnn._flat_weights:UserWarning")
def test_an_exporter_to_onnx_gets_pytorchs_path(monkeypatch):
    layer = simdrnn.torch.LSTM(3, 4)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)

    graph = make_fx(lambda x: layer(x)[0])(torch.randn(5, 2, 3))
    program = torch.export.export(Model(), (torch.randn(5, 2, 3),))

    assert OURS not in targets(graph)
    assert OURS not in targets(program)
    assert any("lstm" in target for target in targets(program))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_takes_pytorchs_path(dtype):
    layer, x = simdrnn.torch.GRU(3, 4).to(dtype), torch.randn(5, 2, 3).to(dtype)

    assert torch.equal(layer(x)[0], torch.nn.GRU.forward(layer, x)[0])


def test_other_devices_take_pytorchs_path():
    layer = simdrnn.torch.LSTM(3, 4, device="meta")

    assert layer(torch.randn(5, 2, 3, device="meta"))[0].device.type == "meta"
    with pytest.raises(RuntimeError):
        layer(torch.randn(5, 2, 3))


def test_subclasses_of_tensors_stay_what_they_are():
    class Marked(torch.Tensor):
        pass

    layer, x = simdrnn.torch.LSTM(3, 4), torch.randn(5, 2, 3)

    output, _ = layer(x.as_subclass(Marked))

    assert type(output) is Marked
    assert torch.equal(output.as_subclass(torch.Tensor), layer(x)[0])
