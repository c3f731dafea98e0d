"""Long data frames in and out of the forecaster: series, times, gaps, calendars."""

from __future__ import annotations

from datetime import datetime, timezone

import numpy as np
import pytest

from helpers_loops import every

pytest.importorskip("sklearn", reason="needs the [sklearn] extra: scikit-learn")

from simdrnn.sklearn import SequenceForecaster

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
]

QUICK = {"cell": "gru", "hidden_size": 6, "max_iter": 2, "window": 8, "random_state": 0}
NAMES = {"target": "sales", "time": "day", "id": "shop"}


def shops():
    """Return a long table of two shops, and the sales of each."""
    rng = np.random.default_rng(0)
    sales = [rng.normal(size=20), rng.normal(size=14)]
    first = np.datetime64("2024-01-30")
    days = [first + np.arange(20), first + 3 + np.arange(14)]
    table = {
        "shop": np.repeat(["b", "a"], [20, 14]),
        "day": np.concatenate(days),
        "sales": np.concatenate(sales),
        "open": rng.normal(size=34),
        "size": np.repeat([3.0, 5.0], [20, 14]),
    }
    return table, sales


def picked(table, rows):
    return {name: values[rows] for name, values in table.items()}


def test_a_frame_is_its_series(rng):
    table, sales = shops()
    mixed = picked(table, np.append(0, 1 + rng.permutation(33)))
    X = [table["open"][:20], table["open"][20:]]
    future = {
        "shop": np.array(["a", "b", "a", "b"]),
        "day": np.array(["2024-02-17", "2024-02-19", "2024-02-16", "2024-02-20"], "M8[D]"),
        "open": np.arange(4.0),
    }

    model = SequenceForecaster(**QUICK).fit_frame(mixed, **NAMES, features="open", static="size")
    told = model.predict_frame(future=future)

    plain = SequenceForecaster(**QUICK).fit(
        [own[:, None] for own in X], sales, static=[[3.0], [5.0]]
    )
    wanted = plain.predict([np.array([[1.0], [3.0]]), np.array([[2.0], [0.0]])])
    assert list(told) == ["shop", "day", "sales"]
    assert told["shop"].tolist() == ["b", "b", "a", "a"]
    assert told["day"].astype(str).tolist() == [
        *("2024-02-19", "2024-02-20"),
        *("2024-02-16", "2024-02-17"),
    ]
    assert np.array_equal(told["sales"], wanted.ravel())


def test_rows_that_are_left_out_are_missing():
    table, sales = shops()
    rows = np.flatnonzero(np.arange(34) % 5 != 2)
    table["sales"][7] = np.nan
    holes = [np.where(np.arange(34) % 5 == 2, np.nan, table["sales"])]
    series = [holes[0][:20], holes[0][20:]]

    model = SequenceForecaster(**QUICK, quantiles=[0.1, 0.5, 0.9])
    model.fit_frame(picked(table, rows), **NAMES)
    found = model.predict_frame(1, quantiles=[0.5, 0.9])

    wanted = SequenceForecaster(**QUICK, quantiles=[0.1, 0.5, 0.9]).fit(series)
    assert list(found) == ["shop", "day", "sales_0.5", "sales_0.9"]
    assert np.array_equal(found["sales_0.9"], wanted.predict_quantiles(1)[:, 0, 2])
    assert len(sales) == 2


def weekdays(first, count):
    """Return business days from a day on."""
    return np.busday_offset(first, np.arange(count))


CLOCKS = [
    (np.arange(10) * 3 + 7, [37, 40]),
    (np.arange(10) * 0.5, [5.0, 5.5]),
    (np.arange("2023-04", "2024-02", dtype="M8[M]"), ["2024-02", "2024-03"]),
    (
        np.arange("2023-04", "2024-02", dtype="M8[M]").astype("M8[D]"),
        ["2024-02-01", "2024-03-01"],
    ),
    (  # the last days of months, of a leap year too
        np.arange("2023-05", "2024-03", dtype="M8[M]").astype("M8[D]") - 1,
        ["2024-02-29", "2024-03-31"],
    ),
    (
        (np.arange("2014", "2024", dtype="M8[Y]").astype("M8[M]") + 3).astype("M8[ns]"),
        ["2024-04-01T00:00:00.000000000", "2025-04-01T00:00:00.000000000"],
    ),
    (
        np.datetime64("2024-02-28T22:00", "m") + 30 * np.arange(10),
        ["2024-02-29T03:00", "2024-02-29T03:30"],
    ),
    (np.datetime64(1, "ns") + 7 * np.arange(10), None),
    (np.datetime64("2024-02-01") + 7 * np.arange(10), ["2024-04-11", "2024-04-18"]),
    (weekdays("2024-02-14", 10) + np.timedelta64(16, "h"), ["2024-02-28T16", "2024-02-29T16"]),
    (weekdays("2024-02-12", 10), ["2024-02-26", "2024-02-27"]),  # after a Friday
    (weekdays("1969-12-16", 10), ["1969-12-30", "1969-12-31"]),
    # Of one week alone nobody knows.
    (np.datetime64("2024-02-12T00") + 12 * np.arange(10), ["2024-02-17T00", "2024-02-17T12"]),
]


