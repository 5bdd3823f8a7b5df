"""Checks a split before a fit: equal rows and groups on both sides, and training rows that are later than test rows."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.data_checks import Finding
from windlass.core.project import Project
from windlass.core.row_schema import MISSING_TEXT, ColumnKind
from windlass.errors import counted
from windlass.training.column_checks import is_id_name, name_words
from windlass.training.column_scores import named_columns
from windlass.training.dataset import Dataset
from windlass.training.split import Split

if TYPE_CHECKING:
    import pyarrow as pa

_MAX_REPEATED = 0.01  # of the test rows that may equal a training row
_MAX_SHARED = 0.1  # of the test rows whose group may have training rows
_MIN_GROUPS, _MAX_GROUP_ROWS = (
    20,
    100,
)  # at least, and on average at most: else a column is a category
_MAX_LATE = 0.05  # of the training rows that may be later than the median test row
_SORTED = 0.95  # of the rows, from which a table is sorted by a date
_ENTITIES = frozenset(
    {
        "customer",
        "client",
        "patient",
        "user",
        "person",
        "subject",
        "member",
        "household",
        "account",
        "device",
        "machine",
        "vehicle",
        "driver",
        "player",
        "student",
        "employee",
    }
)
_TIMES = frozenset(
    {
        "date",
        "time",
        "timestamp",
        "datetime",
        "day",
        "ts",
        "at",
        "on",
        "created",
    }
)
_OTHER_TIMES = frozenset(
    {
        "birth",
        "born",
        "dob",
        "birthday",
        "start",
        "end",
        "expiry",
        "due",
        "signup",
        "joined",
        "last",
        "next",
    }
)
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def repeated_test_rows(groups: NDArray[np.int64], split: Split) -> int:
    """Return how many test rows equal a training row. `groups` [n] are the rows' `content_groups`."""
    return int(np.isin(groups[split.test], groups[split.train]).sum())


def check_repeated_rows(repeated: int, split: Split) -> Iterator[Finding]:
    """Yield a finding where too many test rows equal a training row, though not by chance."""
    rows = len(split.test)
    if repeated > _MAX_REPEATED * rows:
        yield Finding(
            check="duplicate_rows",
            message=f"{repeated:,} of {counted(rows, 'test row')} ({repeated / rows:.1%}) equal a training row, so the"
            " metrics are those of rows that the model has seen. Drop copies in data(), or split by what they share.",
        )


def check_groups(project: Project, dataset: Dataset, split: Split) -> Iterator[Finding]:
    """Yield a finding for each id that has rows on both sides, where rows are split one by one."""
    if split.method not in ("seed", "content"):
        return
    for name, codes in _id_codes(project, dataset):
        shared = np.isin(codes[split.test], codes[split.train]) & (codes[split.test] >= 0)
        count, rows = int(shared.sum()), len(split.test)
        if count > _MAX_SHARED * rows:
            yield Finding(
                check="group_overlap",
                column=name,
                message=f"{count:,} of {counted(rows, 'test row')} ({count / rows:.0%}) have the {name} of a training"
                f" row, so the metrics say little about a new {name}. Keep each on one side: split by it.",
            )


def check_times(project: Project, dataset: Dataset, split: Split) -> Iterator[Finding]:
    """Yield a finding where training rows are later than test rows, by the date of the rows' events."""
    chosen = _event_days(project, dataset)
    if chosen is None:
        return
    name, days = chosen
    train, test = (days[side][~np.isnan(days[side])] for side in (split.train, split.test))
    if not len(train) or not len(test):
        return
    late = float(np.mean(train > np.median(test)))
    if late > _MAX_LATE:
        yield Finding(
            check="time_overlap",
            column=name,
            message=f"{late:.0%} of the training rows are later than the middle test row, by {name}: the model is"
            " tested on the past and knows what came after. In production it has to predict what is later. Split by"
            " time.",
        )


