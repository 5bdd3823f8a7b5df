"""The split into training and test rows: stratified by class, decided by the seed alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from windlass.core.target import Classes, Target
from windlass.errors import DataError, ParameterError
from windlass.training.dataset import Dataset


@dataclass(frozen=True)
class Split:
    """Indices of the training rows and of the test rows, in the order of the data."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]


def split(dataset: Dataset, target: Target, *, test_size: float, seed: int) -> Split:
    """Hold out a share of the rows; every class stands on both sides.

    Raises ParameterError for a share too small or too large, DataError for a class too rare to split.
    """
    from sklearn.model_selection import train_test_split

    if isinstance(target, Classes):
        _refuse_rare(dataset, target)
    try:
        train, test = train_test_split(
            np.arange(len(dataset)),
            test_size=test_size,
            random_state=seed,
            stratify=dataset.labels,
        )
    except ValueError as error:
        raise ParameterError(
            f"Test size {test_size} cannot split {len(dataset)} rows: {str(error).rstrip('.')}."
            " Choose another test size."
        ) from error
    if isinstance(target, Classes) and dataset.labels is not None:
        for name, side in (("test", test), ("training", train)):
            _refuse_absent(target, dataset.labels[side], name, test_size)
    elif len(test) < 2:
        raise ParameterError(
            f"Test size {test_size} holds out {len(test)} of {len(dataset)} rows, too few to measure on."
            " Choose a larger one."
        )
    return Split(np.sort(train), np.sort(test))


def _refuse_rare(dataset: Dataset, target: Classes) -> None:
    counts = np.bincount(dataset.labels, minlength=len(target.labels))  # type: ignore[arg-type]  # set with Classes
    for label, count in zip(target.labels, counts, strict=True):
        if count < 2:
            raise DataError(
                f"Class {label!r} of target {target.name!r} has {count} rows; training and test need one each."
                " Add rows of it, or do not declare it."
            )


def _refuse_absent(target: Classes, labels: NDArray[np.int64], side: str, test_size: float) -> None:
    counts = np.bincount(labels, minlength=len(target.labels))
    absent = [repr(label) for label, n in zip(target.labels, counts, strict=True) if n == 0]
    if absent:
        better = "larger" if side == "test" else "smaller"
        raise ParameterError(
            f"Test size {test_size} leaves {len(labels)} {side} rows, none of class {', '.join(absent)}."
            f" Choose a {better} one."
        )
