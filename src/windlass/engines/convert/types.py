"""Input and output types of a conversion."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from windlass.core.targets.classes import Classes
from windlass.core.targets.quantity import Quantity

if TYPE_CHECKING:
    from windlass.core.row_schema import ColumnSchema
    from windlass.core.targets.target import Target

TOLERANCE = 1e-6


@dataclass(frozen=True)
class ColumnDomain:
    """The values that a valid row may have in a column: numbers from ``low`` to ``high``, or ``categories``.

    Any text is valid where ``categories`` is None.
    """

    low: float = -math.inf
    high: float = math.inf
    nullable: bool = True
    categories: tuple[str, ...] | None = None

    @classmethod
    def from_schema(cls, column: ColumnSchema) -> ColumnDomain:
        """Return the domain of a column of a row."""
        if column.is_text:
            return cls(nullable=column.nullable, categories=column.categories)
        if column.kind == "boolean":
            return cls(0.0, 1.0, nullable=column.nullable)
        low, high = -math.inf, math.inf
        for keyword, limit in column.effective_bounds().items():
            value = column.to_float(limit)
            match keyword:
                case "ge":
                    low = max(low, value)
                case "gt":
                    low = max(low, math.nextafter(value, math.inf))
                case "le":
                    high = min(high, value)
                case "lt":
                    high = min(high, math.nextafter(value, -math.inf))
        if column.kind == "date":
            low, high = max(low, column.to_float(date.min)), min(high, column.to_float(date.max))
        if column.kind == "datetime":
            first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
            low, high = max(low, column.to_float(first)), min(high, column.to_float(last))
        return cls(low, high, nullable=column.nullable)


_ANY_VALUE = ColumnDomain()


@dataclass(frozen=True)
class FittedEstimator:
    """A fitted estimator with the columns and classes that it was fitted on.

    ``estimator`` was fitted on a DataFrame whose columns are ``columns``, in that order. The
    columns in ``text`` hold categories as text; all others are float64 (NaN is missing,
    booleans are 0.0 and 1.0, dates are days, times
    seconds). ``classes`` is the declared order of the classes,
    or None for regression; ``target`` says more of other kinds of target, of which ``estimator``
    may be a dict with an estimator for each part. ``domains`` say by column which values a valid
    row may have; a column without one may have any.
    """

    estimator: Any
    columns: tuple[str, ...]
    text: frozenset[str]
    classes: tuple[str | int | bool, ...] | None
    domains: Mapping[str, ColumnDomain] = field(default_factory=dict)
    target: Target | None = None

    @property
    def predicted(self) -> Target:
        """What it predicts: the target, or one of the classes or of a quantity."""
        if self.target is not None:
            return self.target
        return Quantity("value") if self.classes is None else Classes("label", self.classes)

    def domain(self, column: str) -> ColumnDomain:
        """Return the values that a valid row may have in a column."""
        return self.domains.get(column, _ANY_VALUE)

    @property
    def numeric_columns(self) -> tuple[str, ...]:
        """Names of the columns of the model's ``numeric`` input, in declared order."""
        return tuple(name for name in self.columns if name not in self.text)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Names of the columns of the model's ``text`` input, in declared order."""
        return tuple(name for name in self.columns if name in self.text)


@dataclass(frozen=True)
class EquivalenceReport:
    """Result of the comparison with scikit-learn.

    ``engine`` is ``"onnx"`` or ``"native"``, and ``reason`` says why it is native.
    ``max_difference`` is absolute for probabilities and relative to ``max(1, |value|)`` for
    regression. ``rows`` were compared; ``labels_changed`` of them got another label. A row that
    scikit-learn rejects, or predicts as NaN or infinity, has to be rejected by both.
    """

    engine: str
    reason: str | None
    rows: int
    max_difference: float
    labels_changed: int
    tolerance: float


@dataclass(frozen=True)
class Conversion:
    """A serialized ONNX model, or None where the estimator is served natively, and the report."""

    model: bytes | None
    report: EquivalenceReport


class UnsupportedError(Exception):
    """No converter covers an estimator or one of its options; the message names it."""
