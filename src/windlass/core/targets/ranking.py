"""Target of learning to rank: a score by which the rows of a group are ordered."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from inspect import signature
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from windlass.core import metrics as formulas
from windlass.core.batch import Prediction
from windlass.core.compared_metrics import ComparedMetric, Truth, mean_metric
from windlass.core.targets.numbers import NumberTarget, read_numbers
from windlass.core.targets.target import (
    FitOne,
    Json,
    TargetRecord,
    TruthColumns,
)
from windlass.errors import DataError, ParameterError, ProjectError, counted

MAX_RELEVANCE = 31  # gains grow as 2 to the power of it, as LightGBM's do
CUTOFFS = (5, 10)  # ranks up to which nDCG is measured, beside all
_DIGEST_BYTES = 6  # of a group's number, which float64 holds exactly
_ARGUMENTS = (
    "group",
    "qid",
    "group_id",
)  # of the fit of LightGBM's, XGBoost's and CatBoost's rankers


@dataclass(frozen=True)
class Ranking(NumberTarget):
    """Target of learning to rank: `Ranking("relevance", group="query")`.

    `name` is a column of relevances, from 0 (not relevant) to 31, `group` an extra column of data()'s table: rows of
    one group, such as a query, are ordered by their scores. The prediction of a row is its score. Groups are held out
    as a whole. An estimator is a regressor of the relevance, or a ranker of LightGBM, XGBoost or CatBoost, which is
    given the groups. Raises ProjectError where `group` is the target itself.
    """

    name: str
    group: str
    KIND: ClassVar[str | None] = "ranking"

    def __post_init__(self) -> None:
        if self.group == self.name:
            raise ProjectError(
                f"Target {self.name!r} cannot be its own group. Name another column."
            )

    def record(self) -> TargetRecord:
        """Returns the target as `schema.json` holds it."""
        return TargetRecord(name=self.name, kind=self.KIND, group=self.group)

    @property
    def truth_shape(self) -> tuple[int, ...]:
        """Shape of the truth of one row: its relevance, and the number of its group."""
        return (2,)

    def read(self, columns: TruthColumns) -> Truth:
        """Returns relevances and numbers of groups [n, 2]; equal groups have one number. Raises DataError."""
        relevances = read_numbers(self.name, columns)
        bad = np.flatnonzero((relevances < 0) | (relevances > MAX_RELEVANCE))
        if len(bad):
            first = int(bad[0])
            raise DataError(
                f"Target {self.name!r}: {len(bad)} of {counted(len(relevances), 'row')} are not from 0 to"
                f" {MAX_RELEVANCE}, the first is {columns.row(first, self.name, relevances[first])}. Change them in"
                f" {columns.location}."
            )
        groups = columns.values(self.group) or ()
        if any(group is None for group in groups):
            first = list(groups).index(None)
            raise DataError(
                f"Group {self.group!r} of target {self.name!r} is missing, first in"
                f" {columns.row(first, self.group, None)}. Fill it in, or drop these rows in {columns.location}."
            )
        return np.column_stack([relevances, [_group_number(str(group)) for group in groups]])

    def predicted_truth(self, truth: Truth) -> Truth:
        """Returns the relevances [n]."""
        return truth[:, 0]

    def fit_order(self, truth: Truth) -> NDArray[np.int64]:
        """Returns the order of the rows by group, as rankers need them."""
        order: NDArray[np.int64] = np.argsort(truth[:, 1], kind="stable")
        return order

    def fit(self, built: Any, fit_one: FitOne) -> Any:
        """Returns the estimator, fitted to the relevances; a ranker is given the groups."""
        return fit_one(built, lambda truth: truth[:, 0], _group_arguments(built))

    def compared_metrics(self) -> tuple[ComparedMetric, ...]:
        """Returns means over groups that have a relevant row, of their nDCG and average precision."""
        cutoffs: list[tuple[str, int | None]] = [(f"ndcg_at_{k}", k) for k in CUTOFFS]
        return (
            *(
                _mean_of_groups(name, partial(_ndcg, cutoff=k))
                for name, k in [*cutoffs, ("ndcg", None)]
            ),
            _mean_of_groups("map", _average_precision),
        )

    def metric_names(self) -> tuple[str, ...]:
        """Returns the names of all metrics that `evaluate` computes."""
        return (*(metric.name for metric in self.compared_metrics()), "test_groups")

    def evaluate(self, truth: Truth, prediction: Prediction) -> dict[str, float]:
        """Returns the metrics of the test rows. Raises ParameterError where no group has a relevant row."""
        groups = _relevant_groups(truth)
        if not groups:
            raise ParameterError(
                f"No group of {self.group!r} among the test rows has a relevant row, so nothing is measured. Choose a"
                " larger test size."
            )
        metrics = {
            metric.name: metric.value(truth, prediction) for metric in self.compared_metrics()
        }
        return metrics | {"test_groups": float(groups)}

    def answer_schema(self) -> dict[str, Json]:
        """Returns the JSON Schema of each field of an answer."""
        about = f"Score of {self.name}: the higher, the earlier in its group"
        return {"prediction": {"type": "number", "description": about}}


def _group_number(group: str) -> int:
    """Returns a number that is the same in every training."""
    return int.from_bytes(blake2b(group.encode(), digest_size=_DIGEST_BYTES).digest(), "little")


def _group_arguments(built: Any) -> Callable[[Truth], dict[str, Any]]:
    """Returns the arguments that the `fit` of an estimator takes for groups, by the truth of rows in order."""
    prefix, model = "", built
    while hasattr(model, "steps"):
        name, model = model.steps[-1]
        prefix += f"{name}__"
    parameters = signature(model.fit).parameters if type(model).__name__.endswith("Ranker") else {}
    argument = next((name for name in _ARGUMENTS if name in parameters), None)
    if "qid" in parameters:  # XGBoost's takes both
        argument = "qid"

    def arguments(truth: Truth) -> dict[str, Any]:
        if argument is None:
            return {}
        _, numbers, sizes = np.unique(truth[:, 1], return_inverse=True, return_counts=True)
        return {f"{prefix}{argument}": sizes if argument == "group" else numbers}

    return arguments


def _groups(truth: Truth) -> Iterator[NDArray[np.int64]]:
    """Yields the indices of the rows of each group that has a relevant row, in the order of the groups' numbers."""
    order = np.argsort(truth[:, 1], kind="stable")
    starts = np.flatnonzero(np.diff(truth[order, 1], prepend=np.nan))
    for rows in np.split(order, starts[1:]):
        if (truth[rows, 0] > 0).any():
            yield rows


