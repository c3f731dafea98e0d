"""What series and steps count for the forecaster: weights as repetition, and 0 as absence."""

from __future__ import annotations

import numpy as np
import pytest

from helpers_loops import every

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from sklearn.model_selection import GridSearchCV, TimeSeriesSplit

from simdrnn.sklearn import SequenceForecaster
from simdrnn.sklearn.objectives import squared_error_of_counted

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {
    "cell": "gru",
    "hidden_size": 4,
    "max_iter": 4,
    "window": 8,
    "random_state": 0,
    "n_jobs": 1,
}
# Every loss, and every place where weights have a say beside it.
KINDS = [
    {},
    {"difference": 1, "lags": [1, 3], "alpha": 0.5},
    {"strategy": "direct", "horizon": 3, "quantiles": [0.1, 0.5, 0.9], "difference": 1},
    {"likelihood": "student_t", "early_stopping": True, "validation_fraction": 0.3},
    {"likelihood": "negative_binomial"},
    {"standardize": "series", "early_stopping": True, "validation_fraction": 0.3},
]


def counts(lengths=(30, 24, 37), seed=0):
    """Return series of counts, which all losses take, and features of each."""
    rng = np.random.default_rng(seed)
    series = [rng.poisson(4.0 + 3 * (np.arange(steps) % 5 < 2)).astype(float) for steps in lengths]
    return series, [rng.normal(size=(steps, 2)) for steps in lengths]


def with_gaps(series):
    return [np.where(np.arange(len(own)) % 7 == 3, np.nan, own) for own in series]


def bits(model):
    return model.network_.bytes(), model.loss_curve_, model.validation_scores_


def learned(arguments, series, features, weights=None, **more):
    model = SequenceForecaster(**{**QUICK, **arguments, **more})
    static = [[float(len(own))] for own in series]
    return model.fit(features, series, weights, static=static)


@every("arguments", KINDS, ids=str)
@every("gaps", [False, True])
def test_a_series_of_no_weight_is_as_if_it_were_not_there(arguments, gaps):
    series, features = counts()
    series = with_gaps(series) if gaps else series
    ahead = np.zeros((3, 3, 2))

    weighted = learned(arguments, series, features, [1.0, 0.0, 1.0])
    without = learned(arguments, series[::2], features[::2])

    assert bits(weighted) == bits(without)
    told = weighted.predict(ahead)
    assert np.array_equal(told[::2], without.predict(ahead[:2]))
    assert np.isfinite(told[1]).all()  # it is continued all the same
    assert bits(weighted) != bits(learned(arguments, series, features))


def test_a_series_of_no_weight_may_be_long_and_far_away():
    """So long that windows would lie further apart, so far that changes would be rounding."""
    series, _ = counts()
    far = 1e17 + 1e16 * np.arange(3000.0)

    weighted = SequenceForecaster(**QUICK, difference=1).fit([*series, far], None, [1, 1, 1, 0])

    assert bits(weighted) == bits(SequenceForecaster(**QUICK, difference=1).fit(series))


@every("arguments", KINDS, ids=str)
@every("gaps", [False, True])
def test_steps_without_weight_at_the_end_are_as_if_the_series_ended_before(arguments, gaps):
    series, features = counts()
    series = with_gaps(series) if gaps else series
    ends = [25, 24, 20]
    weights = [(np.arange(len(own)) < end) * 1.0 for own, end in zip(series, ends, strict=True)]
    shorter = [own[:end] for own, end in zip(series, ends, strict=True)]
    static = np.ones((3, 1))

    model = SequenceForecaster(**{**QUICK, **arguments})
    model.fit(features, series, weights, static=static)
    cut = [own[:end] for own, end in zip(features, ends, strict=True)]
    other = SequenceForecaster(**{**QUICK, **arguments}).fit(cut, shorter, static=static)

    assert bits(model) == bits(other)
    assert len(model._end.values[0]) == len(other._end.values[0])
    assert np.array_equal(model._end.values[0][-1], series[0][-1:], equal_nan=True)


