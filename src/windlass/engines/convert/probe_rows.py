"""Generates rows that reveal differences between two models: uniform, at splits, missing, unseen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array
    from windlass.engines.convert.types import FittedEstimator

UNSEEN = "\u2047 unseen"
_MARGIN = 0.25  # of the observed range, on either side
_MAX_CATEGORIES = 20  # a numeric column with no more distinct values may hold categories


@dataclass(frozen=True)
class ProbeRowSampler:
    """Samples rows like the training ``rows``; ``splits`` are raw split points by numeric column.

    With ``in_range``, numbers stay in the observed range and columns of few distinct values are
    not changed, for estimators that reject unseen values.
    """

    fitted: FittedEstimator
    rows: pd.DataFrame
    splits: dict[int, Array]
    random: np.random.Generator
    in_range: bool = False

    def recombined(self, count: int) -> pd.DataFrame:
        """Return rows whose cells each come from a random training row."""
        size, names = len(self.rows), self.fitted.numeric_columns
        chosen = self.random.integers(size, size=(count, len(names)))
        numbers = np.take_along_axis(self._training_numbers, chosen, axis=0)
        columns: dict[str, Any] = dict(zip(names, numbers.T, strict=True))
        for name in self.fitted.text_columns:
            columns[name] = self.rows[name].array.take(self.random.integers(size, size=count))
        return self.frame(columns)

    def midpoints(self, count: int) -> pd.DataFrame:
        """Return rows half-way between two training rows: equally near to both."""
        first, second = self._training(count), self._training(count)
        return self._with_numbers(first, (self._numbers(first) + self._numbers(second)) / 2)

    def uniform(self, count: int) -> pd.DataFrame:
        """Return rows with numbers drawn uniformly from within and around the observed range."""
        frame, (low, high) = self.recombined(count), _range(self._training_numbers)
        margin = (high - low) * (0.0 if self.in_range else _MARGIN)
        drawn = self.random.uniform(low - margin, high + margin, (count, len(low)))
        drawn = np.clip(drawn, *self.bounds)
        drawn[np.isnan(self._numbers(frame))] = np.nan  # missing as often as in training
        return self._with_numbers(frame, drawn)

    def at_splits(self, count: int) -> pd.DataFrame:
        """Return training rows with about half of the numbers at, or just beside, a split."""
        frame = self._training(count)
        numbers, (low, high) = self._numbers(frame), _range(self._training_numbers)
        for index in range(numbers.shape[1]):
            points = self.split_points(index)
            if self.in_range:
                points = points[(points >= low[index]) & (points <= high[index])]
            if len(points):
                chosen = self.random.random(count) < 0.5
                numbers[chosen, index] = self.random.choice(points, int(chosen.sum()))
        return self._with_numbers(frame, numbers)

    def with_missing(self, count: int, *, anywhere: bool) -> pd.DataFrame:
        """Return recombined rows with more values missing: where they may be, or where training has some."""
        frame = self.recombined(count)
        columns = {name: frame[name] for name in self.fitted.columns}
        for name, values in columns.items():
            may_be_missing = anywhere and self.fitted.domain(name).nullable
            if may_be_missing or self.rows[name].isna().any():
                columns[name] = values.mask(self.random.random(count) < 0.3)
        return self.frame(columns)

    def with_unseen_text(self, count: int) -> pd.DataFrame:
        """Return recombined rows with some text that is not in the training rows."""
        frame = self.recombined(count)
        for name in self.fitted.text_columns:
            unseen = self.unseen_categories(name)
            if unseen:
                chosen = self.random.random(count) < 0.5
                drawn = self.random.choice(np.array(unseen, object), count)
                frame[name] = frame[name].astype(object).mask(chosen, drawn)
                frame[name] = frame[name].astype(self.rows[name].dtype)
        return frame

    def unseen_categories(self, name: str) -> list[str]:
        """Return valid categories that are not in the training rows: those declared, or one of an open set."""
        declared = self.fitted.domain(name).categories
        if declared is None:
            return [UNSEEN]
        return [category for category in declared if category not in set(self.rows[name].dropna())]

    @property
    def bounds(self) -> tuple[Array, Array]:
        """Smallest and largest valid value by numeric column."""
        domains = [self.fitted.domain(name) for name in self.fitted.numeric_columns]
        return np.array([each.low for each in domains]), np.array([each.high for each in domains])

    @cached_property
    def _training_numbers(self) -> Array:
        return self._numbers(self.rows)

    def _training(self, count: int) -> pd.DataFrame:
        chosen = self.random.integers(len(self.rows), size=count)
        return self.rows.iloc[chosen].reset_index(drop=True)

    def _numbers(self, frame: pd.DataFrame) -> Array:
        columns = list(self.fitted.numeric_columns)
        return np.array(frame[columns].to_numpy(np.float64))

    def _with_numbers(self, frame: pd.DataFrame, numbers: Array) -> pd.DataFrame:
        columns: dict[str, Any] = dict(zip(self.fitted.numeric_columns, numbers.T, strict=True))
        unchanged = (
            *self.fitted.text_columns,
            *(self._number_categories() if self.in_range else ()),
        )
        columns |= {name: frame[name] for name in unchanged}
        return self.frame(columns)

    def _number_categories(self) -> list[str]:
        """Return the numeric columns of few distinct values."""
        names = self.fitted.numeric_columns
        return [name for name in names if self.rows[name].nunique() <= _MAX_CATEGORIES]

    def frame(self, columns: dict[str, Any]) -> pd.DataFrame:
        """Return rows of these columns by name, with the types of the training rows."""
        typed = {
            name: pd.Series(columns[name], dtype=self.rows[name].dtype)
            if name in self.fitted.text
            else columns[name]
            for name in self.fitted.columns
        }
        return pd.DataFrame(typed)

    def split_points(self, index: int) -> Array:
        """Return valid values of a numeric column at, and one float32 and float64 step beside, splits.

        Where no split is known, the middles between neighbouring training values stand in.
        """
        values = self._training_numbers[:, index]
        values = np.unique(values[~np.isnan(values)])
        points = np.unique(self.splits.get(index, np.array([])))
        points = points[np.isfinite(points)]
        if not len(points):
            points = np.concatenate([(values[1:] + values[:-1]) / 2, values])
        with np.errstate(over="ignore", invalid="ignore"):  # of a split beyond float32
            single = points.astype(np.float32)
            beside = [np.nextafter(single, np.float32(limit)) for limit in (-np.inf, np.inf)]
            near = [single, *beside, np.nextafter(points, -np.inf), np.nextafter(points, np.inf)]
            # Half-way between float32 values is where rounding to float32 changes sides.
            halves = [(side.astype(np.float64) + single) / 2 for side in beside]
        result = np.concatenate([points, *(part.astype(np.float64) for part in near), *halves])
        domain = self.fitted.domain(self.fitted.numeric_columns[index])
        valid: Array = result[
            np.isfinite(result) & (result >= domain.low) & (result <= domain.high)
        ]
        return valid


def _range(values: Array) -> tuple[Array, Array]:
    """Return the smallest and largest value by column; 0 and 0 for a column of NaN."""
    empty = np.isnan(values).all(axis=0)
    low = np.where(empty, 0.0, np.fmin.reduce(values, axis=0))
    high = np.where(empty, 0.0, np.fmax.reduce(values, axis=0))
    return low, high