@every("times, wanted", CLOCKS, ids=lambda value: str(value)[:24])
def test_times_go_on_as_they_came(times, wanted):
    frame = {"t": np.delete(times, 4), "y": np.arange(9.0) % 4}

    told = SequenceForecaster(**QUICK).fit_frame(frame, target=["y"], time="t").predict_frame(2)

    assert list(told) == ["t", "y"]
    if wanted is None:
        wanted = np.datetime64(1, "ns") + 7 * np.array([10, 11])
    assert told["t"].dtype == times.dtype
    assert told["t"].tolist() == np.array(wanted, times.dtype).tolist()


def test_days_of_one_week_and_of_weekends_are_days():
    days = np.arange("2024-02-12", "2024-02-27", dtype="M8[D]")
    for times, wanted in [
        (days[:5], "2024-02-17"),  # Monday to Friday: nobody knows
        (np.delete(days, 6), "2024-02-27"),  # one Sunday left out
    ]:
        frame = {"t": times, "y": np.arange(len(times)) % 3.0}
        options = QUICK | {"window": 2}
        told = SequenceForecaster(**options).fit_frame(frame, target="y", time="t")

        assert str(told.predict_frame(1)["t"][0]) == wanted


def test_holidays_are_missing_and_weekends_are_not_there():
    days, sales = weekdays("2024-02-01", 20), np.random.default_rng(0).normal(size=20)
    sales[7] = np.nan
    frame = {"day": np.delete(days, 7), "sales": np.delete(sales, 7)}

    told = SequenceForecaster(**QUICK).fit_frame(frame, target="sales", time="day").predict_frame(3)

    assert np.array_equal(told["sales"], SequenceForecaster(**QUICK).fit(sales).predict(3))


def test_other_histories_come_as_frames():
    table, sales = shops()
    model = SequenceForecaster(**QUICK).fit_frame(table, **NAMES)
    rows = np.flatnonzero((table["shop"] == "a") & (np.arange(34) < 30))

    told = model.predict_frame(3, history=picked(table, rows))

    assert told["day"].astype(str).tolist() == ["2024-02-12", "2024-02-13", "2024-02-14"]
    assert np.array_equal(told["sales"], model.predict(3, history=[sales[1][:10]])[0])


def test_data_frames_come_back_as_such():
    pandas = pytest.importorskip("pandas", reason="pandas is an extra of the user's")
    table, _ = shops()
    frame = pandas.DataFrame(table)
    frame.loc[3, "sales"] = None

    told = SequenceForecaster(**QUICK).fit_frame(frame, **NAMES, past="open").predict_frame()

    assert isinstance(told, pandas.DataFrame)
    assert told.columns.tolist() == ["shop", "day", "sales"]
    assert told["day"].dtype == frame["day"].dtype


