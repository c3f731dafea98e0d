"""A forecaster of long data frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from simdrnn.sklearn.arguments import naming_its_class
from simdrnn.sklearn.frames import LongForm, LongSeries, as_name, as_names, numbers_of
from simdrnn.validate import Array, as_positive

__all__ = ["FrameForecaster"]


class FrameForecaster:
    """What `SequenceForecaster` does with long data frames: rows of series and times."""

    _long: tuple[LongForm, LongSeries]  # what `fit_frame` was given
    _frame_type: Any

    @naming_its_class
    def fit_frame(
        self,
        frame: Any,
        *,
        target: str | Iterable[str],
        time: str,
        id: str | None = None,
        features: str | Iterable[str] | None = None,
        past: str | Iterable[str] | None = None,
        static: str | Iterable[str] | None = None,
        sample_weight: str | None = None,
    ) -> Any:
        """Learn from a long data frame: a row for each series and time, in any order.

        Times are numbers, or points in time (datetime64, days of months among them), and stand at
        equal distances, the same for all series: the least distance that there is. Days of several
        weeks none of which is a Saturday or Sunday are business days: weekends are no steps then,
        and are not forecast. Where a time has no row, or the row no number, the target is missing;
        covariates may not be.

        Parameters
        ----------
        frame : a data frame of pandas, polars or any package with ``frame[name]`` and
            ``frame.columns``; or a dict, name -> column.
        target : the column, or the columns, to forecast.
        time : the column with times.
        id : the column that says which series a row is of; None is one series.
        features : columns that are known also for the steps to come.
        past : columns that are known up to now alone.
        static : columns with one number for all rows of a series.
        sample_weight : the column with what each row counts, as in `fit`.

        Returns
        -------
        The estimator itself.
        """
        if target is None or not len(names := as_names("target", target)):
            raise ValueError(f"target: expected the column to forecast, got {target!r}")
        form = LongForm(
            as_name("time", time), None if id is None else as_name("id", id), names,
            as_names("features", features),
            as_names("past", past), as_names("static", static), isinstance(target, str),
        )  # fmt: skip
        columns = (*form.targets, *form.features, *form.past, *form.static)
        weights = () if sample_weight is None else (as_name("sample_weight", sample_weight),)
        columns = (*columns, *weights)
        if len(set(columns)) < len(columns) or {time, id} & set(columns):
            raise ValueError(f"target: expected other columns for each purpose, got {columns}")
        long = LongSeries.of("frame", frame, form, columns, None)
        given = _arguments(form, long, "frame")
        X, y = given.pop("X"), given.pop("y")
        if sample_weight is not None:
            given["sample_weight"] = _weights(form, long, frame, sample_weight)
        estimator: Any = self
        estimator.fit(*((y,) if X is None else (X, y)), **given)
        self._long, self._frame_type = (form, long), _type_of(frame)
        return self

    @naming_its_class
    def predict_frame(
        self,
        horizon: int | None = None,
        *,
        future: Any = None,
        quantiles: Any = None,
        history: Any = None,
    ) -> Any:
        """Return what comes next as a long data frame.

        Parameters
        ----------
        horizon : how many steps; None is the constructor's, or as many as `future` has.
        future : a frame with the columns `id` and `time` and the features of the steps to come,
            from that after the last row of each series on; needed if `fit_frame` had features.
        quantiles : levels to return instead of one number, as for `predict_quantiles`.
        history : a frame to continue, instead of that of `fit_frame`, with its columns.

        Returns
        -------
        A frame of the type of `history` or of that in `fit_frame`, with the columns `id` and
        `time`, and the targets; or for each target and level ``target_level``, ``sales_0.9``.
        """
        check_is_fitted(self, "network_")
        if not hasattr(self, "_long"):
            raise ValueError("predict_frame: expected a forecaster fitted by fit_frame, got by fit")
        form, long = self._long
        columns = (*form.targets, *form.features, *form.past, *form.static)
        given: dict[str, Any] = {}
        if history is not None:
            long = LongSeries.of("history", history, form, columns, long.clock)
            own = _arguments(form, long, "history")
            given = {"history": own.pop("y")}
            given |= {f"history_{name}": values for name, values in own.items()}
        steps = None if horizon is None else as_positive("horizon", horizon)
        if future is None and form.features:
            raise ValueError(
                f"future: expected a frame with {form.time!r} and {list(form.features)} of the "
                "steps to come, as fit_frame had features, got None"
            )
        if future is not None:
            if not form.features:
                raise ValueError(
                    "future: expected None, as fit_frame had no features, got "
                    f"{type(future).__name__}; how many steps to tell is horizon="
                )
            given["X"] = _features_ahead(form, long, future)
        estimator: Any = self
        if quantiles is None:
            told = estimator.predict(horizon=steps, **given)[..., None]
            names = form.targets
        else:
            told = estimator.predict_quantiles(horizon=steps, quantiles=quantiles, **given)
            names = tuple(f"{name}_{level:g}" for name in form.targets for level in quantiles)
        values = told.reshape(len(long.names), -1, len(names))
        made_by = self._frame_type if history is None else _type_of(history)
        return made_by(_long_columns(form, long, values, names))


def _type_of(frame: Any) -> Any:
    """Return what makes a frame like this of a dict of columns."""
    return dict if isinstance(frame, Mapping) else type(frame)


def _arguments(form: LongForm, long: LongSeries, argument: str) -> dict[str, Any]:
    """Return the series of a frame as `SequenceForecaster.fit` takes them."""
    long.check_complete(argument, (*form.features, *form.past))

    def tables(names: Sequence[str]) -> Any:
        if not names:
            return None
        made = [long.table(index, names) for index in range(len(long.names))]
        return made[0] if form.id is None else made

    y = tables(form.targets)
    if form.flat:
        y = y[:, 0] if form.id is None else [values[:, 0] for values in y]
    static = long.constant(argument, form.static) if form.static else None
    return {
        "y": y, "X": tables(form.features), "past": tables(form.past),
        "static": static if static is None or form.id is not None else static[0],
    }  # fmt: skip


def _weights(form: LongForm, long: LongSeries, frame: Any, name: str) -> Any:
    """Return a column of weights as `SequenceForecaster.fit` takes them.

    Where the frame has no row there is no target either, which has no weight.
    """
    gone = np.flatnonzero(np.isnan(numbers_of("frame", frame, name)))
    if gone.size:
        raise ValueError(
            f"frame[{name!r}]: expected a weight in every row, got none in row {gone[0]}"
        )
    made = [np.nan_to_num(own[name]) for own in long.columns]
    return made[0] if form.id is None else made


def _features_ahead(form: LongForm, long: LongSeries, future: Any) -> Any:
    """Return the features of the steps to come, as `predict` takes them."""
    ahead = LongSeries.of("future", future, form, form.features, long.clock)
    ahead.check_complete("future", form.features)
    places = {name: index for index, name in enumerate(ahead.names)}
    made = []
    for name, start, length in zip(long.names, long.starts, long.lengths, strict=True):
        where = "" if name is None else f" of {name!r}"
        index = places.get(name)
        first = long.clock.times(start + length, 1)[0]
        if index is None or ahead.starts[index] != start + length:
            found = None if index is None else long.clock.times(ahead.starts[index], 1)[0]
            raise ValueError(
                f"future[{form.time!r}]{where}: expected rows from {first} on, the step after the "
                f"last that is known, got {'none' if index is None else found}"
            )
        made.append(ahead.table(index, form.features))
    return made[0] if form.id is None else made


def _long_columns(
    form: LongForm, long: LongSeries, values: Array, names: Sequence[str]
) -> dict[str, Array]:
    """Return forecasts (N, h, columns) as columns of a long frame."""
    count, steps, _ = values.shape
    ends = [start + length for start, length in zip(long.starts, long.lengths, strict=True)]
    made: dict[str, Array] = {}
    if form.id is not None:
        made[form.id] = np.repeat(np.array(long.names), steps)
    made[form.time] = np.concatenate([long.clock.times(end, steps) for end in ends])
    flat = values.reshape(count * steps, len(names))
    return made | {name: flat[:, place] for place, name in enumerate(names)}
