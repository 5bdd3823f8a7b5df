"""Valid rows with special values, by construction: where two models differ at single points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from windlass.engines.convert.graph import Array
    from windlass.engines.convert.probe_rows import ProbeRowSampler

_MAX_CATEGORIES = 100  # of a column that are tried one by one
_MAX_SPLIT_ROWS = 2048  # each with a split in every column
_MISSING_ROWS = 4  # with several missing values each
_FAR_ROWS = 4  # for each factor
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
        """Return all of them as one frame: numbers in every column, then single cells, then missing values."""
        factors = np.repeat([*_FACTORS, *(-each for each in _FACTORS)], _FAR_ROWS)
        everywhere = np.concatenate([self._zeros(), self._splits()])
        cells = {name: self._special_values(name) for name in self.sampler.fitted.columns}
        single = len(everywhere) + len(factors)
        rows = self.sampler.recombined(single + sum(map(len, cells.values())))
        numbers = np.array(rows[self._numeric], np.float64)
        far = numbers[len(everywhere) : single] * factors[:, np.newaxis]
        self._replace_valid(numbers[:single], np.concatenate([everywhere, far]))
        columns: dict[str, Any] = dict(zip(self._numeric, numbers.T, strict=True))
        columns |= {name: rows[name].to_numpy(object, copy=True) for name in self._text}
        for name, values in cells.items():
            columns[name][single : single + len(values)] = values
            single += len(values)
        special = self.sampler.frame(columns)
        missing = self.sampler.with_missing(_MISSING_ROWS, anywhere=True)
        return pd.concat([special, missing], ignore_index=True)

    def _zeros(self) -> Array:
        """Return numbers [2, columns]: nothing but zeros, with either sign."""
        return np.outer([0.0, -0.0], np.ones(len(self._numeric)))

    def _splits(self) -> Array:
        """Return numbers [n, columns], all at, or just beside, a split of their column; NaN where it has none."""
        splits = self.sampler.splits
        points = [
            self.sampler.split_points(index) if index in splits else np.array([])
            for index in range(len(self._numeric))
        ]
        count = min(max(map(len, points), default=0), _MAX_SPLIT_ROWS)
        numbers = np.full((count, len(points)), np.nan)
        for index, values in enumerate(points):
            if len(values):
                numbers[:, index] = np.resize(self.sampler.random.permutation(values), count)
        return numbers

    def _special_values(self, name: str) -> Any:
        return self._special_categories(name) if name in self._text else self._extremes(name)

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

    @property
    def _numeric(self) -> list[str]:
        return list(self.sampler.fitted.numeric_columns)

    @property
    def _text(self) -> frozenset[str]:
        return self.sampler.fitted.text

    def _replace_valid(self, numbers: Array, new: Array) -> None:
        """Replace ``numbers`` [n, columns] by new ones where these are valid."""
        low, high = self.sampler.bounds
        np.copyto(numbers, new, where=np.isfinite(new) & (new >= low) & (new <= high))
