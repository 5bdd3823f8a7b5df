"""Splits rows into training and test rows: by seed, by content, or by group and time.

Equal rows are on one side where the seed or the content decides: a model may not be tested on what it was fitted to.

By content where versions are compared with each other: two seeds would hold out different rows, and one
version would be evaluated on rows that the other was trained on. By groups and time where the project declares it.
"""

from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from windlass.core.evaluation_rules import GroupTimeSplit
from windlass.core.holdout import DIGEST_BYTES, Digests, holdout_mask, row_digests
from windlass.core.project import Project
from windlass.core.row_schema import RowSchema
from windlass.core.targets.classes import Classes
from windlass.core.targets.target import Target
from windlass.errors import DataError, ParameterError, counted
from windlass.training.dataset import Dataset
from windlass.training.plan import TrainingPlan

if TYPE_CHECKING:
    import pyarrow as pa


def group_digests(groups: "pa.ChunkedArray") -> Digests:
    """Return 16 bytes [n, 16] for each row: BLAKE2b of its group's text."""
    coded = groups.combine_chunks().dictionary_encode()
    content = b"".join(
        _digest(text.encode(), b"windlass.group") for text in coded.dictionary.to_pylist()
    )
    digests: Digests = np.frombuffer(content, np.uint8).reshape(-1, DIGEST_BYTES)
    chosen: NDArray[np.int64] = coded.indices.to_numpy()
    return digests[chosen]


def days_since_epoch(times: "pa.ChunkedArray") -> NDArray[np.int64]:
    """Return the dates [n] as days since 1970-01-01."""
    result: NDArray[np.int64] = times.to_numpy().astype("datetime64[D]").astype(np.int64)
    return result


def row_identities(project: Project, dataset: "Dataset", indices: NDArray[np.int64]) -> Digests:
    """Return 16 bytes [m, 16] that identify the rows at these indices, the same for every version.

    They are digests of the content, and of group and day where the split uses these: two clients may
    have the same features.
    """
    rows = row_digests(project.schema, dataset.batch.take(indices))
    rule = project.split
    return rows if rule is None else _event_digests(rows, rule, dataset.extra_columns.take(indices))


def _event_digests(rows: Digests, rule: GroupTimeSplit, extra_columns: "pa.Table") -> Digests:
    groups, on = (
        group_digests(extra_columns.column(rule.group)),
        days_since_epoch(extra_columns.column(rule.time)),
    )
    parts = np.hstack([rows, groups, on.astype("<i8").view(np.uint8).reshape(-1, 8)])
    content = b"".join(_digest(part.tobytes(), b"windlass.event") for part in parts)
    return np.frombuffer(content, np.uint8).reshape(-1, DIGEST_BYTES)


def _digest(content: bytes, person: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES, person=person).digest()


SplitMethod = Literal["seed", "content", "group"]


