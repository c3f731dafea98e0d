from __future__ import annotations

import pickle
from importlib.util import find_spec

import numpy as np
import pytest

from helpers_loops import every
from helpers_nn import assert_close, central_difference
from simdrnn.losses import Gaussian, NegativeBinomial, StudentT

needs_scipy = pytest.mark.skipif(find_spec("scipy") is None, reason="SciPy is not installed")

LIKELIHOODS = {
    "gaussian": Gaussian(),
    "student": StudentT(),
    "student of 3": StudentT(degrees=3.0, floor=0.01),
    "counts": NegativeBinomial(),
}
NAMES = list(LIKELIHOODS)
LEVELS = [0.001, 0.1, 0.5, 0.8, 0.99]


def case(name, dtype="float64", spread=3.0):
    likelihood = LIKELIHOODS[name]
    rng = np.random.default_rng(4)
    raw = rng.normal(0.0, spread, (4, 3, 2, likelihood.num_outputs)).astype(dtype)
    target = rng.normal(0.0, 2.0, (4, 3, 2)).astype(dtype)
    return likelihood, raw, np.round(np.exp(target)) if name == "counts" else target


def frozen(name, parameters):
    """Return SciPy's distribution of these parameters."""
    from scipy import stats

    if name == "gaussian":
        return stats.norm(parameters["mean"], parameters["scale"])
    if name == "counts":
        size = 1.0 / parameters["dispersion"]
        return stats.nbinom(size, size / (size + parameters["mean"]))
    return stats.t(parameters["degrees"], parameters["location"], parameters["scale"])


@every("name", NAMES)
def test_gradient_equals_finite_differences(name):
    likelihood, raw, target = case(name, spread=1.0)
    rng = np.random.default_rng(5)
    options = {"mask": rng.random((4, 3)) < 0.7, "weights": rng.random((4, 3, 2))}

    gradient = likelihood.loss(raw, target, **options).backward()

    want = central_difference(lambda: likelihood.loss(raw, target, **options).value, raw, 2.0**-17)
    np.testing.assert_allclose(gradient, want, rtol=1e-7, atol=1e-8)


@every("name", NAMES)
def test_masked_positions_may_hold_anything(name):
    likelihood, raw, target = case(name, "float32")
    mask = np.random.default_rng(5).random((4, 3)) < 0.7
    want = likelihood.loss(raw, target, mask=mask)
    raw[~mask], target[~mask] = np.nan, np.nan

    loss = likelihood.loss(raw, target, mask=mask)

    assert loss.value == want.value
    assert loss.backward().dtype == np.float32
    np.testing.assert_array_equal(loss.backward(), want.backward())
    nothing = likelihood.loss(raw, target, mask=np.zeros((4, 3), bool))
    assert nothing.value == 0.0
    np.testing.assert_array_equal(nothing.backward(), 0.0)


@every("name", NAMES)
@every("dtype", ["float32", "float64"])
def test_no_finite_raw_value_overflows(name, dtype):
    likelihood = LIKELIHOODS[name]
    most = float(np.finfo(dtype).max)
    far = [-most, -1e4, -800.0, 0.0, 800.0, 1e30, most]
    grid = np.stack(np.meshgrid(*[far] * likelihood.num_outputs), axis=-1).astype(dtype)
    for target in (0.0, 1.0, 1000.0):
        loss = likelihood.loss(grid, np.full(grid.shape[:-1], target, dtype))
        gradient = loss.backward()
        assert not np.isnan(loss.value)
        assert not np.isnan(gradient).any()
        if name != "gaussian" and dtype == "float32":  # its square is none of float64
            assert np.isfinite(loss.value)
        if name != "gaussian":
            assert np.isfinite(gradient).all()


def test_counts_that_are_near_poisson_and_far_from_it_are_exact():
    # Of a fine dispersion p(3) is Poisson's; of a coarse one nearly everything is 0.
    raw = np.array([[2.0, -1e9], [2.0, 1e12]])
    mean = 1e-4 + np.log1p(np.exp(2.0))
    poisson = -(3 * np.log(mean) - mean - np.log(6.0))

    fine = NegativeBinomial(floor=1e-9).loss(raw[:1], np.array([3]))
    coarse = NegativeBinomial().loss(raw[1:], np.array([0]))

    assert_close(fine.value, poisson, 1e-4)
    assert 0.0 < coarse.value < 1e-10


def test_distributions_have_the_parameters_that_are_told():
    raw = np.array([[0.5, -1e9, 1e9]], "float32")

    assert Gaussian(floor=0.25).parameters(raw[:, :2])["scale"] == 0.25
    assert StudentT().parameters(raw)["degrees"] == 2.0 + 1e9
    assert StudentT(degrees=5.0).parameters(raw[:, :2])["degrees"] == 5.0
    assert NegativeBinomial(floor=0.5).parameters(raw[:, :2])["dispersion"] == 0.5
    assert [LIKELIHOODS[name].num_outputs for name in NAMES] == [2, 3, 2, 2]
    for likelihood in LIKELIHOODS.values():
        assert pickle.loads(pickle.dumps(likelihood)) == likelihood


