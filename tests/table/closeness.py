"""Bits, roundings, and how far results may be from those of the reference."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from problems import Problem, Setting, build, each
from simdrnn import reference

# Roundings that one step adds besides its sums: a handful of operations and activations of a few
# units in the last place each.
STEP_ROUNDINGS = 32

# Of relative movements of the reference's inputs, in double: small enough to cross no kink.
_MOVED = 1e-9


def tolerance(dtype: Any, steps: int, reduction: int) -> float:
    """Return how far a result may be from the exact one, relative to the largest element.

    Model: independent roundings of relative size u = eps / 2. A sum of n products is then off by
    more than 6 u sqrt(n) times the sum of magnitudes with probability below 2 exp(-18) (Higham and
    Mary 2019, "A new approach to probabilistic rounding error analysis", theorem 2.4); n here is
    the reduction length plus the step's other roundings. Activations have slopes of at most 1, and
    with PyTorch's initial weights a step does not amplify what it is handed, so the errors of the
    steps add up: linear growth, once forward and once backward.

    Parameters
    ----------
    dtype : of the arithmetic.
    steps : T; for stacks, times the number of layers.
    reduction : terms of the longest sum: I + H forward, T * B for gradients of weights.
    """
    unit = float(np.finfo(dtype).eps) / 2
    return 6 * unit * float(np.sqrt(reduction + STEP_ROUNDINGS)) * 2 * (steps + 1)


def assert_same_bits(got: Any, want: Any, name: str = "") -> None:
    """Compare arrays, or tuples or dicts of them, bit for bit: zeros by sign, NaNs by payload."""
    if isinstance(want, Mapping):
        assert list(got) == list(want), name
        for key in want:
            assert_same_bits(got[key], want[key], f"{name}[{key}]")
    elif isinstance(want, tuple):
        assert len(got) == len(want), name
        for index, member in enumerate(want):
            assert_same_bits(got[index], member, f"{name}[{index}]")
    else:
        got, want = np.ascontiguousarray(got), np.ascontiguousarray(want)
        assert (got.shape, got.dtype) == (want.shape, want.dtype), name
        if got.tobytes() != want.tobytes():
            np.testing.assert_array_equal(got.view(np.uint8), want.view(np.uint8), err_msg=name)


def arrays_of(found: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the arrays of nested tuples and dicts, with where they are."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from arrays_of(value, f"{name}[{key}]")
    elif isinstance(found, tuple):
        for index, member in enumerate(found):
            yield from arrays_of(member, f"{name}[{index}]")
    else:
        yield name, np.asarray(found)


def moved(problem: Problem, rng: np.random.Generator) -> Problem:
    """Return the problem with every number of its inputs moved by about `_MOVED` of itself."""

    def move(value: Any) -> Any:
        return (value * (1 + _MOVED * rng.standard_normal(value.shape))).astype(value.dtype)

    layer = copy.deepcopy(problem.layer)
    for name, value in layer.parameters().items():
        setattr(layer, name, move(value))
    return problem.changed(layer=layer, x=move(problem.x), state=each(move, problem.state))


def distances(got: Any, want: Any) -> dict[str, float]:
    """Return of each array how far it lies from what is wanted, relative to its largest element."""
    found, given = {}, dict(arrays_of(got))
    for name, value in arrays_of(want):
        assert given[name].shape == value.shape, name
        scale = float(np.abs(value).max(initial=0.0))
        apart = float(np.abs(given[name] - value).max(initial=0.0))
        found[name] = apart / scale if scale > 0 else apart
    assert [*given] == [*found]
    return found


def allowed(of: Setting) -> float:
    """Return the tolerance of all results of a row: the longest sum is that of one product."""
    info = of.info
    gates = info.gates + info.separate + info.phases - 1  # GRU: n_x and n_h
    inputs = max(of.inputs, of.width if of.layers > 1 else 0)
    longest = max(inputs + of.h_size, gates * of.H, of.T * of.B)
    return tolerance(of["dtype"], of.T * of.layers, longest)


def assert_near(got: Any, want: Any, twin: Problem, of: Setting) -> None:
    """Compare results with those of the reference.

    `tolerance` is about steps that amplify nothing. By how much a row's whole amplifies (norms,
    activations with slopes above 1, sums that cancel) is measured where its results are farther
    away: all inputs of the reference are moved a little; of three movements the middle one counts.
    """
    limit = allowed(of)
    far = {name: by for name, by in distances(got, want).items() if not by <= limit}
    if not far:
        return
    rng, double = np.random.default_rng(0), in_double(twin, of)
    exact = double.results()
    found = [distances(moved(double, rng).results(), exact) for _ in range(3)]
    for name, by in far.items():
        factor = max(1.0, sorted(one[name] for one in found)[1] / _MOVED)
        assert by <= limit * factor, f"{name}: {by:.3g} away, {limit * factor:.3g} allowed"


def in_double(problem: Problem, of: Setting) -> Problem:
    """Return the same problem, in the same numbers, of a layer of the reference in double."""

    def double(value: Any) -> Any:
        return None if value is None else value.astype("float64")

    layer = build(reference, of, dtype="float64")
    layer.load_state_dict({n: double(v) for n, v in problem.layer.parameters().items()})
    call = dict(problem.call)
    if "attention" in call:
        call["attention"] = double(call["attention"])
    if "reset_state" in call:
        call["reset_state"] = each(double, call["reset_state"])
    return problem.changed(
        layer=layer, x=double(problem.x), state=each(double, problem.state), call=call,
        d_output=double(problem.d_output), d_state=each(double, problem.d_state),
        d_last=double(problem.d_last),
    )  # fmt: skip
