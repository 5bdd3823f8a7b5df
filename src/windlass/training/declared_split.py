"""Splits rows by the columns that a project declares: groups, times, or a column that says it for each row."""

from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from windlass.core.evaluation_rules import ColumnSplit, SplitRule
from windlass.core.holdout import DIGEST_BYTES, Digests, holdout_mask, row_digests
from windlass.core.project import Project
from windlass.core.targets.target import Target
from windlass.errors import DataError, counted
from windlass.training.dataset import Dataset
from windlass.training.plan import TrainingPlan
from windlass.training.split import (
    Split,
    require_two_rows_per_class,
    require_usable_split,
    require_usable_validation,
    validation_bound,
)

if TYPE_CHECKING:
    import pyarrow as pa

Mask = NDArray[np.bool_]


def split_by_rule(dataset: Dataset, rule: SplitRule, target: Target, *, test_size: float) -> Split:
    """Split as the project declares: by groups, by time, by both, or by a column.

    About a share of the groups is held out; a group's side follows from a digest of its text, whatever the seed. The
    early rows make up a share of `1 - test_size` of all, or a little more, for rows of one time are not divided.
    Raises ParameterError for a share that leaves too few rows on a side, DataError for a class too rare.
    """
    if isinstance(rule, ColumnSplit):
        return _split_by_column(dataset, rule, target, test_size)
    require_two_rows_per_class(dataset, target)
    train, test = np.ones(len(dataset), bool), np.ones(len(dataset), bool)
    if rule.group is not None:
        out = holdout_mask(group_digests(dataset.extra_columns.column(rule.group)), test_size)
        train, test = train & ~out, test & out
    if rule.time is not None:
        late = _late_rows(time_numbers(dataset.extra_columns.column(rule.time)), test_size)
        train, test = train & ~late, test & late
    result = Split(np.flatnonzero(train), np.flatnonzero(test), method="declared")
    require_usable_split(result, dataset, target, test_size)
    return result


def _late_rows(times: NDArray[np.int64], share: float) -> Mask:
    first = max(1, int(np.ceil((1 - share) * len(times))))
    late: Mask = times > np.partition(times, first - 1)[first - 1]
    return late


def _split_by_column(
    dataset: Dataset, rule: ColumnSplit, target: Target, test_size: float
) -> Split:
    parts = np.array(dataset.extra_columns.column(rule.column).to_pylist(), object)
    names = (rule.train, rule.test, rule.validation)
    other = sorted({repr(part) for part in parts if part not in names})
    if other:
        raise DataError(
            f"Column {rule.column!r}, which says how rows are split, holds {', '.join(other[:5])}. It may hold"
            f" {', '.join(map(repr, names))}: correct it in data(), or name its texts in ColumnSplit(…)."
        )
    test = np.flatnonzero(parts == rule.test)
    if len(test) < 2:
        raise DataError(
            f"Column {rule.column!r} says {rule.test!r} for {counted(len(test), 'row')}, too few to measure on."
            " Name the text of test rows in ColumnSplit(…), or correct the column in data()."
        )
    result = Split(np.flatnonzero(parts != rule.test), test, method="declared")
    require_usable_split(result, dataset, target, test_size)
    return result


def hold_out_declared_validation(
    split: Split, project: Project, dataset: Dataset, plan: TrainingPlan
) -> Split:
    """Move validation rows out of the training rows, by the rule of the split.

    They are those that the column names, or the declared share: of the groups, or of the latest rows. Raises
    ParameterError where too few rows are on a side.
    """
    rule, share, train = project.split or SplitRule(), project.validation or 0.0, split.train
    if isinstance(rule, ColumnSplit):
        parts = dataset.extra_columns.column(rule.column).take(train).to_pylist()
        out = np.array([part == rule.validation for part in parts])
    elif rule.group is not None:
        digests = group_digests(dataset.extra_columns.column(rule.group).take(train))
        out = holdout_mask(digests, validation_bound(plan.test_size, share))
    else:
        out = _late_rows(time_numbers(dataset.extra_columns.column(rule.time).take(train)), share)
    result = replace(split, train=train[~out], validation=train[out])
    require_usable_validation(result, project.target, dataset, share)
    return result


def row_identities(project: Project, dataset: Dataset, indices: NDArray[np.int64]) -> Digests:
    """Return 16 bytes [m, 16] that identify the rows at these indices, the same for every version.

    They are digests of the content, and of group and time where the split uses these: two clients may
    have the same features.
    """
    rows = row_digests(project.schema, dataset.batch.take(indices))
    rule = project.split or SplitRule()
    if rule.group is None and rule.time is None:
        return rows
    return _event_digests(rows, rule, dataset.extra_columns.take(indices))


def _event_digests(rows: Digests, rule: SplitRule, extra_columns: "pa.Table") -> Digests:
    parts: list[NDArray[np.uint8]] = [rows]
    if rule.group is not None:
        parts.append(group_digests(extra_columns.column(rule.group)))
    if rule.time is not None:
        times = time_numbers(extra_columns.column(rule.time))
        parts.append(times.astype("<i8").view(np.uint8).reshape(-1, 8))
    content = b"".join(_digest(part.tobytes(), b"windlass.event") for part in np.hstack(parts))
    return np.frombuffer(content, np.uint8).reshape(-1, DIGEST_BYTES)


def group_digests(groups: "pa.ChunkedArray") -> Digests:
    """Return 16 bytes [n, 16] for each row: BLAKE2b of its group's text."""
    coded = groups.combine_chunks().dictionary_encode()
    content = b"".join(
        _digest(text.encode(), b"windlass.group") for text in coded.dictionary.to_pylist()
    )
    digests: Digests = np.frombuffer(content, np.uint8).reshape(-1, DIGEST_BYTES)
    chosen: NDArray[np.int64] = coded.indices.to_numpy()
    return digests[chosen]


def time_numbers(times: "pa.ChunkedArray") -> NDArray[np.int64]:
    """Return the dates [n] as days, or the times as microseconds, since 1970-01-01."""
    values = times.to_numpy()
    unit = "datetime64[D]" if str(times.type) == "date32[day]" else "datetime64[us]"
    result: NDArray[np.int64] = values.astype(unit).astype(np.int64)
    return result


def _digest(content: bytes, person: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES, person=person).digest()
