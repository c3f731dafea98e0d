"""Equal to PyTorch and ONNX Runtime on random weights and biases: values, states, all gradients."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from helpers import as_tuple, assert_close, make_layer, make_problem, tolerance

pytestmark = pytest.mark.peers

TWINS = {"rnn_tanh": "RNN", "rnn_relu": "RNN", "lstm": "LSTM", "gru": "GRU"}
VARIANTS = {
    "plain": {},
    "layers": {"num_layers": 3},
    "both": {"bidirectional": True},
    "layers-both": {"num_layers": 2, "bidirectional": True},
    "no-bias": {"num_layers": 2, "bidirectional": True, "bias": False},
}
variants = pytest.mark.parametrize("variant", VARIANTS)
twins = pytest.mark.parametrize("cell", TWINS)


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs the [peers] extra: torch")


@pytest.fixture
def onnx():
    pytest.importorskip("onnxruntime", reason="needs the [peers] extra: onnxruntime")
    return pytest.importorskip("onnx", reason="needs the [peers] extra: onnx")


def allowed(layer, T, B, *, backward=False):
    """Return how far two results may lie apart, each within the tolerance of the exact one."""
    hidden, directions = layer.hidden_size, 2 if layer.bidirectional else 1
    longest = max(layer.input_size, directions * hidden) + hidden
    if backward:  # a gradient of h sums over gates, a gradient of a weight over steps and rows
        longest = max(longest, 4 * hidden, T * B)
    return 2 * tolerance(layer.dtype, T * layer.num_layers, longest)


# PyTorch


def torch_twin(torch, cell, layer):
    """Return PyTorch's layer with the weights of ours."""
    extra = {"nonlinearity": "relu"} if cell == "rnn_relu" else {}
    twin = getattr(torch.nn, TWINS[cell])(
        layer.input_size, layer.hidden_size, layer.num_layers, bias=layer.bias,
        batch_first=layer.batch_first, bidirectional=layer.bidirectional,
        dtype=getattr(torch, layer.dtype.name), **extra,
    )  # fmt: skip
    twin.load_state_dict({k: torch.from_numpy(v) for k, v in layer.state_dict().items()})
    return twin


def leaves(torch, value):
    """Return the array or the tuple of arrays as tensors that want a gradient."""
    tensors = tuple(torch.tensor(member, requires_grad=True) for member in as_tuple(value))
    return tensors if isinstance(value, tuple) else tensors[0]


def torch_results(torch, cell, problem):
    """Run a problem through PyTorch: return (output, state), and gradients as ours are named."""
    layer, lengths = problem.layer, problem.call.get("lengths")
    twin = torch_twin(torch, cell, layer)
    x = leaves(torch, problem.x)
    state = None if problem.state is None else leaves(torch, problem.state)
    packing = torch.nn.utils.rnn
    given = x
    if lengths is not None:
        given = packing.pack_padded_sequence(
            x, torch.from_numpy(lengths), layer.batch_first, enforce_sorted=False
        )
    output, final = twin(given, state)
    if lengths is not None:
        steps = x.shape[1 if layer.batch_first else 0]
        output, _ = packing.pad_packed_sequence(output, layer.batch_first, total_length=steps)

    torch.autograd.backward(
        [output, *as_tuple(final)],
        [torch.from_numpy(d) for d in (problem.d_output, *as_tuple(problem.d_state))],
    )
    gradients: dict[str, Any] = {"x": x.grad.numpy()}
    if state is not None:
        members = tuple(member.grad.numpy() for member in as_tuple(state))
        gradients["state"] = members if isinstance(state, tuple) else members[0]
    gradients |= {name: value.grad.numpy() for name, value in twin.named_parameters()}
    values = tuple(member.detach().numpy() for member in as_tuple(final))
    return (output.detach().numpy(), values), gradients


def our_results(problem):
    tape = problem.record()
    grads = tape.backward(problem.d_output, problem.d_state)
    gradients = {"x": grads.x} | ({} if problem.state is None else {"state": grads.state})
    return (tape.output, as_tuple(tape.state)), gradients | grads.params