def _relevant_groups(truth: Truth) -> int:
    return sum(1 for _ in _groups(truth)) if len(truth) else 0


def _mean_of_groups(
    name: str, measure: Callable[[NDArray[np.float64], NDArray[np.float64]], float]
) -> ComparedMetric:
    def values(truth: Truth, prediction: Prediction) -> NDArray[np.float64]:
        assert prediction.values is not None
        scores = prediction.values
        return np.array([measure(truth[rows, 0], scores[rows]) for rows in _groups(truth)])

    return mean_metric(name, values, less_is_better=False, units=_relevant_groups)


def _ndcg(
    relevances: NDArray[np.float64], scores: NDArray[np.float64], cutoff: int | None
) -> float:
    """Normalised discounted cumulative gain: C. Burges et al. (2005), ICML 89-96; ties are averaged.

    The gain of a row is 2 to the power of its relevance, less 1; its discount is 1 / log2(rank + 1).
    """
    gains = np.exp2(relevances) - 1
    discounts = 1 / np.log2(np.arange(2, len(gains) + 2))
    if cutoff is not None:
        discounts[cutoff:] = 0.0
    _, tied, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    means = np.bincount(tied, gains) / sizes
    ends = np.cumsum(sizes)
    cumulated = np.concatenate([[0.0], np.cumsum(discounts)])
    gained = np.sum(means * (cumulated[ends] - cumulated[ends - sizes]))
    return float(gained / np.sum(np.sort(gains)[::-1] * discounts))


def _average_precision(relevances: NDArray[np.float64], scores: NDArray[np.float64]) -> float:
    return formulas.average_precision((relevances > 0).astype(np.int64), scores)
