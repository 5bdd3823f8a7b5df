"""Scores how much of the target one column explains by itself, on rows that the score was not fitted to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Batch
from windlass.core.row_schema import RowSchema
from windlass.training.split import Split

MIN_ROWS = 50  # to score a column on
_MIN_ERRORS = 10  # of the most frequent class; fewer say nothing of a column
_SAMPLE, _ALL = 4_000, 100_000  # rows at most: for every column, and for those that look like leaks
_SUSPECT = 0.8  # score of a sample from which all rows are used
_MAX_LEAVES = 64
_SEED = 1959

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class ScoredTarget:
    """Target of n rows as columns are scored by: class indices, or the ranks of a quantity as shares of n.

    Ranks, so that a logarithm or another unit of the target scores as the target itself.
    """

    values: NDArray[Any]
    is_class: bool

    @classmethod
    def from_arrays(cls, truth: NDArray[Any], labels: Indices | None) -> "list[ScoredTarget]":
        """Return the target of a dataset's `truth` [n] or [n, k] and `labels`; one for each output that is known."""
        if labels is not None:
            return [cls(labels, is_class=True)]
        outputs = np.asarray(truth, np.float64).reshape(len(truth), -1).T
        return [
            cls(_ranks(output), is_class=False) for output in outputs if np.isfinite(output).all()
        ]


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, codes, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - (counts - 1) / 2)[codes] / len(values)
    return ranks


def column_scores(
    schema: RowSchema, batch: Batch, targets: Sequence[ScoredTarget], split: Split
) -> dict[str, float]:
    """Return the score of each column of n rows, 0 to 1; empty where the rows are too few to say.
    Of several `targets` (outputs) the one that it explains best counts.

    For classes it is the share of the most frequent class's mistakes that a tree on this column avoids, for a
    quantity the R² of its ranks. Where the project declares how to split, trees are fitted to training rows and
    scored on test rows; else each half of the rows is scored by a tree that was fitted to the other.
    """
    scores: dict[str, float] = {}
    for target in targets:
        for name, score in _scores_of_target(schema, batch, target, split):
            scores[name] = max(round(score, 4), scores.get(name, 0.0))
    return scores


def _scores_of_target(
    schema: RowSchema, batch: Batch, target: ScoredTarget, split: Split
) -> Iterator[tuple[str, float]]:
    sample = _folds(target, split, _SAMPLE)
    if sample is None:
        return
    all_rows = None
    for name, values in named_columns(schema, batch):
        score = _score(values, target, sample)
        if score >= _SUSPECT:
            all_rows = all_rows or _folds(target, split, _ALL) or sample
            score = _score(values, target, all_rows)
        yield name, score


def named_columns(schema: RowSchema, batch: Batch) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield name and values [n] of each column that is numbers (NaN is missing) or text ("" is missing)."""
    for index, column in enumerate(schema.numeric):
        yield column.name, batch.numeric[:, index]
    for index, column in enumerate(schema.text):
        yield column.name, batch.text[:, index]


def _folds(target: ScoredTarget, split: Split, limit: int) -> list[tuple[Indices, Indices]] | None:
    """Return pairs of rows to fit to and to score on; None where they are too few."""
    random = np.random.default_rng(_SEED)
    if split.method in ("seed", "content"):
        rows = _draw(np.arange(len(target.values)), target, limit, random)
        halves = rows[::2], rows[1::2]
        folds = [halves, halves[::-1]]
    else:
        drawn = [_draw(side, target, limit // 2, random) for side in (split.train, split.test)]
        folds = [(drawn[0], drawn[1])]
    scored = np.concatenate([rows for _, rows in folds])
    if len(scored) < MIN_ROWS:
        return None
    if target.is_class and len(scored) - np.bincount(target.values[scored]).max() < _MIN_ERRORS:
        return None
    return folds


def _draw(rows: Indices, target: ScoredTarget, limit: int, random: np.random.Generator) -> Indices:
    """Return at most `limit` of these rows in any order; where a class is rare, as many of each class."""
    rows = random.permutation(rows)
    drawn = rows[:limit]
    if len(drawn) == len(rows) or not target.is_class:
        return drawn
    labels = target.values[rows]
    counts = np.bincount(target.values[drawn])
    if counts.sum() - counts.max() >= 2 * _MIN_ERRORS:
        return drawn
    per_class = limit // len(np.unique(labels))
    chosen = [rows[labels == label][:per_class] for label in np.unique(labels)]
    return random.permutation(np.concatenate(chosen))


def _score(
    values: NDArray[Any], target: ScoredTarget, folds: list[tuple[Indices, Indices]]
) -> float:
    """Return the score of one column, 0 to 1."""
    losses, baseline = 0.0, 0.0
    for fit, scored in folds:
        truth = target.values[scored]
        constant = _constant(target.values[fit], is_class=target.is_class)
        predicted = _predict(values, target, fit, scored)
        if target.is_class:
            losses += float(np.count_nonzero(predicted != truth))
            baseline += float(np.count_nonzero(constant != truth))
        else:
            losses += float(np.sum((predicted - truth) ** 2))
            baseline += float(np.sum((constant - truth) ** 2))
    return max(0.0, 1 - losses / baseline) if baseline else 0.0


def _constant(values: NDArray[Any], *, is_class: bool) -> Any:
    return np.bincount(values).argmax() if is_class else values.mean()


def _predict(
    values: NDArray[Any], target: ScoredTarget, fit: Indices, scored: Indices
) -> NDArray[Any]:
    """Return what the column alone predicts for the rows to score."""
    if values.dtype == object:
        return _predict_by_category(values, target, fit, scored)
    if np.isnan(values[fit]).all():
        return np.full(len(scored), _constant(target.values[fit], is_class=target.is_class))
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    kind = DecisionTreeClassifier if target.is_class else DecisionTreeRegressor
    leaf = min(5, max(1, len(fit) // 50))  # rows: of a single row a tree learns its noise
    tree = kind(max_leaf_nodes=_MAX_LEAVES, min_samples_leaf=leaf, random_state=_SEED)
    tree.fit(values[fit].reshape(-1, 1), target.values[fit])
    predicted: NDArray[Any] = tree.predict(values[scored].reshape(-1, 1))
    return predicted


def _predict_by_category(
    values: NDArray[Any], target: ScoredTarget, fit: Indices, scored: Indices
) -> NDArray[Any]:
    """Return each category's most frequent class or mean; those of all rows for a category that is new."""
    categories, codes = np.unique(
        values[np.concatenate([fit, scored])].astype(str), return_inverse=True
    )
    fitted, wanted = codes[: len(fit)], codes[len(fit) :]
    truth, size = target.values[fit], len(categories)
    constant = _constant(truth, is_class=target.is_class)
    counts = np.bincount(fitted, minlength=size)
    if target.is_class:
        classes = int(truth.max()) + 1
        pairs, numbers = np.unique(fitted * classes + truth, return_counts=True)
        order = np.argsort(
            numbers, kind="stable"
        )  # the most frequent class of a category last, and it stays
        answers = np.full(size, constant)
        answers[pairs[order] // classes] = pairs[order] % classes
    else:
        answers = np.bincount(fitted, truth, size) / np.maximum(counts, 1)
    predicted: NDArray[Any] = np.where(counts[wanted] > 0, answers[wanted], constant)
    return predicted
