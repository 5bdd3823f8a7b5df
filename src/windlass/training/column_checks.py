"""Checks the columns of a row before a fit: the target in other words, leaks, constant columns, ids."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.data_checks import Finding
from windlass.core.project import Project
from windlass.core.row_schema import MISSING_TEXT
from windlass.core.targets.classes import Classes
from windlass.errors import counted
from windlass.training.column_scores import named_columns
from windlass.training.dataset import Dataset

LEAK_SCORE = 0.98  # from here on, a column by itself gives the target away
_MIN_ROWS = 20  # to call a column a copy of the target, or an id
_MAX_RANGE = (
    2  # of an id's integers, as a multiple of the rows: drawn ones would be equal now and then
)
_WORDS_OF_TEXT = 4  # on average, from which values are texts and not names
_COPY_CORRELATION = 1 - 1e-9
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_TARGET_WORDS = frozenset(
    {
        "target",
        "label",
        "class",
        "flag",
        "is",
        "has",
        "actual",
        "true",
        "final",
        "outcome",
        "result",
        "encoded",
        "code",
        "enc",
        "binary",
        "bin",
        "num",
        "str",
        "pred",
        "predicted",
        "prediction",
        "proba",
        "probability",
        "new",
        "old",
        "copy",
    }
)
_ID_WORDS = frozenset(
    {
        "id",
        "ids",
        "uuid",
        "guid",
        "key",
        "number",
        "nr",
        "no",
        "index",
        "idx",
        "rowid",
        "pk",
    }
)
_TIME_WORDS = frozenset(
    {
        "year",
        "month",
        "week",
        "day",
        "hour",
        "minute",
        "second",
        "date",
        "time",
    }
)


def name_words(name: str) -> list[str]:
    """Return the words of a column's name in small letters: `customerId` and `customer_id` have two."""
    return [word.lower() for word in _WORD.findall(name)]


def is_id_name(name: str) -> bool:
    """Whether a column is named as an id is: `loan_id`, `CustomerID`, `id`, `row_number`, `Unnamed: 0`."""
    words = name_words(name)
    return bool(words) and (words[-1] in _ID_WORDS or words[0] in ("id", "unnamed"))


def check_columns(
    project: Project, dataset: Dataset, scores: Mapping[str, float]
) -> Iterator[Finding]:
    """Yield what is found in each column of the row. `scores` are the `column_scores`."""
    closed = {column.name for column in project.schema.columns if column.categories is not None}
    for name, values in named_columns(project.schema, dataset.batch):
        if _is_constant(values):
            yield _constant_column(name, len(values))
        elif _is_copy(values, dataset):
            yield _target_copy(name, project)
        else:
            if scores.get(name, 0.0) >= LEAK_SCORE:
                yield _leaking_column(name, scores[name], project)
            if _is_id(name, values, closed=name in closed):
                yield _id_column(name, len(values))
            for target in project.target.columns:
                if is_named_like(name, target):
                    yield _target_name(name, target)


def is_named_like(name: str, target: str) -> bool:
    """Whether a column's name is the target's in another spelling, or with words such as `is` and `flag`."""
    column, words = name_words(name), name_words(target)
    joined, own = "".join(column), "".join(words)
    if not own or not joined:
        return False
    if joined == own or (len(own) > 3 and joined.startswith(own) and len(joined) <= len(own) + 2):
        return not joined[len(own) :].isdigit() or joined == own
    rest = [word for word in column if word not in words]
    return set(words) <= set(column) and set(rest) <= _TARGET_WORDS


def _is_constant(values: NDArray[Any]) -> bool:
    first = values[0]
    if values.dtype == object:
        return bool((values == first).all())
    return bool(np.isnan(values).all() if np.isnan(first) else (values == first).all())


def _is_copy(values: NDArray[Any], dataset: Dataset) -> bool:
    """Whether values and target follow from each other: one value for each class, or a straight line."""
    from pandas import factorize

    if len(values) < _MIN_ROWS:
        return False
    if dataset.labels is None:
        return values.dtype != object and _is_linear(values, dataset.truth)
    classes = len(np.unique(dataset.labels))
    codes, distinct = factorize(values, use_na_sentinel=False)
    if len(distinct) != classes:
        return False
    pairs = np.unique(codes * (int(dataset.labels.max()) + 1) + dataset.labels)
    return len(pairs) == classes


def _is_linear(values: NDArray[np.float64], truth: NDArray[np.float64]) -> bool:
    """Whether a target, or an output of it, is a straight line of the values [n]."""
    with np.errstate(all="ignore"):  # of constant or infinite numbers
        lines = [np.corrcoef(values, output)[0, 1] for output in truth.reshape(len(truth), -1).T]
    return any(abs(line) >= _COPY_CORRELATION for line in lines)  # NaN is not


def _is_id(name: str, values: NDArray[Any], *, closed: bool) -> bool:
    """Whether no two rows share a value, and these are names or numbers of rows rather than measurements."""
    from pandas import unique

    is_text = values.dtype == object
    present = values[values != MISSING_TEXT] if is_text else values[~np.isnan(values)]
    if closed or len(present) < max(_MIN_ROWS, 0.9 * len(values)):
        return False
    if any(len(unique(rows)) < len(rows) for rows in (present[:1000], present)):
        return False
    if is_text:
        return is_id_name(name) or _mean_words(present) < _WORDS_OF_TEXT
    if not np.equal(present, np.floor(present)).all() or set(name_words(name)) & _TIME_WORDS:
        return False
    return is_id_name(name) or bool(np.ptp(present) < _MAX_RANGE * len(present))


def _mean_words(texts: NDArray[Any]) -> float:
    return float(np.mean([len(text.split()) for text in texts[:1000]]))


def _constant_column(name: str, rows: int) -> Finding:
    return Finding(
        check="constant_column",
        column=name,
        message=f"Column {name} has the same value in all {counted(rows, 'row')}, so no model learns from it. Take it"
        " out of the row, or find out why data() does not fill it.",
    )


def _target_copy(name: str, project: Project) -> Finding:
    how = (
        "has one value for each class of"
        if isinstance(project.target, Classes)
        else "is a straight line of"
    )
    return Finding(
        check="target_copy",
        column=name,
        message=f"Column {name} {how} the target {project.target.name}: it is the target in other words. Take it out"
        " of the row.",
    )


def _leaking_column(name: str, score: float, project: Project) -> Finding:
    what = (
        "avoids {:.1%} of the mistakes of always predicting the most frequent class"
        if isinstance(project.target, Classes)
        else "explains {:.1%} of the order of the target"
    ).format(score)
    return Finding(
        check="leaking_column",
        column=name,
        message=f"Column {name} alone gives the target {project.target.name} away: it {what}, on rows that were not"
        " used to fit. If it is only known after the target, take it out of the row.",
    )


def _id_column(name: str, rows: int) -> Finding:
    return Finding(
        check="id_column",
        column=name,
        message=f"Column {name} has another value in each of {counted(rows, 'row')}, as an id has: it says nothing"
        " about new rows. Take it out of the row.",
    )


def _target_name(name: str, target: str) -> Finding:
    return Finding(
        check="target_name",
        column=name,
        message=f"Column {name} is named like the target {target}. If it holds what is to be predicted, take it out of"
        " the row.",
    )
