"""Computes on-demand features in columns: for a table what `ViewRecord` computes for one entity and day."""

from typing import Any

import narwhals as nw

from windlass.core.feature_view import ViewRecord, YearsSince


def add_on_demand_features(record: ViewRecord, frame: Any, day: str) -> Any:
    """Returns a native frame, lazy or not, with the view's on-demand features on the date in the column `day`.

    The frame needs the stored columns that they are computed from; a column of a feature's name is replaced.
    """
    features = {name: _years_since(feature, day) for name, feature in record.at_request.items()}
    return nw.from_native(frame).with_columns(**features).to_native()


def _years_since(feature: YearsSince, day: str) -> nw.Expr:
    since, at = nw.col(feature.column), nw.col(day)
    years = at.dt.year().cast(nw.Int64) - since.dt.year().cast(nw.Int64)
    incomplete = _day_of_year(at) < _day_of_year(since)
    return nw.when(since <= at).then(years - incomplete.cast(nw.Int64))


def _day_of_year(day: nw.Expr) -> nw.Expr:
    """Returns month and day as one number that sorts as a calendar does."""
    return day.dt.month().cast(nw.Int64) * 100 + day.dt.day().cast(nw.Int64)
