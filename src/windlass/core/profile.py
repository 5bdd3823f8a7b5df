"""Profiles: distributions of the training rows and their predictions, for drift detection."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from windlass.core.batch import Batch, Prediction
from windlass.core.row_schema import MISSING_TEXT, RowSchema
from windlass.core.targets.target import OutputArray, Target, class_key

BINS = 10
MAX_CATEGORIES = 100  # that are counted by name; all others are counted together
MAX_NAMED = 1000  # up to so many categories, the others are named too
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)

Floats = NDArray[np.float64]


class _Profile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class NumericProfile(_Profile):
    """Distribution of a column that the model sees as float64: dates as days since 1970-01-01, times as seconds.

    `edges` divide the numbers into len(edges) + 1 bins, each including its upper edge; `counts` are the numbers
    of values per bin, without missing ones. `quantiles` are [share, value] pairs. If all values are missing,
    `edges` and `quantiles` are empty.
    """

    kind: Literal["numeric"] = "numeric"
    name: str
    missing: float  # share of the rows
    mean: float | None
    std: float | None
    quantiles: tuple[tuple[float, float], ...]
    edges: tuple[float, ...]
    counts: tuple[int, ...]

    def histogram(self, values: Floats) -> tuple[int, ...]:
        """Counts other values [n] in the same bins; missing ones (NaN) are left out."""
        return _histogram(self.edges, values[~np.isnan(values)])

    @classmethod
    def from_values(cls, name: str, values: Floats) -> "NumericProfile":
        """Computes the profile of values [n]; NaN is missing."""
        present = values[~np.isnan(values)]
        missing = 1 - len(present) / len(values)
        if len(present) == 0:
            return cls(
                name=name, missing=missing, mean=None, std=None, quantiles=(), edges=(), counts=(0,)
            )
        quantiles = np.quantile(present, _QUANTILES)
        shares = np.arange(1, BINS) / BINS
        inner = np.unique(np.quantile(present, shares, method="inverted_cdf"))  # values that occur
        edges = tuple(inner.tolist())
        return cls(
            name=name,
            missing=missing,
            mean=float(np.mean(present)),
            std=float(np.std(present)),
            quantiles=tuple(zip(_QUANTILES, quantiles.tolist(), strict=True)),
            edges=edges,
            counts=_histogram(edges, present),
        )


class CategoryProfile(_Profile):
    """Distribution of a column of categories: `counts` by category, and all `other` categories together.

    `other_names` are the categories that `other` counts; none where there are more than MAX_NAMED in all.
    """

    kind: Literal["category"] = "category"
    name: str
    missing: float  # share of the rows
    counts: dict[str, int]
    other: int
    other_names: tuple[str, ...] = ()

    @property
    def seen(self) -> frozenset[str] | None:
        """All categories of the rows; None where they are too many to be kept, or an old bundle does not name them."""
        if self.other and not self.other_names:
            return None
        return frozenset(self.counts).union(self.other_names)

    def histogram(self, values: Iterable[str]) -> tuple[dict[str, int], int]:
        """Counts other values in the same categories, and all the rest; missing ones are left out."""
        remaining = Counter(values)
        remaining.pop(MISSING_TEXT, None)
        counts = {name: remaining.pop(name, 0) for name in self.counts}
        return counts, sum(remaining.values())

    @classmethod
    def from_values(
        cls, name: str, values: Iterable[str], declared: Iterable[str] = ()
    ) -> "CategoryProfile":
        """Computes the profile of values; "" is missing. `declared` categories are listed even with a count of 0."""
        remaining = Counter(values)
        rows = sum(remaining.values())
        missing = remaining.pop(MISSING_TEXT, 0)
        names = [*declared] or sorted(remaining, key=lambda value: (-remaining[value], value))
        counts = {value: remaining.pop(value, 0) for value in names[:MAX_CATEGORIES]}
        other = sum(remaining.values())
        rest = tuple(sorted(remaining)) if len(counts) + len(remaining) <= MAX_NAMED else ()
        return cls(name=name, missing=missing / rows, counts=counts, other=other, other_names=rest)


class Profile(_Profile):
    """Content of `profile.json`: the columns of `rows` training rows in declared order, and their predictions.

    For a classification, `classes` counts the predicted classes and `confidence` is the distribution of the
    predicted class's probability. For a regression, `value` is the distribution of the predicted quantity. For
    other kinds of target, `outputs` holds the distribution of each column that a table of predictions has.
    """

    rows: int
    columns: tuple[NumericProfile | CategoryProfile, ...]
    classes: CategoryProfile | None = None
    confidence: NumericProfile | None = None
    value: NumericProfile | None = None
    outputs: tuple[NumericProfile | CategoryProfile, ...] = ()


def profile_rows(
    schema: RowSchema, target: Target, batch: Batch, prediction: Prediction
) -> Profile:
    """Computes the profile of rows and their predictions."""
    numeric, text = iter(batch.numeric.T), iter(batch.text.T)
    columns = tuple(
        CategoryProfile.from_values(column.name, next(text), column.categories or ())
        if column.is_text
        else NumericProfile.from_values(column.name, next(numeric))
        for column in schema.model_columns
    )
    outputs = tuple(chain.from_iterable(map(_output_profiles, target.arrays(prediction))))
    if target.KIND is not None:
        return Profile(rows=len(batch), columns=columns, outputs=outputs)
    if prediction.values is not None:
        value = NumericProfile.from_values("value", prediction.values)
        return Profile(rows=len(batch), columns=columns, value=value)
    assert prediction.probabilities is not None
    predicted = outputs[0].model_copy(update={"name": "label"})
    assert isinstance(predicted, CategoryProfile)
    confidence = NumericProfile.from_values("confidence", prediction.probabilities.max(axis=1))
    return Profile(rows=len(batch), columns=columns, classes=predicted, confidence=confidence)


def _output_profiles(array: OutputArray) -> Iterator[NumericProfile | CategoryProfile]:
    """Yields the profile of each column of an array of predictions."""
    if array.classes is not None:
        names = [class_key(label) for label in array.classes]
        labels = (names[index] for index in array.values.tolist())
        yield CategoryProfile.from_values(array.column, labels, names)
        return
    for name, values in zip(array.columns, array.matrix.T.astype(np.float64), strict=True):
        yield NumericProfile.from_values(name, values)


def _histogram(edges: tuple[float, ...], present: Floats) -> tuple[int, ...]:
    bins = np.searchsorted(np.array(edges), present, side="left")
    return tuple(np.bincount(bins, minlength=len(edges) + 1).tolist())