def _id_codes(project: Project, dataset: Dataset) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the columns that identify what rows are about: the name, and a number for each id [n], -1 for none."""
    for name, codes in _all_id_codes(project, dataset):
        rows, groups = int(np.count_nonzero(codes >= 0)), int(codes.max()) + 1
        if groups >= _MIN_GROUPS and groups < rows <= groups * _MAX_GROUP_ROWS:
            yield name, codes


def _all_id_codes(project: Project, dataset: Dataset) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Yield the columns of integers and text that are named as ids or entities, in the row and beside it."""
    from pandas import factorize

    columns = {column.name: column for column in project.schema.model_columns}
    for name, values in named_columns(project.schema, dataset.batch):
        column = columns[name]
        is_open = column.is_text and column.categories is None
        if (is_open or column.kind is ColumnKind.INTEGER) and _names_an_entity(name):
            yield (
                name,
                factorize(_without_missing(values) if is_open else values)[0],
            )
    for table in (dataset.extra_columns, dataset.undeclared):
        for name in filter(_names_an_entity, table.column_names):
            codes = _codes(table.column(name)) if name not in project.schema.names else None
            if codes is not None:
                yield name, codes


def _without_missing(texts: NDArray[Any]) -> NDArray[Any]:
    present = texts.copy()
    present[texts == MISSING_TEXT] = None
    return present


def _names_an_entity(name: str) -> bool:
    return is_id_name(name) or bool(_ENTITIES & set(name_words(name)[-1:]))


def _codes(column: "pa.ChunkedArray") -> NDArray[np.int64] | None:
    """Return a number for each value of a column of integers or text [n], -1 for none; None for another column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.if_else(pc.equal(column, ""), None, column)
    elif not pa.types.is_integer(kind):
        return None
    indices = pc.fill_null(column.dictionary_encode().combine_chunks().indices, -1)
    codes: NDArray[np.int64] = indices.to_numpy().astype(np.int64)
    return codes


def _event_days(project: Project, dataset: Dataset) -> tuple[str, NDArray[np.float64]] | None:
    """Return the name and the days [n] of the column that says when a row's event was; None where no column does."""
    columns = dict(_day_columns(project, dataset))
    declared = getattr(project.split, "time", None) or getattr(project.view, "timestamp", None)
    if declared in columns:
        return declared, columns[declared]
    for name, days in columns.items():
        words = name_words(name)
        if not set(words) & _OTHER_TIMES and 0 < len(words) <= 3 and words[-1] in _TIMES:
            return name, days
    for name, days in columns.items():
        steps = np.diff(days[~np.isnan(days)])
        if (
            not set(name_words(name)) & _OTHER_TIMES
            and steps.any()
            and np.mean(steps >= 0) >= _SORTED
        ):
            return name, days
    return None


def _day_columns(project: Project, dataset: Dataset) -> Iterator[tuple[str, NDArray[np.float64]]]:
    calendar = {
        column.name for column in project.schema.columns if column.kind in ("date", "datetime")
    }
    for name, values in named_columns(project.schema, dataset.batch):
        if name in calendar:
            yield name, values
    for table in (dataset.extra_columns, dataset.undeclared):
        for name in table.column_names:
            days = _days(table.column(name)) if name not in project.schema.names else None
            if days is not None:
                yield name, days


def _days(column: "pa.ChunkedArray") -> NDArray[np.float64] | None:
    """Return dates, times or ISO dates as text as days since 1970 [n], NaN where missing; None for anything else."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        first = next((text for text in column.slice(0, 100).to_pylist() if text), "")
        if not _ISO_DATE.match(first):
            return None
        column = pc.utf8_slice_codeunits(column, 0, 10)
    elif not pa.types.is_date(column.type) and not pa.types.is_timestamp(column.type):
        return None
    try:
        days = column.cast(pa.date32(), safe=False).cast(pa.int32())
    except pa.ArrowException:
        return None
    return np.asarray(days.to_numpy(), np.float64)
