"""`simdrnn.jax` in a process: packed parameters are never stale, threads, few workers, no JAX."""

from __future__ import annotations

import runpy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from helpers import printed, program
from helpers_source import ROOT
from simdrnn.engine import pooled as shared

pytestmark = pytest.mark.peers

jax = pytest.importorskip("jax", reason="needs the [peers] extra: jax")

import simdrnn.jax as srj  # noqa: E402
from helpers_jax import assert_same, way  # noqa: E402, F401
from simdrnn.jax import execution  # noqa: E402

EXAMPLE = ROOT / "examples" / "jax_training.py"


def members(count, key=0):
    """Draw sets of parameters that differ in one number in the middle of one matrix."""
    params = srj.init_params(jax.random.key(key), "GRU", 3, 16)
    return [
        params | {"weight_hh_l0": params["weight_hh_l0"].at[20, 7].set(float(n))}
        for n in range(count)
    ]


def test_changed_parameters_are_noticed(way, rng):  # noqa: F811
    x = rng.standard_normal((4, 2, 3)).astype("float32")
    run = jax.jit(srj.gru)

    sets = members(20)  # more than are kept
    for params in [*sets, *reversed(sets), sets[0], sets[0], sets[19], sets[0]]:
        assert_same(run(params, x), srj.to_layer("GRU", params)(x))


def test_arrays_that_are_written_over_in_place_are_noticed(rng):
    """An optimiser may leave new numbers at the old address."""
    params = {name: np.array(value) for name, value in members(1)[0].items()}
    plan = srj.functions.plan_of("GRU", params, {})
    x, state = rng.standard_normal((4, 2, 3)).astype("float32"), np.zeros((1, 2, 16), "float32")
    fields = [plan.number, 0, 4, 2, 0, 0, 0, 0, 0, 0]
    for value in (0.5, 0.5, -0.25, 0.5):
        params["weight_hh_l0"][20, 7] = value
        output, final = np.empty((4, 2, 16), "float32"), np.empty_like(state)
        shared.run_arrays(fields, [x, state, *params.values()], [output, final])
        assert_same((output, final), srj.to_layer("GRU", params)(x))


def test_threads_share_networks(way, rng):  # noqa: F811
    x = rng.standard_normal((30, 2, 3)).astype("float32")
    run = jax.jit(jax.grad(lambda params: (srj.gru(params, x)[0] ** 2).sum()))
    sets = members(6, key=1)
    tapes = [srj.to_layer("GRU", params).record(x) for params in sets]
    want = [tape.backward(2 * tape.output).params for tape in tapes]

    def task(n):
        for k in range(20):
            index = (n * 7 + k) % len(sets)
            assert_same(run(sets[index]), want[index])

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(task, n) for n in range(4)]:
            done.result()


def test_another_instruction_set_packs_again(isa, rng):
    params = members(1, key=2)[0]
    x = rng.standard_normal((4, 2, 3)).astype("float32")

    assert_same(srj.gru(params, x), srj.to_layer("GRU", params)(x))


def test_packed_parameters_can_be_released(rng):
    params = srj.init_params(jax.random.key(3), "LSTM", 64, 64)
    x = rng.standard_normal((2, 1, 64)).astype("float32")
    want = jax.tree.map(np.asarray, srj.lstm(params, x))

    assert srj.release_memory() >= sum(value.nbytes for value in params.values())
    assert srj.release_memory() == 0
    assert_same(srj.lstm(params, x), want)


def test_wrong_calls_are_refused_by_the_engine(rng):
    params = members(1)[0]
    plan = srj.functions.plan_of("GRU", params, {})
    arrays = [np.zeros((4, 2, 3), "float32"), np.zeros((1, 2, 16), "float32")]
    arrays += [np.asarray(params[name]) for name in plan.names]
    results = [np.empty((4, 2, 16), "float32"), np.empty((1, 2, 16), "float32")]
    fields = [plan.number, 0, 4, 2, 0, 0, 0, 0, 0, 0]
    shared.run_arrays(fields, arrays, results)

    for wrong, words in [
        ((fields[1:], arrays, results), "call: expected 10 numbers, got 9"),
        (([1, *fields[1:]], arrays, results), "network: expected one that this process has made"),
        ((fields, arrays[:-1], results), "arguments: expected more than 5"),
        ((fields, [*arrays, arrays[0]], results), "arguments: expected 6, got 7"),
        ((fields, [arrays[0][:3], *arrays[1:]], results), "arguments: expected 96 bytes in buffer"),
        ((fields, arrays, results[::-1]), "results: expected 512 bytes in buffer 0, got 128"),
        ((fields, arrays, [results[0].T, results[1]]), "results: expected C-contiguous arrays"),
    ]:
        with pytest.raises(ValueError, match=words):
            shared.run_arrays(*wrong)


def test_ways_are_chosen_by_name():
    with pytest.raises(ValueError, match="way: expected 'ffi', if it was built, or 'callback'"):
        execution.choose("fast")
    assert srj.uses_ffi() == (execution.chosen_way() == "ffi")


LARGE = """
import jax, jax.numpy as jnp
import simdrnn.jax as srj
from simdrnn.jax import execution
execution.choose("callback")
params = srj.init_params(jax.random.key(0), "LSTM", 256, 256)
x = jax.random.normal(jax.random.key(1), (20, 64, 256))
step = jax.jit(jax.grad(lambda params: (srj.lstm(params, x)[0] ** 2).sum()))
for _ in range(3):
    params = jax.tree.map(lambda a, b: a - 1e-6 * b, params, step(params))
print(jax.block_until_ready(params)["bias_ih_l0"].shape)
"""


def test_callbacks_end_where_one_worker_does_everything():
    """`jax.pure_callback` waits there for a copy that its own thread should make."""
    assert printed(program(LARGE), PJRT_NPROC="1") == "(1024,)"


def test_without_jax_the_import_says_what_to_install():
    said = printed(
        program("""
        import sys
        import simdrnn
        assert "jax" not in sys.modules
        sys.modules["jax"] = None
        try:
            import simdrnn.jax
        except ImportError as error:
            print(error)
        """)
    )

    assert said == "simdrnn.jax needs JAX: pip install jax"


@pytest.mark.skipif(not EXAMPLE.is_file(), reason="the examples are not beside the tests")
def test_the_example_learns(capsys):
    runpy.run_path(str(EXAMPLE), run_name="__main__")

    first, last = (float(line.split()[-1]) for line in capsys.readouterr().out.splitlines())
    assert last < first / 4