@every("name", NAMES)
def test_samples_have_the_quantiles_and_come_again(name):
    likelihood, raw, _ = case(name, "float32", spread=1.0)

    drawn = likelihood.sample(raw, 4000, seed=3)

    assert drawn.shape == (4000, 4, 3, 2)
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn, likelihood.sample(raw, 4000, seed=3))
    assert (drawn != likelihood.sample(raw, 4000, seed=np.random.default_rng(4))).any()
    places = likelihood.quantile(raw, [0.2, 0.8])
    assert places.shape == (4, 3, 2, 2)
    # Of 4000 draws four standard deviations of a share are 0.026; counts jump over levels.
    assert (np.mean(drawn <= places[..., 1], axis=0) > 0.77).all()
    assert (np.mean(drawn < places[..., 0], axis=0) < 0.23).all()
    if name in ("gaussian", "counts"):  # the others' means converge too slowly
        error = np.std(drawn, axis=0) / np.sqrt(4000)
        assert (np.abs(drawn.mean(axis=0) - likelihood.mean(raw)) < 5 * error).all()


@pytest.mark.peers
@needs_scipy
@every("name", NAMES)
def test_likelihoods_equal_scipy(name):
    likelihood, raw, target = case(name)
    known = frozen(name, likelihood.parameters(raw))
    density = known.logpmf(target) if name == "counts" else known.logpdf(target)

    loss = likelihood.loss(raw, target)
    sums = likelihood.loss(raw, target, weights=(target == target[1, 2, 1]).astype("f8"))

    assert_close(loss.value, -density.mean(), 1e-12)
    assert_close(sums.value, -density[target == target[1, 2, 1]].mean(), 1e-12)


@pytest.mark.peers
@needs_scipy
@every("name", NAMES)
def test_quantiles_equal_scipy(name):
    likelihood, raw, _ = case(name)
    parameters = likelihood.parameters(raw)

    found = likelihood.quantile(raw, LEVELS)

    want = np.stack([frozen(name, parameters).ppf(level) for level in LEVELS], axis=-1)
    np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-12)
    means = frozen(name, parameters).mean()
    np.testing.assert_allclose(likelihood.mean(raw), means, rtol=1e-12)


@pytest.mark.peers
@needs_scipy
def test_extreme_quantiles_equal_scipy():
    from scipy import stats

    raw = np.array([[0.0, 0.0, degrees] for degrees in (-9.0, 0.0, 9.0, 1e3, 1e6)])
    scale, degrees = np.log(2.0) + 1e-4, StudentT().parameters(raw)["degrees"]

    found = StudentT().quantile(raw, [1e-12, 1.0 - 1e-9])
    wanted = [stats.t.ppf(1e-12, degrees), -stats.t.ppf(1.0 - (1.0 - 1e-9), degrees)]
    np.testing.assert_allclose(found, np.stack(wanted, -1) * scale, rtol=1e-10)

    raw = np.array([[1e6, 0.0], [1e9, 0.0], [1e9, -20.0]])
    size = 1.0 / NegativeBinomial().parameters(raw)["dispersion"]
    known = stats.nbinom(size, size / (size + raw[:, 0]))
    wanted = [known.ppf(level) for level in LEVELS]
    np.testing.assert_allclose(
        NegativeBinomial().quantile(raw, LEVELS), np.stack(wanted, -1), rtol=1e-8
    )


X = np.zeros((2, 3), "float32")
Y = np.zeros(2, "float32")
HIGH = np.array([1e30, 0.0], "float32")


@every(
    "call, error, message",
    [
        (lambda: Gaussian(floor=0.0), ValueError, "floor: expected a positive finite number"),
        (lambda: NegativeBinomial(floor=2.0), ValueError, r"floor: expected a number in \(0, 1\]"),
        (lambda: StudentT(degrees=1), ValueError, "degrees: expected a number above 1, got 1"),
        (
            lambda: Gaussian().sample(X[:, :2], 10**30),
            MemoryError,
            "n=1000.*: too large for any memory",
        ),
        (lambda: Gaussian().loss(X, Y), ValueError, r"raw: expected .*\(..., 2\), got \(2, 3\)"),
        (lambda: StudentT().loss(X, X), ValueError, r"target: expected shape \(2,\), got \(2, 3\)"),
        (lambda: StudentT().loss(X, Y > 0), TypeError, "target: expected dtype float32, got bool"),
        (lambda: StudentT().mean([1, 2, 3]), TypeError, "raw: expected dtype float32 or float64"),
        (lambda: StudentT().quantile(X, 0.5), ValueError, "quantiles: expected one or more"),
        (lambda: StudentT().sample(X, 0), ValueError, "n: expected a positive integer, got 0"),
        (lambda: StudentT().sample(X, 1, seed=-1), ValueError, "seed: expected a non-negative"),
        (  # whole numbers need not be floats, and a mask is not forgotten
            lambda: NegativeBinomial().loss(X[:, :2], np.ma.array(np.ones(len(X), int))),
            TypeError,
            "target: expected a plain array, got a masked array; use mask=",
        ),
        (
            lambda: NegativeBinomial().loss(X[:, :2], Y - 1),
            ValueError,
            "target: expected whole numbers, 0 or more",
        ),
        (
            lambda: NegativeBinomial().loss(X[:, :2], Y + 0.5),
            ValueError,
            "target: expected whole numbers, 0 or more",
        ),
        (
            lambda: NegativeBinomial().quantile(X[:, :2] + HIGH, [0.5, 0.99]),
            ValueError,
            r"raw: expected quantiles below 2\*\*53",
        ),
        (
            lambda: NegativeBinomial().sample(X[:, :2] + HIGH, 100, seed=0),
            ValueError,
            r"raw: expected counts below 2\*\*53",
        ),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