@every("arguments", [{}, {"quantiles": [0.5]}, {"likelihood": "gaussian", "standardize": "series"}])
def test_a_target_without_weight_may_be_anything(arguments):
    """Of lags of 8 steps the values at 32 to 38 of 40 are told, and never seen."""
    y = counts((40,))[0][0]
    weights = np.ones(40)
    weights[33:36] = 0.0
    changed = np.where(weights > 0, y, 1e6)

    models = [
        SequenceForecaster(**{**QUICK, **arguments}, lags=[8]).fit(own, None, weights)
        for own in (y, changed)
    ]

    assert bits(models[0]) == bits(models[1])
    unweighted = SequenceForecaster(**{**QUICK, **arguments}, lags=[8]).fit(changed)
    assert bits(unweighted) != bits(models[1])


@every("arguments", KINDS, ids=str)
def test_what_is_missing_has_no_weight_whatever_it_is_given(arguments):
    series = with_gaps(counts()[0])
    plain = bits(SequenceForecaster(**{**QUICK, **arguments}).fit(series))

    for at_gaps in (0.0, 1.0, 50.0):
        weights = [np.where(np.isfinite(own), 1.0, at_gaps) for own in series]
        model = SequenceForecaster(**{**QUICK, **arguments}).fit(series, None, weights)
        assert bits(model) == plain


@every("arguments", KINDS, ids=str)
@every("by_step, gaps", [(False, False), (True, False), (True, True)])
def test_weights_are_as_repeated_series_but_for_rounding(arguments, by_step, gaps):
    series, features = counts()
    series = with_gaps(series) if gaps else series
    often = np.array([2, 0, 3])
    places = np.repeat(np.arange(3), often)
    # One mini-batch, so that the same windows are in it; and the same distance between windows.
    shared = {"dtype": "float64", "batch_size": 1000, "stride": 3, **arguments, "alpha": 0.5}
    weights = often * 1.0
    if by_step:
        weights = [np.full(len(own), count) for own, count in zip(series, often, strict=True)]

    weighted = learned(shared, series, features, weights)
    repeated = learned(shared, [series[k] for k in places], [features[k] for k in places])

    # 4 steps of Adam from the same weights: rounding of 1e-16, times at most a few per step.
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)
    if weighted.validation_scores_:
        np.testing.assert_allclose(
            weighted.validation_scores_, repeated.validation_scores_, rtol=1e-9
        )
    ahead = np.zeros((len(places), 3, 2))
    np.testing.assert_allclose(
        weighted.predict(ahead[:3])[places], repeated.predict(ahead), rtol=1e-7, atol=1e-9
    )


@every("arguments", KINDS, ids=str)
def test_only_what_weights_are_to_each_other_matters(arguments):
    series, features = counts()
    weights = np.array([0.5, 3.0, 1.0])
    arguments = {**arguments, "alpha": 0.0, "dtype": "float64"}

    one = learned(arguments, series, features, weights)
    four, seven = (learned(arguments, series, features, k * weights) for k in (4.0, 7.0))

    assert bits(one) == bits(four)  # a power of two rounds nothing
    np.testing.assert_allclose(seven.loss_curve_, one.loss_curve_, rtol=1e-9)
    alike = learned(arguments, series, features, np.full(3, 8.0))
    assert bits(alike) == bits(learned(arguments, series, features))
    assert bits(alike) != bits(one)


@every("arguments", KINDS, ids=str)
def test_mini_batches_count_in_the_mean_what_is_in_them(arguments):
    series, features = counts()
    series = with_gaps(series)
    still = {**arguments, "learning_rate": 1e-12, "dtype": "float64", "shuffle": False}

    small, large = (
        learned(still, series, features, [1.0, 9.0, 2.0], batch_size=size, alpha=0.0)
        for size in (3, 1000)
    )

    # The network stays as it is, so that the mean over all is one number, rounded.
    np.testing.assert_allclose(small.loss_curve_, large.loss_curve_, rtol=1e-9)
    if small.validation_scores_:
        np.testing.assert_allclose(small.validation_scores_, large.validation_scores_, rtol=1e-9)


