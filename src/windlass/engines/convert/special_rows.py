"""Valid rows with special values, by construction: where two models differ at single points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from windlass.engines.convert.graph import Array
    from windlass.engines.convert.probe_rows import ProbeRowSampler

_MAX_CATEGORIES = 100  # of a column that are tried one by one
_MAX_SPLIT_ROWS = 2048  # each with a split in every column
_MISSING_ROWS = 4  # with several missing values each
_FACTORS = (10.0, 1e3, 1e6, 1e12)  # of training rows far away, where probabilities saturate
_FLOAT32 = float(np.finfo(np.float32).max)
_FLOAT64 = float(np.finfo(np.float64).max)
_LARGE = (_FLOAT32, np.nextafter(_FLOAT32, np.inf), 1e300, _FLOAT64)
_SMALL = (0.0, 5e-324)


@dataclass(frozen=True)
class SpecialRows:
    """Training rows with cells replaced by special values; rows of one kind are next to each other."""

    sampler: ProbeRowSampler

    def frame(self) -> pd.DataFrame:
        """Return all of them as one frame."""
        parts = [*self._zeros(), *self._splits(), *self._far(), *self._single_cells()]
        parts += self._missing()
        return pd.concat(parts, ignore_index=True)

    def _zeros(self) -> Iterator[pd.DataFrame]:
        """Yield rows of nothing but zeros, with either sign."""
        for zero in (0.0, -0.0):
            yield self._with_numbers(np.full((1, len(self._numeric)), zero))

    def _splits(self) -> Iterator[pd.DataFrame]:
        """Yield rows in which every number is at, or just beside, a split of its column."""
        splits = self.sampler.splits
        points = [
            self.sampler.split_points(index) if index in splits else np.array([])
            for index in range(len(self._numeric))
        ]
        count = min(max(map(len, points), default=0), _MAX_SPLIT_ROWS)
        if count:
            numbers = np.full((count, len(points)), np.nan)
            for index, values in enumerate(points):
                if len(values):
                    shuffled = self.sampler.random.permutation(values)
                    numbers[:, index] = np.resize(shuffled, count)
            yield self._with_numbers(numbers)

    def _far(self) -> Iterator[pd.DataFrame]:
        """Yield training rows whose numbers are multiplied."""
        for factor in (*_FACTORS, *(-each for each in _FACTORS)):
            frame = self.sampler.recombined(4)
            numbers = frame[self._numeric].to_numpy(np.float64) * factor
            yield self._with_numbers(numbers, frame)

    def _single_cells(self) -> Iterator[pd.DataFrame]:
        """Yield rows with one special cell each, column by column."""
        for name in self.sampler.fitted.columns:
            values = self._special_categories(name) if name in self._text else self._extremes(name)
            if len(values):
                frame = self.sampler.recombined(len(values))
                frame[name] = pd.Series(values, dtype=self.sampler.rows[name].dtype)
                yield frame

    def _special_categories(self, name: str) -> list[Any]:
        seen = self.sampler.rows[name].dropna().unique().tolist()[:_MAX_CATEGORIES]
        missing = [np.nan] if self.sampler.fitted.domain(name).nullable else []
        unseen = self.sampler.unseen_categories(name)[:_MAX_CATEGORIES]
        return [*seen, *unseen, *missing]

    def _extremes(self, name: str) -> Array:
        """Return zeros, the ends of the training values and of the domain, large values, and a missing one."""
        domain, observed = self.sampler.fitted.domain(name), self.sampler.rows[name].dropna()
        ends = [observed.min(), observed.max(), domain.low, domain.high] if len(observed) else []
        steps = [ends[0] - 1.0, ends[1] + 1.0] if ends else []
        values = np.array([*_SMALL, *ends, *steps, *_LARGE], np.float64)
        values = np.concatenate([values, -values])
        values = values[np.argsort(np.abs(values), kind="stable")]  # what is rejected is at the end
        values = values[np.isfinite(values) & (values >= domain.low) & (values <= domain.high)]
        return np.concatenate([values, [np.nan]]) if domain.nullable else values

    def _missing(self) -> Iterator[pd.DataFrame]:
        """Yield rows with several missing values."""
        yield self.sampler.with_missing(_MISSING_ROWS, anywhere=True)

    @property
    def _numeric(self) -> list[str]:
        return list(self.sampler.fitted.numeric_columns)

    @property
    def _text(self) -> frozenset[str]:
        return self.sampler.fitted.text

    def _with_numbers(self, numbers: Array, frame: pd.DataFrame | None = None) -> pd.DataFrame:
        """Return recombined rows with these numbers [n, columns] where they are valid."""
        frame = self.sampler.recombined(len(numbers)) if frame is None else frame
        for index, name in enumerate(self._numeric):
            values, domain = numbers[:, index], self.sampler.fitted.domain(name)
            valid = np.isfinite(values) & (values >= domain.low) & (values <= domain.high)
            frame[name] = np.where(valid, values, frame[name])
        return frame