def assert_equal_to_torch(torch, cell, problem):
    layer = problem.layer
    T, B = problem.x.shape[:2]
    T, B = (B, T) if layer.batch_first else (T, B)

    values, gradients = our_results(problem)

    want_values, want_gradients = torch_results(torch, cell, problem)
    assert_close(values, want_values, allowed(layer, T, B), "values")
    assert_close(gradients, want_gradients, allowed(layer, T, B, backward=True), "gradients")


@twins
@variants
@pytest.mark.parametrize("with_state", [True, False], ids=["state", "no-state"])
def test_layers_equal_pytorch(engine, torch, cell, variant, with_state, dtype, rng):
    problem = make_problem(
        engine, cell, rng=rng, T=7, B=5, I=6, H=9, dtype=dtype,
        with_state=with_state, **VARIANTS[variant],
    )  # fmt: skip

    assert_equal_to_torch(torch, cell, problem)


@twins
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (3, 33, 17, 31), (40, 2, 3, 65)], ids=str)
def test_other_sizes_equal_pytorch(torch, cell, sizes, dtype, rng):
    import simdrnn

    T, B, I, H = sizes  # noqa: E741
    problem = make_problem(
        simdrnn, cell, rng=rng, T=T, B=B, I=I, H=H, dtype=dtype, num_layers=2, bidirectional=True
    )

    assert_equal_to_torch(torch, cell, problem)


def batch_first(problem):
    """Return the problem with sequences (B, T, ...)."""
    layer = copy.deepcopy(problem.layer)
    arguments = {name: getattr(layer, name) for name in ("num_layers", "bias", "bidirectional")}
    turned = type(layer)(
        layer.input_size, layer.hidden_size, batch_first=True, dtype=layer.dtype, **arguments
    )
    turned.load_state_dict(layer.state_dict())
    problem.layer = turned
    problem.x, problem.d_output = problem.x.swapaxes(0, 1), problem.d_output.swapaxes(0, 1)
    return problem


@pytest.mark.parametrize("cell", ["rnn_tanh", "lstm", "gru"])
@pytest.mark.parametrize("pattern", ["plain", "lengths"])
def test_batch_first_equals_pytorch(engine, torch, cell, pattern, dtype, rng):
    problem = make_problem(
        engine, cell, rng=rng, T=7, B=5, dtype=dtype, num_layers=2, bidirectional=True
    )
    if pattern == "lengths":
        problem.call["lengths"] = unsorted_lengths(7, 5, rng)

    assert_equal_to_torch(torch, cell, batch_first(problem))


@twins
def test_unbatched_calls_equal_pytorch(engine, torch, cell, dtype, rng):
    problem = make_problem(engine, cell, rng=rng, B=1, dtype=dtype, num_layers=2)
    squeezed = tuple(member[:, 0] for member in as_tuple(problem.state))

    given = squeezed if cell == "lstm" else squeezed[0]
    output, state = problem.layer(problem.x[:, 0], given)

    (want_output, want_state), _ = torch_results(torch, cell, problem)
    want = (want_output[:, 0], tuple(member[:, 0] for member in want_state))
    assert_close((output, as_tuple(state)), want, allowed(problem.layer, 5, 1))


def unsorted_lengths(T, B, rng):
    """Draw lengths in [1, T], as packing needs them, in no order; the longest row is full."""
    lengths = rng.integers(1, T + 1, B)
    lengths[:3] = [1, T, T - 1][:B]
    return lengths


@twins
@variants
def test_lengths_equal_packed_sequences(engine, torch, cell, variant, dtype, rng):
    problem = make_problem(
        engine, cell, rng=rng, T=8, B=7, I=5, H=9, dtype=dtype, **VARIANTS[variant]
    )
    problem.call["lengths"] = unsorted_lengths(8, 7, rng)

    assert_equal_to_torch(torch, cell, problem)


@twins
def test_empty_batches_equal_pytorch(engine, torch, cell, dtype, rng):
    problem = make_problem(engine, cell, rng=rng, T=4, B=0, dtype=dtype, bidirectional=True)

    assert_equal_to_torch(torch, cell, problem)


