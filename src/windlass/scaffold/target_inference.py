"""Infers what a target column asks for, classification or regression, and what a model must beat."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windlass.core.csv_format import SPACES, CsvFormat
from windlass.core.targets.target import Label
from windlass.errors import DataError, counted
from windlass.scaffold.column_inference import infer_column
from windlass.scaffold.column_profile import ColumnProfile, ColumnType
from windlass.scaffold.number_inference import ZERO_OR_ONE
from windlass.scaffold.source_table import SourceColumn, SourceTable
from windlass.scaffold.text_forms import BOOLEANS

_MAX_CLASSES = 50
_MAX_WHOLE_CLASSES = 10  # different whole numbers that are classes and not quantities
_MIN_CLASS_ROWS = 10  # rows of a class, of which two are test rows
_BALANCED = 0.65  # share of the most frequent class up to which accuracy is a fair measure
_TEST_SIZE = 0.2
_CHANCE = 1.645  # standard deviations that chance exceeds once in 20 times
_MIN_COMPARED_ROWS = 1000  # rows from which two versions have enough common test rows
_MIN_COMPARED_CLASS = 50
_POSITIVE = frozenset(
    {"yes", "y", "true", "t", "1", "positive", "pos", "ja", "oui", "si", "sí", "sim"}
)
_SMALL_GAIN = 0.05


@dataclass(frozen=True)
class TargetProfile:
    """What was inferred of the target.

    `labels` are those of a classification, in order, None of a regression. `cells` are the texts of the table that
    hold them. `rows` have a target that can be learned, `missing_rows` have none, `rare` are classes that are left
    out, with their number of rows. `gate_metric` and `gate_limit` are what a version must reach, `baseline` says
    what it is compared with. `compares` says whether there are rows enough to compare versions.
    """

    name: str
    labels: tuple[Label, ...] | None
    shares: tuple[float, ...]
    rows: int
    missing_rows: int
    gate_metric: str
    gate_limit: float
    baseline: str
    missing: tuple[str, ...] = ()
    rare: tuple[tuple[Label, int], ...] = ()
    unit: str | None = None
    compares: bool = False
    reasons: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def is_classification(self) -> bool:
        """Whether classes are predicted, and not a quantity."""
        return self.labels is not None

    @property
    def drops_rows(self) -> bool:
        """Whether rows are left out of the training: without a target, or of a rare class."""
        return self.missing_rows > 0 or bool(self.rare)


def infer_target(table: SourceTable, column: SourceColumn, csv: CsvFormat) -> TargetProfile:
    """Infer classes or a quantity from the target's column.

    Raises DataError for a target that is always missing, constant, of dates, or of too many texts.
    """
    profile = infer_column(column, csv)
    name = column.name
    if profile.distinct == 0:
        raise DataError(
            f"Every cell of target {name!r} in {table.file} is missing. Name another column."
        )
    if profile.distinct == 1:
        raise DataError(
            f"Target {name!r} is the same in all rows of {table.file} that have one: {_one_text(column)!r}. There is"
            " nothing to learn. Name another column, or add rows of other classes."
        )
    if profile.type in (ColumnType.DATE, ColumnType.TIMESTAMP):
        raise DataError(
            f"Target {name!r} holds dates. A model predicts a class or a number: compute one, such as the days until"
            " then, and save it as a column."
        )
    is_number = profile.type in (ColumnType.NUMBER, ColumnType.INTEGER) and profile.low is not None
    if is_number and not _is_class_number(profile):
        return _infer_quantity(column, profile, csv)
    return _infer_classes(table, column, profile, csv)


def _one_text(column: SourceColumn) -> str:
    order = np.argsort(-column.counts)
    return str(column.texts[int(order[0])].as_py())[:40]


def _is_class_number(profile: ColumnProfile) -> bool:
    few = profile.distinct <= _MAX_WHOLE_CLASSES
    present = profile.rows - profile.missing_rows
    return _is_whole(profile) and few and present >= 5 * profile.distinct


def _is_whole(profile: ColumnProfile) -> bool:
    """Whether all values are whole numbers; two of them may be written 0.0 and 1.0."""
    if profile.type is ColumnType.INTEGER or ZERO_OR_ONE in profile.reasons:
        return True
    ends = (profile.low, profile.high)
    return profile.distinct == 2 and all(
        isinstance(end, float) and end.is_integer() for end in ends
    )


def _infer_classes(
    table: SourceTable, column: SourceColumn, profile: ColumnProfile, csv: CsvFormat
) -> TargetProfile:
    counts = _count_labels(column, profile, csv)
    present = sum(counts.values())
    if len(counts) > _MAX_CLASSES or len(counts) > present / 5:
        raise DataError(
            f"Target {profile.name!r} of {table.file} holds {len(counts):,} different texts in"
            f" {counted(present, 'row')}: too many for classes, and they are not numbers. Name another column, or"
            " write it as numbers or as fewer classes."
        )
    frequent = {label: n for label, n in counts.items() if n >= _MIN_CLASS_ROWS}
    if len(frequent) < 2:
        raise DataError(
            f"Target {profile.name!r} of {table.file} has {counted(len(frequent), 'class')} with"
            f" {_MIN_CLASS_ROWS} rows or more, and a model needs two. Add rows."
        )
    rare = tuple((label, n) for label, n in counts.items() if label not in frequent)
    labels = _order_labels(frequent)
    rows = sum(frequent.values())
    shares = tuple(frequent[label] / rows for label in labels)
    metric, limit, baseline = _class_gate(shares, rows)
    smallest = min(frequent.values())
    return TargetProfile(
        profile.name,
        labels,
        shares,
        rows,
        profile.missing_rows,
        metric,
        limit,
        baseline,
        missing=profile.missing,
        rare=rare,
        compares=rows >= _MIN_COMPARED_ROWS and smallest >= _MIN_COMPARED_CLASS,
        reasons=(f"classification, since it holds {_describe_classes(profile, len(counts))}",),
        doubts=_class_doubts(profile, labels),
    )


def _describe_classes(profile: ColumnProfile, count: int) -> str:
    if profile.type is ColumnType.INTEGER:
        return f"{counted(count, 'whole number')} only"
    return f"{counted(count, 'different value')}"


def _class_doubts(profile: ColumnProfile, labels: tuple[Label, ...]) -> tuple[str, ...]:
    doubts = profile.doubts if profile.type is not ColumnType.INTEGER else ()
    if profile.type is ColumnType.INTEGER and len(labels) > 2:
        doubts = (
            *doubts,
            "its whole numbers are classes; if they are amounts, use Quantity instead",
        )
    return doubts


def _count_labels(column: SourceColumn, profile: ColumnProfile, csv: CsvFormat) -> dict[Label, int]:
    """How many rows each label has, most frequent first; integers where all are whole numbers."""
    missing = set(profile.missing)
    is_whole = _is_whole(profile)
    counts: dict[Label, int] = {}
    for text, count in zip(column.texts.to_pylist(), column.counts.tolist(), strict=True):
        if text in missing:
            continue
        label: Label = text.strip(SPACES) if profile.strip else text
        if is_whole:
            label = int(_number(text, column.stored_as, csv))
        elif column.stored_as == "bool":
            label = text == "true"
        counts[label] = counts.get(label, 0) + count
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _order_labels(counts: dict[Label, int]) -> tuple[Label, ...]:
    """Labels in order; of two, the positive one is second: yes, true or 1, else the rarer one."""
    labels = list(counts)
    if all(isinstance(label, int) for label in labels):
        return tuple(sorted(labels))
    if len(labels) == 2:
        words = {str(label).strip().casefold() for label in labels}
        if words in BOOLEANS or words & _POSITIVE:
            labels.sort(key=lambda label: str(label).strip().casefold() in _POSITIVE)
        return tuple(labels)
    return tuple(sorted(labels, key=str))


def _class_gate(shares: tuple[float, ...], rows: int) -> tuple[str, float, str]:
    """The metric of the gate, its limit, and what the limit is above.

    The limit is above what always predicting the most frequent class reaches, by what chance adds once in 20 times on
    as many test rows, and at least by 0.05.
    """
    test = max(_TEST_SIZE * rows, 1.0)
    top = max(shares)
    if top <= _BALANCED:
        chance = _CHANCE * math.sqrt(top * (1 - top) / test)
        baseline = f"always predicting the most frequent class has an accuracy of {top:.2f}"
        limit = min(top + max(chance, _SMALL_GAIN), (1 + top) / 2)
        return "accuracy", _floor(limit), baseline
    if len(shares) == 2:
        positives, negatives = shares[1] * test, shares[0] * test
        # standard deviation of the area without a signal: Hanley and McNeil (1982), Radiology 143:29-36
        chance = _CHANCE * math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
        baseline = "a model without any signal has an area of 0.50"
        return "roc_auc", _floor(min(0.5 + max(chance, _SMALL_GAIN), 0.75)), baseline
    score = 2 * top / (1 + top) / len(shares)
    baseline = f"always predicting the most frequent class has a macro F1 of {score:.2f}"
    return "macro_f1", _floor(min(score + _SMALL_GAIN, (1 + score) / 2)), baseline


def _floor(limit: float) -> float:
    return math.floor(limit * 100) / 100


def _infer_quantity(column: SourceColumn, profile: ColumnProfile, csv: CsvFormat) -> TargetProfile:
    values = column_numbers(column, profile.missing, csv)
    values = values[np.isfinite(values)]
    spread = float(np.std(values))
    error = float(np.mean(np.abs(values - np.median(values))))
    baseline = (
        f"always predicting the mean has an R² of 0 (an RMSE of {spread:.4g}); always the median, a mean absolute"
        f" error of {error:.4g}"
    )
    what = "whole numbers" if profile.type is ColumnType.INTEGER else "numbers"
    return TargetProfile(
        profile.name,
        None,
        (),
        len(values),
        profile.missing_rows,
        "r2",
        _SMALL_GAIN,
        baseline,
        missing=profile.missing,
        unit=profile.unit,
        compares=len(values) >= _MIN_COMPARED_ROWS,
        reasons=(f"regression, since it holds {profile.distinct:,} different {what}",),
        doubts=profile.doubts,
    )


def column_numbers(
    column: SourceColumn, missing: tuple[str, ...], csv: CsvFormat
) -> NDArray[np.float64]:
    """Return the numbers of a column [n], NaN where one is missing."""
    unread = set(missing)
    numbers = [
        np.nan if text in unread else _number(text, column.stored_as, csv)
        for text in column.texts.to_pylist()
    ]
    return np.array([*numbers, np.nan], np.float64)[column.codes]


def _number(text: str, stored_as: str | None, csv: CsvFormat) -> float:
    try:
        return float(csv.plain_number(text) if stored_as is None else text)
    except ValueError:
        return np.nan
