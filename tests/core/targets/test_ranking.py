"""Rankings: nDCG and average precision by group, and the groups that rankers are given."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score, ndcg_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.support.truth_columns import Columns

from windlass.core.batch import Prediction
from windlass.core.bundle import read_target
from windlass.core.targets.ranking import Ranking
from windlass.errors import DataError, ParameterError, ProjectError

TARGET = Ranking("relevance", group="query")


def _truth(relevances: list[float], queries: list[Any]) -> Any:
    return TARGET.read(Columns(relevance=relevances, query=queries))


def test_metrics_are_scikit_learns_means_over_groups() -> None:
    random = np.random.default_rng(0)
    relevances, queries = random.integers(0, 4, 40).astype(float), np.arange(40) % 5
    relevances[queries == 4] = 0  # nothing relevant: the group does not count
    scores = random.integers(0, 6, 40).astype(float)  # with ties
    truth = _truth(relevances.tolist(), queries.tolist())
    metrics = TARGET.evaluate(truth, Prediction(values=scores))
    assert set(metrics) == set(TARGET.metric_names())
    assert metrics["test_groups"] == 4
    groups = [queries == query for query in range(4)]
    for name, k in (("ndcg_at_5", 5), ("ndcg_at_10", 10), ("ndcg", None)):
        expected = [ndcg_score([2 ** relevances[rows] - 1], [scores[rows]], k=k) for rows in groups]
        assert metrics[name] == pytest.approx(np.mean(expected)), name
    precisions = [average_precision_score(relevances[rows] > 0, scores[rows]) for rows in groups]
    assert metrics["map"] == pytest.approx(np.mean(precisions))
    for metric in TARGET.compared_metrics():
        assert metric.units(truth) == 4
        resampled = metric.resample(truth, Prediction(values=scores))
        assert resampled(np.arange(4)) == pytest.approx(metrics[metric.name])


def test_a_group_has_one_number_in_every_training() -> None:
    first, second = _truth([1, 0], ["a", "b"]), _truth([1, 0, 2], ["b", "c", "a"])
    assert first[:, 1].tolist() == second[[2, 0], 1].tolist()
    order = TARGET.fit_order(_truth([0, 1, 2, 3], ["b", "a", "b", "a"]))
    assert sorted(order.tolist()[:2]) in ([0, 2], [1, 3])


class LightRanker:
    def fit(self, X: Any, y: Any, group: Any = None) -> Any:
        raise NotImplementedError


class QueryRanker:
    def fit(self, X: Any, y: Any, *, group: Any = None, qid: Any = None) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("built", "expected"),
    [
        (Ridge(), {}),
        (LightRanker(), {"group": [2, 1]}),
        (QueryRanker(), {"qid": [0, 0, 1]}),
        (make_pipeline(StandardScaler(), LightRanker()), {"lightranker__group": [2, 1]}),
    ],
)
def test_a_ranker_is_given_the_groups(built: Any, expected: Any) -> None:
    truth = _truth([1, 0, 2], ["a", "a", "b"])
    truth[:, 1] = [7, 7, 9]

    def fit_one(estimator: Any, encode: Any, arguments: Any) -> Any:
        assert encode(truth).tolist() == [1, 0, 2]
        return {name: values.tolist() for name, values in arguments(truth).items()}

    assert TARGET.fit(built, fit_one) == expected


@pytest.mark.parametrize(
    ("relevances", "queries", "message"),
    [
        ([1.0, 40.0], ["a", "b"], "1 of 2 rows are not from 0 to 31, the first is row 1"),
        ([1.0, -1.0], ["a", "b"], "not from 0 to 31"),
        ([1.0, None], ["a", "b"], "missing or infinite"),
        ([1.0, 0.0], ["a", None], "Group 'query' of target 'relevance' is missing, first in row 1"),
    ],
)
def test_truths_that_cannot_be_ranked(relevances: Any, queries: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _truth(relevances, queries)


def test_test_rows_without_a_relevant_one_cannot_be_measured() -> None:
    with pytest.raises(ParameterError, match="No group of 'query' among the test rows"):
        TARGET.evaluate(_truth([0, 0], ["a", "b"]), Prediction(values=np.zeros(2)))


def test_a_record_gives_the_target_back() -> None:
    assert read_target(TARGET.record()) == TARGET
    with pytest.raises(ProjectError, match="cannot be its own group"):
        Ranking("query", group="query")