@twins
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])
@pytest.mark.parametrize("leading", [(5,), (), (0,)], ids=["batch", "unbatched", "empty"])
def test_cells_equal_pytorch(engine, torch, cell, bias, leading, dtype, rng):
    extra = {"nonlinearity": "relu"} if cell == "rnn_relu" else {}
    name = TWINS[cell] + "Cell"
    ours = getattr(engine, name)(6, 9, bias=bias, dtype=dtype, **extra)
    theirs = getattr(torch.nn, name)(6, 9, bias=bias, dtype=getattr(torch, dtype), **extra)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    x = rng.standard_normal((*leading, 6)).astype(dtype)
    states = tuple(
        rng.standard_normal((*leading, 9)).astype(dtype) for _ in range(1 + (cell == "lstm"))
    )

    got = ours(x, states if cell == "lstm" else states[0])

    tensors = tuple(map(torch.from_numpy, states))
    want = theirs(torch.from_numpy(x), tensors if cell == "lstm" else tensors[0])
    want = tuple(member.detach().numpy() for member in as_tuple(want))
    assert_close(as_tuple(got), want, 2 * tolerance(dtype, 1, 6 + 9))


@twins
@variants
def test_state_dicts_move_both_ways(engine, torch, cell, variant, dtype):
    layer = make_layer(engine, cell, 6, 9, dtype=dtype, seed=1, **VARIANTS[variant])
    twin = torch_twin(torch, cell, make_layer(engine, cell, 6, 9, dtype=dtype, **VARIANTS[variant]))

    layer.load_state_dict(twin.state_dict())

    theirs = {name: value.numpy() for name, value in twin.state_dict().items()}
    assert list(layer.state_dict()) == list(theirs)
    assert_close(layer.state_dict(), theirs, 0.0)


def test_state_dict_of_another_dtype_is_refused(engine, torch):
    layer = engine.GRU(6, 9, dtype="float32")
    twin = torch.nn.GRU(6, 9, dtype=torch.float64)

    with pytest.raises(TypeError, match="weight_ih_l0: expected dtype float32, got float64"):
        layer.load_state_dict(twin.state_dict())


def largest_distance(one, other):
    """Return the largest distance of two samples' distribution functions."""
    points = np.sort(np.concatenate([one, other]))
    shares = [np.searchsorted(np.sort(s), points, side="right") / s.size for s in (one, other)]
    return np.abs(shares[0] - shares[1]).max()


@twins
def test_initial_weights_are_distributed_as_in_pytorch(engine, torch, cell):
    torch.manual_seed(0)
    layer = make_layer(engine, cell, 20, 64, num_layers=2, dtype="float64", seed=0)
    extra = {"nonlinearity": "relu"} if cell == "rnn_relu" else {}
    twin = getattr(torch.nn, TWINS[cell])(20, 64, num_layers=2, dtype=torch.float64, **extra)

    ours, theirs = layer.state_dict(), twin.state_dict()

    for name, value in theirs.items():
        one, other = ours[name].ravel(), value.numpy().ravel()
        # Smirnov's bound: equal distributions are further apart with probability 2 exp(-2 c^2).
        spread = 3.5 * np.sqrt((one.size + other.size) / (one.size * other.size))
        assert largest_distance(one, other) < spread, name
        assert np.abs(one).max() <= 1 / np.sqrt(64)


# ONNX Runtime


# Blocks of our rows in ONNX's order: LSTM i,f,g,o -> i,o,f,c; GRU r,z,n -> z,r,h.
BLOCKS = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}
OPERATORS = {
    "rnn_tanh": "RNN",
    "rnn_relu": "RNN",
    "lstm": "LSTM",
    "gru": "GRU",
    "gru_reset_before": "GRU",
}
# Direction -> suffixes of the parameters it has, of a layer with both directions.
SUFFIXES = {"forward": [""], "reverse": ["_reverse"], "bidirectional": ["", "_reverse"]}
operators = pytest.mark.parametrize("cell", OPERATORS)
directions = pytest.mark.parametrize("direction", SUFFIXES)


def onnx_parameters(layer, operator, direction):
    """Return W, R and B as ONNX stacks them, from a layer with both directions."""
    values = layer.state_dict()

    def reorder(array):
        blocks = np.split(array, len(BLOCKS[operator]))
        return np.concatenate([blocks[index] for index in BLOCKS[operator]])

    def stack(*kinds):
        return np.stack(
            [
                np.concatenate([reorder(values[f"{kind}_l0{end}"]) for kind in kinds])
                for end in SUFFIXES[direction]
            ]
        )

    return {"W": stack("weight_ih"), "R": stack("weight_hh"), "B": stack("bias_ih", "bias_hh")}