def test_a_high_weight_draws_the_forecast():
    calm, wild = np.full(40, 1.0), np.where(np.arange(40) % 2, 9.0, 1.0)
    calm[::2] += 0.1

    def after(weights):
        model = SequenceForecaster(**{**QUICK, "max_iter": 60}, learning_rate=0.02, lags=[2])
        return model.fit([calm, wild], None, weights).predict(1, history=[np.full(6, 1.05)])[0, 0]

    # Both have seen 1 two steps before: only what counts says that 1 and not 9 comes.
    assert after([100.0, 1.0]) < after([1.0, 100.0])


def test_further_series_have_weights_of_their_own():
    first, more = counts(seed=0)[0], counts(seed=1)[0]
    arguments = {**QUICK, "difference": 1, "alpha": 0.5}
    flat = [np.full(len(own), 3.0) for own in first]  # so that scales come with the second call

    def went_on(*calls):
        model = SequenceForecaster(**arguments)
        for series, weights in calls:
            model.partial_fit(series, None, weights)
        return model

    zeros = went_on((flat, None), (more, [0.0, 1.0, 1.0]))
    without = went_on((flat, None), (more[1:], None))
    heavy = went_on((flat, None), (more, [5.0, 1.0, 1.0]))

    assert bits(zeros) == bits(without)
    assert bits(heavy) != bits(went_on((flat, None), (more, None)))
    twice = went_on((flat, [2.0] * 3), (more, [1.0, 2.0, 1.0]))
    repeated = went_on((flat * 2, None), ([*more, more[1]], None))
    np.testing.assert_allclose(
        twice._preparation.target_scaling.scale, repeated._preparation.target_scaling.scale,
        rtol=1e-12,
    )  # fmt: skip


def test_searches_cut_weights_of_steps_as_they_cut_the_series(rng):
    y = rng.normal(size=60)
    weights = np.where(np.arange(60) % 6 == 0, 0.0, 1.0 + np.arange(60) / 60)
    search = GridSearchCV(
        SequenceForecaster(**QUICK), {"hidden_size": [3, 4]}, cv=TimeSeriesSplit(2),
        error_score="raise",
    )  # fmt: skip

    best = search.fit(y, None, sample_weight=weights).best_estimator_

    again = SequenceForecaster(**best.get_params()).fit(y, None, weights)
    assert bits(best) == bits(again)
    # Each fold has the weights of its steps, in fit and in score.
    (_, _), (train, test) = TimeSeriesSplit(2).split(y)
    model = SequenceForecaster(**{**QUICK, "hidden_size": 3}).fit(y[train], None, weights[train])
    own = model.score(y[test], sample_weight=weights[test])
    assert search.cv_results_["split1_test_score"][0] == own
    assert own != model.score(y[test])


def test_scores_count_steps_as_they_are_told(rng):
    series = [rng.normal(size=30), rng.normal(size=24)]
    model = SequenceForecaster(**QUICK).fit(series)
    ahead, told = rng.normal(size=(2, 3)), model.predict(3)
    weights = np.array([[1.0, 0.0, 2.0], [3.0, 1.0, 0.0]])

    def wanted(each):
        mean = np.average(ahead, weights=each)
        return 1 - (each * (ahead - told) ** 2).sum() / (each * (ahead - mean) ** 2).sum()

    assert model.score(list(ahead), None, weights) == pytest.approx(wanted(weights))
    by_series = np.repeat([[2.0], [1.0]], 3, axis=1)
    assert model.score(list(ahead), None, [2.0, 1.0]) == pytest.approx(wanted(by_series))
    ahead[0, 1] = np.nan  # which has no weight
    held = model.score(list(ahead), None, weights)
    ahead[0, 1] = 5.0
    assert held == pytest.approx(wanted(weights))
    only = np.where(weights > 0, np.nan, 1.0)
    with pytest.raises(ValueError, match="y: expected a known step of every target that counts"):
        model.score(list(only), None, weights)


