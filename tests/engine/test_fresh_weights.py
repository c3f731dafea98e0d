"""What backward reads of weights is packed when it is needed, of what forward reads: same bits."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

import simdrnn as sr
from factors import INFOS
from helpers import as_tuple, assert_same_bits, make_layer
from simdrnn.layers.bound import bound_layer

has_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")

T, B = 3, 2


def packed_bytes(layer):
    return sr.explain(layer, T, B).packed_bytes


def problem(layer, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((T, B, layer.input_size)).astype(layer.dtype)
    takes = bound_layer(layer).info.step_inputs
    return x, {"attention": np.full((T, B), 0.5, layer.dtype)} if takes else {}


def gradients(tape):
    found = tape.backward(np.ones_like(tape.output))
    return (found.x, *as_tuple(found.state), *found.params.values())


def of_recorded(layer, x, options):
    """Return the gradients of a layer whose weights are packed for a recorded call at once."""
    return gradients(layer.record(x, **options))


def of_completed(layer, x, options):
    """Return those of one whose weights were packed for forward before."""
    layer(x, **options)
    before = packed_bytes(layer)
    tape = layer.record(x, **options)
    assert packed_bytes(layer) == before  # recording alone does not need more
    found = gradients(tape)
    assert packed_bytes(layer) > before
    return found


def change(layer, by=1.0):
    with layer._update_parameters() as arrays:
        for array in arrays.values():
            array += array.dtype.type(by)


@pytest.mark.parametrize("isa", sr.isa.available())
@pytest.mark.parametrize("cell", INFOS)
def test_every_cell_is_completed_as_if_packed_at_once(cell, isa):
    before = sr.isa.active()
    sr.isa.use(isa)
    try:
        for sizes in ((5, 37), (16, 24)):
            one, other = (make_layer(sr, cell, *sizes, seed=3) for _ in range(2))
            x, options = problem(one)
            assert_same_bits(of_completed(one, x, options), of_recorded(other, x, options))
    finally:
        sr.isa.use(before)


def both_ways(isa, name, sizes, options):
    before = sr.isa.active()
    sr.isa.use(isa)
    try:
        one, other = (getattr(sr, name)(*sizes, seed=3, **options) for _ in range(2))
        x, _ = problem(one)
        assert_same_bits(of_completed(one, x, {}), of_recorded(other, x, {}))
    finally:
        sr.isa.use(before)


@pytest.mark.parametrize("isa", sr.isa.available())
def test_heads_and_projections_are_completed_alike(isa):
    both_ways(isa, "SLSTM", (20, 60), {"num_heads": 3})
    both_ways(isa, "LSTM", (24, 40), {"proj_size": 9, "num_layers": 2, "bidirectional": True})


@pytest.mark.parametrize("isa", sorted({*sr.isa.available()} - {"scalar"}))
def test_what_is_written_past_the_caches_is_completed_alike(isa):
    both_ways(isa, "RNN", (1003, 1001), {"dtype": "float64"})  # 16 MB, both ways 32
    both_ways(isa, "LSTM", (515, 520), {})  # 9 MB, and 17 for both ways


def test_a_recorded_call_packs_both_at_once_and_others_what_they_read():
    layer = sr.LSTM(64, 64, seed=0)
    x, _ = problem(layer)

    layer(x)
    forward = packed_bytes(layer)
    change(layer)
    tape = layer.record(x)
    both = packed_bytes(layer)
    tape.backward(tape.output)

    assert 1.9 * forward < both <= 2 * forward
    assert packed_bytes(layer) == both
    change(layer)
    layer(x)
    assert packed_bytes(layer) == forward


def test_a_version_is_completed_with_its_own_values_after_another_thread_changed_them():
    layer, twin = sr.GRU(30, 40, seed=0), sr.GRU(30, 40, seed=0)
    x, _ = problem(layer)
    layer(x)
    tape = layer.record(x)
    writer = threading.Thread(target=change, args=(layer,))
    writer.start()
    writer.join()
    layer(x)  # which takes the memory that is free

    assert_same_bits(gradients(tape), of_recorded(twin, x, {}))


def test_threads_that_complete_a_version_together_find_the_same():
    layer, twin = sr.LSTM(200, 200, seed=0), sr.LSTM(200, 200, seed=0)
    x, _ = problem(layer)
    want = of_recorded(twin, x, {})
    for _ in range(10):
        change(layer, 0.0)
        layer(x)
        tape, start = layer.record(x, num_threads=1), threading.Barrier(3)
        found = []

        def work(tape=tape, start=start, found=found):
            start.wait()
            found.append(gradients(tape))

        workers = [threading.Thread(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(found) == 3
        for one in found:
            assert_same_bits(one, want)


@has_fork
def test_a_child_completes_what_its_parent_packed():
    layer, twin = sr.LSTM(30, 40, seed=0), sr.LSTM(30, 40, seed=0)
    x, _ = problem(layer)
    want = of_recorded(twin, x, {})
    layer(x)
    tape = layer.record(x)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = int(not all(map(np.array_equal, gradients(tape), want)))
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert_same_bits(gradients(tape), want)