def onnx_results(onnx, cell, layer, direction, x, state, *, lengths=None, clip=None):
    """Run one node in ONNX Runtime: return output (T, B, D*H) and a tuple of states."""
    import onnxruntime

    operator = OPERATORS[cell]
    members = dict(zip(("initial_h", "initial_c"), state or (), strict=False))
    slots: dict[str, Any] = {"X": x, **onnx_parameters(layer, operator, direction)}
    slots["sequence_lens"] = None if lengths is None else lengths.astype(np.int32)
    slots |= members
    fed = {name: value for name, value in slots.items() if value is not None}
    names = [name if name in fed else "" for name in slots]
    finals = ["Y_h", "Y_c"] if operator == "LSTM" else ["Y_h"]
    attributes = {"hidden_size": layer.hidden_size, "direction": direction}
    if clip is not None:
        attributes["clip"] = clip
    if operator == "GRU":
        attributes["linear_before_reset"] = int(cell == "gru")
    if cell == "rnn_relu":
        attributes["activations"] = ["Relu"] * len(SUFFIXES[direction])

    helper, types = onnx.helper, onnx.TensorProto
    inputs = [
        helper.make_tensor_value_info(
            name, types.INT32 if name == "sequence_lens" else types.FLOAT, list(value.shape)
        )
        for name, value in fed.items()
    ]
    D, H = len(SUFFIXES[direction]), layer.hidden_size
    shapes = {"Y": [len(x), D, x.shape[1], H]} | {name: [D, x.shape[1], H] for name in finals}
    outputs = [helper.make_tensor_value_info(n, types.FLOAT, size) for n, size in shapes.items()]
    node = helper.make_node(operator, names, ["Y", *finals], **attributes)
    graph = helper.make_graph([node], "one", inputs, outputs)
    # The first version with today's recurrent operators, and its file version.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    output, *states = session.run(None, fed)  # output is (T, D, B, H)
    return output.swapaxes(1, 2).reshape(*x.shape[:2], D * H), tuple(states)


def select(direction, output, states, hidden):
    """Pick a direction from the results of a layer with both."""
    columns, rows = {
        "forward": (slice(0, hidden), slice(0, 1)),
        "reverse": (slice(hidden, 2 * hidden), slice(1, 2)),
        "bidirectional": (slice(None), slice(None)),
    }[direction]
    return output[..., columns], tuple(state[rows] for state in states)


def assert_equal_to_onnx(onnx, engine, cell, direction, rng, *, lengths=None, clip=None, **kwargs):
    T, B, I, H = 7, 6, 5, 9  # noqa: E741
    options = {} if clip is None else {"gate_clip": clip}
    problem = make_problem(
        engine, cell, rng=rng, T=T, B=B, I=I, H=H, dtype="float32", bidirectional=True,
        **options, **kwargs,
    )  # fmt: skip
    call = {} if lengths is None else {"lengths": lengths}

    output, final = problem.layer(problem.x, problem.state, **call)

    given = None
    if problem.state is not None:
        _, given = select(direction, problem.x, as_tuple(problem.state), H)
    want = onnx_results(
        onnx, cell, problem.layer, direction, problem.x, given, lengths=lengths, clip=clip
    )
    got = select(direction, output, as_tuple(final), H)
    assert_close(got, want, allowed(problem.layer, T, B))


@operators
@directions
@pytest.mark.parametrize("with_state", [True, False], ids=["state", "no-state"])
def test_layers_equal_onnx_runtime(engine, onnx, cell, direction, with_state, rng):
    assert_equal_to_onnx(onnx, engine, cell, direction, rng, with_state=with_state)


@operators
@directions
def test_lengths_equal_sequence_lens(engine, onnx, cell, direction, rng):
    lengths = unsorted_lengths(7, 6, rng)

    assert_equal_to_onnx(onnx, engine, cell, direction, rng, lengths=lengths)


@operators
@directions
@pytest.mark.parametrize("clip", [0.125, 0.5])
def test_gate_clip_equals_clip(engine, onnx, cell, direction, clip, rng):
    assert_equal_to_onnx(onnx, engine, cell, direction, rng, clip=clip)