def test_frames_have_a_column_of_weights():
    series, _ = counts((20, 14))
    own = np.random.default_rng(3).integers(1, 4, 34).astype(float)
    rows = np.delete(np.arange(34), [4, 25])  # rows that are left out: missing targets
    table = {
        "shop": np.repeat(["a", "b"], [20, 14])[rows],
        "day": np.concatenate([np.arange(20), np.arange(14)])[rows],
        "sales": np.concatenate(series)[rows],
        "counts": own[rows],
        "size": np.repeat([3.0, 5.0], [20, 14])[rows],
    }
    names = {"target": "sales", "time": "day", "id": "shop", "static": "size"}
    names["sample_weight"] = "counts"
    series[0][4] = series[1][5] = np.nan
    own[[4, 25]] = 0.0

    model = SequenceForecaster(**QUICK).fit_frame(table, **names)

    static = [[3.0], [5.0]]
    wanted = SequenceForecaster(**QUICK).fit(series, None, [own[:20], own[20:]], static=static)
    assert bits(model) == bits(wanted)
    assert list(model.predict_frame(2)) == ["shop", "day", "sales"]
    table["counts"][3] = np.nan
    with pytest.raises(ValueError, match=r"frame\['counts'\]: .* got none in row 3"):
        SequenceForecaster(**QUICK).fit_frame(table, **names)
    with pytest.raises(ValueError, match="target: expected other columns for each purpose"):
        SequenceForecaster(**QUICK).fit_frame(table, **{**names, "sample_weight": "sales"})


def test_gradients_are_differences_of_weighted_losses(rng):
    found, targets = rng.normal(size=(2, 5, 3, 2))
    weights = rng.integers(0, 4, (5, 3, 2)) / 3
    targets[weights == 0] = np.nan

    value, gradient = squared_error_of_counted(found, targets, weights)

    assert value == pytest.approx(np.nansum(weights * (found - targets) ** 2) / weights.sum())
    direction, step = rng.normal(size=found.shape), 1e-6
    near = [
        squared_error_of_counted(found + sign * step * direction, targets, weights)[0]
        for sign in (1, -1)
    ]
    np.testing.assert_allclose((gradient * direction).sum(), (near[0] - near[1]) / 2e-6, rtol=1e-6)
    assert not gradient[weights == 0].any()


def test_weights_that_cannot_be_are_named():
    one, several = np.arange(12.0), [np.arange(12.0), np.arange(9.0) % 4]
    last = np.zeros(20)
    last[-1] = 1.0
    held = {"early_stopping": True, "validation_fraction": 0.3}

    for series, weights, arguments, message in [
        (one, np.ones(11), {}, r"sample_weight: expected shape \(12,\), got \(11,\)"),
        (one, 2.0, {}, r"sample_weight: expected shape \(12,\), got 2.0"),
        (several, np.ones(3), {}, r"sample_weight: expected shape \(2,\), got \(3,\)"),
        (several, [np.ones(12), np.ones(8)], {}, r"sample_weight\[1\]: expected shape \(9,\)"),
        (several, [1.0, -1.0], {}, "sample_weight: expected no negative weight, got -1.0"),
        (several, [1.0, np.nan], {}, "sample_weight"),
        (several, [0.0, 0.0], {}, "sample_weight: expected a weight above zero, got only zeros"),
        (several, np.ma.array([1.0, 2.0], mask=[0, 1]), {}, "sample_weight: .* without masked"),
        (
            one, (np.arange(12) < 3) * 1.0, {"difference": 1, "lags": 2},
            "sample_weight: expected a weight above zero after the first 3 steps of a series",
        ),
        (
            one, (np.arange(12) == 2) * 1.0, {"strategy": "direct", "horizon": 3},
            "sample_weight: expected known targets with a weight above zero after the lags",
        ),
        (
            np.append(one, [np.nan, 3.0]), (np.arange(14) == 12) * 1.0, {"standardize": False},
            "sample_weight: expected known targets with a weight above zero",
        ),
        (
            np.append(one, [np.nan, 3.0]), (np.arange(14) == 12) * 1.0, {},
            "y: expected known steps of every target with a weight above zero",
        ),
        (np.arange(20.0), last, held, "validation_fraction: .* both of them with a weight above"),
    ]:  # fmt: skip
        with pytest.raises((TypeError, ValueError), match=message):
            SequenceForecaster(**QUICK, **arguments).fit(series, None, weights)
