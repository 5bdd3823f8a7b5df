"""The profile: how the training rows and their predictions were distributed, for drift detection."""

from collections import Counter
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from windlass.core.batch import Batch, Prediction
from windlass.core.row_schema import MISSING_TEXT, RowSchema
from windlass.core.target import Label, class_key

BINS = 10
MAX_CATEGORIES = 100  # that are counted by name; the rest counts as other
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)

Floats = NDArray[np.float64]


class _Profile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class NumericProfile(_Profile):
    """A column that reaches the model as float64; dates are days since 1970-01-01.

    `edges` part the line into len(edges) + 1 bins, each holding its upper edge; `counts` are the
    present values in each. `quantiles` are [share, value] pairs. Without present values all are empty.
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
        """How many of other values, missing ones left out, fall into the same bins."""
        return _histogram(self.edges, values[~np.isnan(values)])

    @classmethod
    def from_values(cls, name: str, values: Floats) -> "NumericProfile":
        """The profile of values [n]; NaN is missing."""
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
    """A column of categories: `counts` of the most common ones, and of all `other` ones together."""

    kind: Literal["category"] = "category"
    name: str
    missing: float  # share of the rows
    counts: dict[str, int]
    other: int

    def histogram(self, values: Iterable[str]) -> tuple[dict[str, int], int]:
        """Counts of other values in the same categories, and of all others; missing ones are left out."""
        found = Counter(values)
        found.pop(MISSING_TEXT, None)
        counts = {name: found.pop(name, 0) for name in self.counts}
        return counts, sum(found.values())

    @classmethod
    def from_values(
        cls, name: str, values: Iterable[str], declared: Iterable[str] = ()
    ) -> "CategoryProfile":
        """The profile of values; "" is missing. Categories in `declared` are counted even where absent."""
        found = Counter(values)
        rows = sum(found.values())
        missing = found.pop(MISSING_TEXT, 0)
        names = [*declared] or sorted(found, key=lambda value: (-found[value], value))
        counts = {value: found.pop(value, 0) for value in names[:MAX_CATEGORIES]}
        return cls(name=name, missing=missing / rows, counts=counts, other=sum(found.values()))


class Profile(_Profile):
    """`profile.json`: of `rows` training rows, each column in declared order, and what was predicted for them.

    `classes` counts predicted classes by name, and `confidence` is the probability of the predicted
    class; `value` is the predicted quantity of a regression.
    """

    rows: int
    columns: tuple[NumericProfile | CategoryProfile, ...]
    classes: CategoryProfile | None = None
    confidence: NumericProfile | None = None
    value: NumericProfile | None = None


def profile_rows(
    schema: RowSchema, classes: Iterable[Label], batch: Batch, prediction: Prediction
) -> Profile:
    """The profile of rows and of their predictions; `classes` in declared order, none for a regression."""
    numeric, text = iter(batch.numeric.T), iter(batch.text.T)
    columns = tuple(
        CategoryProfile.from_values(column.name, next(text), column.categories or ())
        if column.is_text
        else NumericProfile.from_values(column.name, next(numeric))
        for column in schema.columns
    )
    if prediction.values is not None:
        value = NumericProfile.from_values("value", prediction.values)
        return Profile(rows=len(batch), columns=columns, value=value)
    assert prediction.labels is not None
    assert prediction.probabilities is not None
    names = [class_key(label) for label in classes]
    predicted = CategoryProfile.from_values("label", (names[i] for i in prediction.labels), names)
    confidence = NumericProfile.from_values("confidence", prediction.probabilities.max(axis=1))
    return Profile(rows=len(batch), columns=columns, classes=predicted, confidence=confidence)


def _histogram(edges: tuple[float, ...], present: Floats) -> tuple[int, ...]:
    bins = np.searchsorted(np.array(edges), present, side="left")
    return tuple(np.bincount(bins, minlength=len(edges) + 1).tolist())
