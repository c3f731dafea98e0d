"""Exported and traced layers run at any length and batch, are trained, and are read from files."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys

import pytest

from helpers_loops import every

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
torch = pytest.importorskip("torch", reason="needs the [peers] extra: torch")

from torch.export import Dim, export  # noqa: E402
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence  # noqa: E402

import simdrnn.torch  # noqa: E402
from helpers_bridge_torch import as_tuple  # noqa: E402

I, H = 3, 4  # noqa: E741
CELLS = ("LSTM", "GRU", "RNN")


class Model(torch.nn.Module):
    """A layer, and something behind it; with lengths if they are given."""

    def __init__(self, kind, **options):
        super().__init__()
        self.rnn = getattr(simdrnn.torch, kind)(I, H, **options)
        self.out = torch.nn.Linear(H * (1 + self.rnn.bidirectional), 2)

    def forward(self, x, lengths=None):
        """Return outputs and the final state."""
        output, state = self.rnn(x, lengths=lengths)
        return self.out(output), state


def arguments(model, steps, batch, *, lengths):
    """Return arguments of a model for so many steps and rows."""
    x = torch.randn((batch, steps, I) if model.rnn.batch_first else (steps, batch, I))
    if not lengths:
        return (x,)
    return x, torch.randint(0, steps + 1, (batch,))


def free(model, *, lengths):
    """Leave batch and length of an exported model's arguments free."""
    shapes = {"x": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}}
    return shapes | {"lengths": {0: Dim.DYNAMIC}} if lengths else shapes


CONFIGURATIONS = list(itertools.product(CELLS, (False, True), (False, True), (1, 2), (False, True)))


@every(
    "configuration",
    CONFIGURATIONS,
    ids=lambda c: f"{c[0]}-{c[3]}-both:{c[1]}-batch_first:{c[2]}-lengths:{c[4]}",
)
def test_any_length_and_batch(configuration):
    kind, bidirectional, batch_first, layers, lengths = configuration
    options = {"num_layers": layers, "bidirectional": bidirectional, "batch_first": batch_first}
    model = Model(kind, **options)

    program = export(
        model,
        arguments(model, 5, 3, lengths=lengths),
        dynamic_shapes=free(model, lengths=lengths),
    )

    for steps, batch in ((9, 2), (3, 6)):
        given = arguments(model, steps, batch, lengths=lengths)
        torch.testing.assert_close(program.module()(*given), model(*given), rtol=0, atol=0)


@every("kind", CELLS)
def test_what_was_exported_is_saved_and_compiled(kind):
    model = Model(kind, batch_first=True, bidirectional=True)
    program = export(
        model, arguments(model, 5, 3, lengths=True), dynamic_shapes=free(model, lengths=True)
    )
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    loaded = torch.export.load(file).module()

    given = arguments(model, 7, 2, lengths=True)
    want = model(*given)
    torch.testing.assert_close(loaded(*given), want, rtol=0, atol=0)
    compiled = torch.compile(loaded, backend="aot_eager")
    torch.testing.assert_close(compiled(*given), want, rtol=0, atol=0)


@every("how", ["mask", "reset"])
def test_flags_are_arguments_too(how):
    class Flagged(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = simdrnn.torch.GRU(I, H)

        def forward(self, x, flags):
            return self.rnn(x, **{how: flags})

    model, flags = Flagged(), lambda *shape: torch.rand(shape) < 0.5
    free_sizes = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}
    program = export(
        model, (torch.randn(5, 3, I), flags(5, 3)),
        dynamic_shapes={"x": free_sizes, "flags": free_sizes},
    )  # fmt: skip

    given = torch.randn(7, 2, I), flags(7, 2)
    torch.testing.assert_close(program.module()(*given), model(*given), rtol=0, atol=0)


def test_lengths_are_checked_when_a_program_runs():
    model = Model("GRU")
    program = export(
        model, arguments(model, 5, 3, lengths=True), dynamic_shapes=free(model, lengths=True)
    )

    with pytest.raises(ValueError, match=r"lengths: expected values in \[0, T\] = \[0, 4\], got 5"):
        program.module()(torch.randn(4, 2, I), torch.tensor([5, 2]))


