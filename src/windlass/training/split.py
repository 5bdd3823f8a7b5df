"""Splits rows into training and test rows: by seed or by content. `declared_split` splits by declared columns.

Equal rows are on one side: a model may not be tested on what it was fitted to. By content where versions are compared
with each other: two seeds would hold out different rows, and one version would be evaluated on rows that the other was
trained on.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from windlass.core.holdout import holdout_mask, row_digests
from windlass.core.project import Project
from windlass.core.row_schema import RowSchema
from windlass.core.targets.classes import Classes
from windlass.core.targets.target import Target
from windlass.errors import DataError, ParameterError, counted
from windlass.training.dataset import Dataset
from windlass.training.plan import TrainingPlan

SplitMethod = Literal["seed", "content", "declared"]


@dataclass(frozen=True)
class Split:
    """Indices of the training rows and of the test rows, in the order of the data.

    `method` is what a row is assigned by: the seed, its content, or declared columns. In the last case some
    rows may be in neither. `validation` are rows for early stopping, cut out of those of training.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    method: SplitMethod = "seed"
    validation: NDArray[np.int64] = field(default_factory=lambda: np.array([], np.int64))


def split(dataset: Dataset, target: Target, *, test_size: float, seed: int) -> Split:
    """Hold out a share of the rows; every class is in both, and equal rows are on one side.

    Where so many rows are equal by chance that nobody copied them, or a class has too few different rows to keep
    equal ones together, each row is drawn by itself. Raises
    ParameterError for a share too small or too large, DataError for a class too rare to split.
    """
    from sklearn.model_selection import train_test_split

    groups = _groups_to_keep(dataset)
    drawn = _drawn_rows(groups, dataset.labels, test_size)
    require_two_rows_per_class(dataset, target, groups)
    if _is_rare(dataset.labels, drawn):
        groups = drawn = np.arange(len(dataset))
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
    require_usable_split(result, dataset, target, test_size)
    return result


def _groups_to_keep(dataset: Dataset) -> NDArray[np.int64]:
    """Return the group of each row [n] that is kept on one side: equal rows, or each row by itself."""
    return np.arange(len(dataset)) if dataset.equal_by_chance else dataset.groups


def _is_rare(labels: NDArray[np.int64] | None, drawn: NDArray[np.int64]) -> bool:
    """Return whether a class that has rows has fewer than two of the drawn ones."""
    if labels is None:
        return False
    present = np.bincount(labels) > 1
    counts = np.bincount(labels[drawn], minlength=len(present))
    return bool((counts[present] < 2).any())


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
    require_two_rows_per_class(dataset, target)
    out = holdout_mask(row_digests(schema, dataset.batch), test_size)
    result = Split(np.flatnonzero(~out), np.flatnonzero(out), method="content")
    require_usable_split(result, dataset, target, test_size)
    return result


def hold_out_validation(
    split: Split, project: Project, dataset: Dataset, plan: TrainingPlan
) -> Split:
    """Move the declared share of the training rows to `validation`, by the rule by which test rows are held out.

    So a group, or equal rows, are on one side where they are in the split. Raises ParameterError for a share that
    leaves too few rows on a side.
    """
    share, train = project.validation or 0.0, split.train
    if split.method == "seed":
        out = _drawn_mask(train, dataset, share, plan.seed)
    else:
        digests = row_digests(project.schema, dataset.batch.take(train))
        out = holdout_mask(digests, validation_bound(plan.test_size, share))
    result = replace(split, train=train[~out], validation=train[out])
    require_usable_validation(result, project.target, dataset, share)
    return result


def validation_bound(test_size: float, share: float) -> float:
    """Returns the bound of the digests of validation rows: those of test rows end at `test_size`, where they begin."""
    return test_size + (1 - test_size) * share


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


def require_usable_validation(parts: Split, target: Target, dataset: Dataset, share: float) -> None:
    """Checks that there are rows to validate on, and of every class to train on. Raises ParameterError."""
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


def require_usable_split(parts: Split, dataset: Dataset, target: Target, test_size: float) -> None:
    """Checks that there are rows of every class on both sides. Raises ParameterError."""
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


def require_two_rows_per_class(
    dataset: Dataset, target: Target, groups: NDArray[np.int64] | None = None
) -> None:
    """Checks that every class can be on both sides; of `groups` all rows are on one. Raises DataError."""
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