def test_frames_that_cannot_be_are_named():
    table, _ = shops()
    fit = SequenceForecaster(**QUICK).fit_frame
    twice = picked(table, np.append(np.arange(34), 5))
    between = {**table, "day": table["day"].astype("M8[h]")}
    between["day"][5] += 7
    far = {"shop": ["a", "b"], "day": np.array(["2024-02-16", "2024-02-21"], "M8[D]")}
    gaps = {**table, "open": np.where(np.arange(34) == 3, np.nan, table["open"])}
    left_out = picked(table, np.arange(34) != 3)
    featured = SequenceForecaster(**QUICK).fit_frame(table, **NAMES, features="open")
    zoned = [datetime(2024, 1, 1 + day % 28, tzinfo=timezone.utc) for day in range(34)]
    business = SequenceForecaster(**QUICK).fit_frame(
        {"day": weekdays("2024-02-01", 20), "sales": np.arange(20) % 4.0},
        target="sales",
        time="day",
    )

    for wrong, message in [
        (lambda: fit(twice, **NAMES), "of 'b': expected every time once, got 2024-02-"),
        (
            lambda: fit(picked(between, np.arange(20)), **NAMES),
            r"frame\['day'\] of 'b': expected times at equal distances of 17:00:00, with rows left",
        ),
        (lambda: fit({**table, "day": table["sales"]}, **NAMES), "equal distances of"),
        (
            lambda: fit(table, **{**NAMES, "time": "when"}),
            "frame: expected a column 'w",
        ),
        (lambda: fit(table, **NAMES, past="sales"), "target: expected other columns"),
        (
            lambda: fit(gaps, **NAMES, features="open"),
            r"open'\] of 'b': .* got none at",
        ),
        (
            lambda: fit(left_out, **NAMES, features="open"),
            "only targets may be missing",
        ),
        (lambda: fit(table, **NAMES, static="open"), "expected one number for all row"),
        (
            lambda: featured.predict_frame(future={**far, "open": np.zeros(2)}),
            r"future\['day'\] of 'b': expected rows from 2024-02-19 on, .* got 2024-02-21",
        ),
        (
            lambda: featured.predict_frame(
                future={name: values[:1] for name, values in far.items()} | {"open": [0.0]}
            ),
            r"future\['day'\] of 'b': expected rows from 2024-02-19 on, .* got none",
        ),
        (
            lambda: featured.predict_frame(future={**far, "day": [1, 2], "open": np.zeros(2)}),
            r"future\['day'\] of 'a': expected points in time, as in fit, got int64",
        ),
        (
            lambda: featured.predict_frame(3),
            r"^future: expected a frame with 'day' and \['open'\] of the steps to come",
        ),
        (
            lambda: fit(table, **NAMES).predict_frame(future=far),
            "^future: expected None, as fit_frame had no features, got dict",
        ),
        (
            lambda: fit({**table, "sales": table["sales"][:5]}, **NAMES),
            r"^frame\['sales'\]: expected shape \(34,\), a row for each, got \(5,\)",
        ),
        (
            lambda: fit({**table, "sales": np.append(table["sales"], 1.0)}, **NAMES),
            r"^frame\['sales'\]: expected shape \(34,\), a row for each, got \(35,\)",
        ),
        (lambda: fit(table, **{**NAMES, "target": None}), "^target: expected the column to fore"),
        (
            lambda: SequenceForecaster(**QUICK).fit(np.arange(9.0)).predict_frame(2),
            "predict_frame: expected a forecaster fitted by fit_frame, got by fit",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            wrong()
    for wrong, message in [
        (
            lambda: fit({**table, "day": zoned}, **NAMES),
            r"^frame\['day'\]: expected .* got times with a time zone; tz_localize\(None\)",
        ),
        (
            lambda: featured.predict_frame(future={**far, "day": zoned[:2], "open": np.zeros(2)}),
            r"^future\['day'\] of 'a': expected .* got times with a time zone",
        ),
        (
            lambda: business.predict_frame(
                history={
                    "day": np.arange("2024-02-12", "2024-02-22", dtype="M8[D]"),
                    "sales": np.ones(10),
                }
            ),
            r"^history\['day'\]: expected business days, Monday to Friday .* got 2024-02-17",
        ),
        (lambda: fit(table, **{**NAMES, "time": ["day"]}), "^time: expected the name of a column"),
        (lambda: fit(table, **{**NAMES, "id": 3}), "^id: expected the name of a column, got 3"),
        (
            lambda: fit({**table, "sales": table["sales"] * 1j}, **NAMES),
            r"^frame\['sales'\]: expected numbers; got complex128",
        ),
        (
            lambda: fit(table["sales"], **NAMES),
            "frame: expected a data frame or a dict",
        ),
        (
            lambda: fit(table, **{**NAMES, "time": "sales"}),
            "target: expected other columns",
        ),
        (
            lambda: fit(table, target="day", time="size"),
            r"frame\['day'\]: expected numb",
        ),
    ]:
        with pytest.raises((TypeError, ValueError), match=message):
            wrong()