@every("sorted_rows", [False, True])
def test_packed_rows_inside(sorted_rows):
    # PyTorch cannot export `pad_packed_sequence` for any length; states have no need of it, and a
    # warning says what to do about outputs.
    class Packs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = simdrnn.torch.LSTM(I, H, 2, bidirectional=True, batch_first=True)

        def forward(self, x, lengths):
            packed = pack_padded_sequence(x, lengths, True, sorted_rows)
            return self.rnn(packed)[1]

    model = Packs()
    sizes = {"x": {0: Dim.AUTO, 1: Dim.AUTO}, "lengths": {0: Dim.AUTO}}
    given = torch.randn(2, 5, I), torch.tensor([5, 3])
    with pytest.warns(UserWarning, match="give the layer padded rows and lengths= instead"):
        program = export(model, given, dynamic_shapes=sizes)

    given = torch.randn(4, 9, I), torch.tensor([9, 7, 3, 2])
    torch.testing.assert_close(program.module()(*given), model(*given), rtol=0, atol=0)


# Gradients


def gradients(model, call, given):
    """Return results of a call, and gradients for the model's parameters."""
    model.zero_grad()
    output, state = call(*given)
    (output.square().sum() + sum(s.sum() for s in as_tuple(state))).backward()
    return [output.detach(), *(p.grad.clone() for p in model.parameters())]


def exported(model, given):
    return export(model, given, dynamic_shapes=free(model, lengths=len(given) > 1)).module()


def lowered(model, given):
    program = export(model, given, dynamic_shapes=free(model, lengths=len(given) > 1))
    return program.run_decompositions().module()


def traced(model, given):
    return torch.jit.trace(model, given)  # which runs what it traced, to check it


def traced_and_loaded(model, given):
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(model, given), file)
    file.seek(0)
    return torch.jit.load(file)


@every("record", [exported, lowered, traced, traced_and_loaded])
@every("without", [torch.no_grad, torch.enable_grad])
@every("lengths", [False, True])
def test_what_was_traced_is_trained(record, without, lengths):
    # Traced with or without gradients, and run with and without: what counts is when it runs.
    model = Model("LSTM", num_layers=2)
    with without():
        call = record(model, arguments(model, 5, 3, lengths=lengths))
    given = arguments(model, 7, 2, lengths=lengths)

    want = gradients(model, model, given)
    if record is traced_and_loaded:
        call.zero_grad()
        output, state = call(*given)
        (output.square().sum() + sum(s.sum() for s in state)).backward()
        own = dict(call.named_parameters())
        got = [output.detach(), *(own[name].grad for name, _ in model.named_parameters())]
    else:
        got = gradients(model, call, given)

    torch.testing.assert_close(got, want, rtol=0, atol=0)
    with torch.no_grad():
        output, _ = call(*given)
    assert not output.requires_grad
    assert torch.equal(output, want[0])


def test_nothing_is_kept_where_nobody_wants_gradients(monkeypatch):
    from simdrnn.torch import calls

    asked, forward = [], calls.forward

    def spy(*arguments, record):
        asked.append(record)
        return forward(*arguments, record=record)

    model = Model("GRU")
    given = arguments(model, 5, 3, lengths=False)
    call = traced(model, given)
    monkeypatch.setattr(calls, "forward", spy)
    with torch.no_grad():
        call(*given)
    call(*given)

    assert asked == [False, True]


def test_traced_packed_rows_have_any_length_and_batch():
    class Packs(torch.nn.Module):
        def __init__(self, sorted_rows):
            super().__init__()
            self.rnn = simdrnn.torch.GRU(I, H, batch_first=True)
            self.sorted_rows = sorted_rows

        def forward(self, x, lengths):
            packed = pack_padded_sequence(x, lengths, True, self.sorted_rows)
            return pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0]

    for sorted_rows in (False, True):
        model = Packs(sorted_rows)
        call = torch.jit.trace(model, (torch.randn(2, 5, I), torch.tensor([5, 3])))

        given = torch.randn(4, 9, I), torch.tensor([9, 7, 3, 2])
        torch.testing.assert_close(call(*given), model(*given), rtol=0, atol=0)


def test_another_process_reads_what_was_traced(tmp_path):
    model = Model("LSTM", batch_first=True)
    given = arguments(model, 5, 3, lengths=True)
    torch.jit.save(torch.jit.trace(model, given), tmp_path / "traced.pt")
    torch.export.save(export(model, given), tmp_path / "exported.pt2")
    torch.save((given, model(*given)), tmp_path / "values.pt")
    code = (
        "import sys, torch, simdrnn.torch\n"
        "folder = sys.argv[1]\n"
        "given, want = torch.load(folder + '/values.pt')\n"
        "traced = torch.jit.load(folder + '/traced.pt')\n"
        "program = torch.export.load(folder + '/exported.pt2').module()\n"
        "for call in (traced, program):\n"
        "    torch.testing.assert_close(call(*given), want, rtol=0, atol=0)\n"
        "print('same')\n"
    )

    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert result.stdout.strip() == "same", result.stderr