@dataclass(frozen=True)
class Split:
    """Indices of the training rows and of the test rows, in the order of the data.

    `method` is what a row is assigned by: the seed, its content, or its group and day. In the last case some
    rows are in neither. `validation` are rows for early stopping, cut out of those of training.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    method: SplitMethod = "seed"
    validation: NDArray[np.int64] = field(default_factory=lambda: np.array([], np.int64))


def split(dataset: Dataset, target: Target, *, test_size: float, seed: int) -> Split:
    """Hold out a share of the rows; every class is in both, and equal rows are on one side.

    Where so many rows are equal by chance that nobody copied them, each row is drawn by itself. Raises
    ParameterError for a share too small or too large, DataError for a class too rare to split.
    """
    from sklearn.model_selection import train_test_split

    groups = _groups_to_keep(dataset)
    drawn = _drawn_rows(groups, dataset.labels, test_size)
    _require_two_rows_per_class(dataset, target, groups)
    labels = None if dataset.labels is None else dataset.labels[drawn]
    try:
        _, test = train_test_split(drawn, test_size=test_size, random_state=seed, stratify=labels)
    except ValueError as error:
        raise ParameterError(
            f"Test size {test_size} cannot split {counted(len(dataset), 'row')}: {str(error).rstrip('.')}."
            " Choose another test size."
        ) from error
    out = np.isin(groups, groups[test])
    result = Split(np.flatnonzero(~out), np.flatnonzero(out))
    _require_usable_split(result, dataset, target, test_size)
    return result


def _groups_to_keep(dataset: Dataset) -> NDArray[np.int64]:
    """Return the group of each row [n] that is kept on one side: equal rows, or each row by itself."""
    return np.arange(len(dataset)) if dataset.equal_by_chance else dataset.groups


def _drawn_rows(
    groups: NDArray[np.int64], labels: NDArray[np.int64] | None, test_size: float
) -> NDArray[np.int64]:
    """Return a row of each group, one of its rarest class, without groups larger than the test rows are to be."""
    rarity = np.zeros(len(groups)) if labels is None else np.bincount(labels)[labels]
    order = np.lexsort((rarity, groups))
    _, first, counts = np.unique(groups[order], return_index=True, return_counts=True)
    fits = counts <= max(1, test_size * len(groups))
    drawn: NDArray[np.int64] = np.sort(order[first[fits]])
    return drawn


def split_by_content(
    dataset: Dataset, schema: RowSchema, target: Target, *, test_size: float
) -> Split:
    """Hold out about a share of the rows: those whose digest falls below it, whatever the seed.

    Raises ParameterError for a share that leaves too few rows on a side, DataError for a class too rare.
    """
    _require_two_rows_per_class(dataset, target)
    out = holdout_mask(row_digests(schema, dataset.batch), test_size)
    result = Split(np.flatnonzero(~out), np.flatnonzero(out), method="content")
    _require_usable_split(result, dataset, target, test_size)
    return result


def split_by_group(
    dataset: Dataset, rule: GroupTimeSplit, target: Target, *, test_size: float
) -> Split:
    """Hold out about a share of the groups, and of their rows those of the latest days.

    A group's side follows from a digest of its text, whatever the seed. The first days make up a share of
    `1 - test_size` of all rows, or a little more, for a day is not divided. Raises ParameterError for a share
    that leaves too few rows on a side, DataError for a class too rare.
    """
    _require_two_rows_per_class(dataset, target)
    out = holdout_mask(group_digests(dataset.extra_columns.column(rule.group)), test_size)
    on = days_since_epoch(dataset.extra_columns.column(rule.time))
    first = max(1, int(np.ceil((1 - test_size) * len(on))))
    late = on > np.partition(on, first - 1)[first - 1]
    result = Split(np.flatnonzero(~out & ~late), np.flatnonzero(out & late), method="group")
    _require_usable_split(result, dataset, target, test_size)
    return result


def hold_out_validation(
    split: Split, project: Project, dataset: Dataset, plan: TrainingPlan
) -> Split:
    """Move the declared share of the training rows to `validation`, by the rule by which test rows are held out.

    So a group, or equal rows, are on one side where they are in the split. Raises ParameterError for a share that
    leaves too few rows on a side.
    """
    share = project.validation or 0.0
    train = split.train
    if split.method == "seed":
        out = _drawn_mask(train, dataset, share, plan.seed)
    else:
        rule = project.split
        digests = (
            row_digests(project.schema, dataset.batch.take(train))
            if rule is None
            else group_digests(dataset.extra_columns.column(rule.group).take(train))
        )
        # the digests of training rows begin where those of test rows end
        out = holdout_mask(digests, plan.test_size + (1 - plan.test_size) * share)
    result = replace(split, train=train[~out], validation=train[out])
    _require_usable_validation(result, project.target, dataset, share)
    return result


def _drawn_mask(
    train: NDArray[np.int64], dataset: Dataset, share: float, seed: int
) -> NDArray[np.bool_]:
    from sklearn.model_selection import train_test_split

    groups = _groups_to_keep(dataset)[train]
    labels = None if dataset.labels is None else dataset.labels[train]
    drawn = _drawn_rows(groups, labels, share)
    try:
        _, held_out = train_test_split(
            drawn,
            test_size=share,
            random_state=seed,
            stratify=None if labels is None else labels[drawn],
        )
    except ValueError as error:
        raise ParameterError(
            f"Validation share {share} cannot split {counted(len(train), 'training row')}:"
            f" {str(error).rstrip('.')}. Declare another Project(validation=…)."
        ) from error
    out: NDArray[np.bool_] = np.isin(groups, groups[held_out])
    return out


def _require_usable_validation(
    parts: Split, target: Target, dataset: Dataset, share: float
) -> None:
    left = f"Validation share {share} leaves {counted(len(parts.train), 'row')} to train on"
    advice = "Declare another Project(validation=…)."
    if len(parts.validation) < 2 or not len(parts.train):
        raise ParameterError(f"{left} and {len(parts.validation)} to validate on. {advice}")
    for classes, labels in target.class_labels(dataset.truth[parts.train]):
        counts = np.bincount(labels, minlength=len(classes.labels))
        absent = [repr(label) for label, n in zip(classes.labels, counts, strict=True) if n == 0]
        if absent:
            raise ParameterError(
                f"{left}, none of class {', '.join(absent)} of {classes.name}. {advice}"
            )


def split_by_target_group(dataset: Dataset, target: Target, *, test_size: float) -> Split:
    """Hold out about a share of the groups of a ranking, whole, whatever the seed.

    A group's side follows from a digest of its text. Raises ParameterError for a share that leaves no row on a side.
    """
    assert target.group is not None
    out = holdout_mask(group_digests(dataset.extra_columns.column(target.group)), test_size)
    result = Split(np.flatnonzero(~out), np.flatnonzero(out), method="group")
    _require_usable_split(result, dataset, target, test_size)
    return result


def _require_usable_split(parts: Split, dataset: Dataset, target: Target, test_size: float) -> None:
    if not len(parts.train):
        raise ParameterError(
            f"Test size {test_size} leaves none of {counted(len(dataset), 'row')} to train on. Choose a smaller one."
        )
    sides = (("test", parts.test), ("training", parts.train))
    for name, side in sides:
        for classes, labels in target.class_labels(dataset.truth[side]):
            _require_every_class(classes, labels, name, test_size)
    if len(parts.test) < 2 and not any(True for _ in target.class_labels(dataset.truth)):
        raise ParameterError(
            f"Test size {test_size} holds out {len(parts.test)} of {counted(len(dataset), 'row')}, too few to"
            " measure on. Choose a larger one."
        )


def _require_two_rows_per_class(
    dataset: Dataset, target: Target, groups: NDArray[np.int64] | None = None
) -> None:
    """Check that every class can be on both sides; of `groups` all rows are on one. Raises DataError."""
    for classes, labels in target.class_labels(dataset.truth):
        counts = np.bincount(labels, minlength=len(classes.labels))
        different = counts if groups is None else _groups_per_class(groups, labels, len(counts))
        for label, count, unlike in zip(classes.labels, counts, different, strict=True):
            if unlike < 2:
                equal = ", all equal" if count > 1 else ""
                raise DataError(
                    f"Class {label!r} of target {classes.name!r} has {counted(count, 'row')}{equal}; training and test"
                    f" need one each. Add {'other ' if equal else ''}rows of it, or do not declare it."
                )


def _groups_per_class(
    groups: NDArray[np.int64], labels: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    return np.bincount(np.unique(groups * classes + labels) % classes, minlength=classes)


def _require_every_class(
    target: Classes, labels: NDArray[np.int64], side: str, test_size: float
) -> None:
    counts = np.bincount(labels, minlength=len(target.labels))
    absent = [repr(label) for label, n in zip(target.labels, counts, strict=True) if n == 0]
    if absent:
        better = "larger" if side == "test" else "smaller"
        raise ParameterError(
            f"Test size {test_size} leaves {counted(len(labels), f'{side} row')}, none of class {', '.join(absent)}"
            f" of {target.name}. Choose a {better} one."
        )
