from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from windlass.core.batch import Prediction
from windlass.core.evaluation_rules import CostMatrix
from windlass.core.metrics import COST_METRICS, ROW_COUNTS
from windlass.core.project import Project
from windlass.core.targets.classes import Classes
from windlass.core.targets.quantity import Quantity
from windlass.errors import ParameterError
from windlass.training.dataset import read_dataset
from windlass.training.evaluate import evaluate
from windlass.training.split import Split

Table = dict[str, list[Any]]
Make = Callable[..., Project]


def _parts(count: int) -> Split:
    return Split(np.arange(20 - count), np.arange(20 - count, 20))


def test_classification_metrics_are_scikit_learns(project_of: Make, table: Table) -> None:
    random = np.random.default_rng(3)
    labels = ["c", "a", "b"]
    table["kind"] = random.choice(labels, 20).tolist()
    project = project_of(table, target=Classes("kind", labels))
    shares = random.dirichlet([1, 1, 1], 15)
    predicted = shares.argmax(axis=1)
    evaluation = evaluate(project, read_dataset(project), _parts(15), Prediction(predicted, shares))
    truth = table["kind"][5:]
    names = [labels[i] for i in predicted]
    report = sk.classification_report(truth, names, output_dict=True, zero_division=0)
    for label in labels:
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert evaluation.metrics[f"{ours}_{label}"] == pytest.approx(report[label][theirs])
    assert evaluation.metrics["accuracy"] == pytest.approx(report["accuracy"])
    assert evaluation.metrics["macro_f1"] == pytest.approx(report["macro avg"]["f1-score"])
    order = [1, 2, 0]  # scikit-learn sorts classes
    assert evaluation.metrics["log_loss"] == pytest.approx(
        sk.log_loss(truth, shares[:, order], labels=sorted(labels))
    )
    assert evaluation.confusion == {
        "labels": labels,
        "matrix": sk.confusion_matrix(truth, names, labels=labels).tolist(),
    }


def test_of_two_classes_the_second_is_positive(project_of: Make, table: Table) -> None:
    table["kind"] = ["a", "b"] * 10
    project = project_of(table)
    positive = np.linspace(0.05, 0.95, 20)[::-1]
    shares = np.column_stack([1 - positive, positive])
    prediction = Prediction(shares.argmax(axis=1), shares)
    evaluation = evaluate(
        project, read_dataset(project), Split(np.arange(0), np.arange(20)), prediction
    )
    truth = [label == "a" for label in table["kind"]]
    assert evaluation.metrics["roc_auc"] == pytest.approx(sk.roc_auc_score(truth, positive))
    assert evaluation.metrics["brier"] == pytest.approx(sk.brier_score_loss(truth, positive))
    assert evaluation.metrics["average_precision"] == pytest.approx(
        sk.average_precision_score(truth, positive)
    )


def test_regression_metrics_are_scikit_learns(project_of: Make, table: Table) -> None:
    random = np.random.default_rng(3)
    table["kind"] = random.normal(size=20).tolist()
    project = project_of(table, target=Quantity("kind"))
    values = random.normal(size=8)
    evaluation = evaluate(project, read_dataset(project), _parts(8), Prediction(values=values))
    truth = table["kind"][12:]
    assert evaluation.confusion is None
    assert evaluation.metrics == pytest.approx(
        {
            "mae": sk.mean_absolute_error(truth, values),
            "rmse": sk.root_mean_squared_error(truth, values),
            "r2": sk.r2_score(truth, values),
            "test_rows": 8,
            "train_rows": 12,
        }
    )


def _measured(project: Project, prediction: Prediction) -> set[str]:
    return set(evaluate(project, read_dataset(project), _parts(12), prediction).metrics)


@pytest.mark.parametrize(
    ("count", "costs"), [(2, None), (2, CostMatrix(false_negative=5, false_positive=1)), (3, None)]
)
def test_gates_know_beforehand_what_is_measured_of_classes(
    project_of: Make, table: Table, count: int, costs: CostMatrix | None
) -> None:
    labels = [3, 5, 7][:count]
    table["kind"] = [labels[i % count] for i in range(20)]
    project = project_of(table, target=Classes("kind", labels), costs=costs)
    shares = np.random.default_rng(3).dirichlet([1] * count, 12)
    names = [*project.target.metric_names(), *(COST_METRICS if costs else ()), *ROW_COUNTS]
    assert _measured(project, Prediction(shares.argmax(axis=1), shares)) == set(names)
    assert len(names) == len(set(names))


def test_gates_know_beforehand_what_is_measured_of_a_quantity(
    project_of: Make, table: Table
) -> None:
    table["kind"] = [float(i) for i in range(20)]
    project = project_of(table, target=Quantity("kind"))
    names = [*project.target.metric_names(), *ROW_COUNTS]
    assert _measured(project, Prediction(values=np.ones(12))) == set(names)


def test_equal_targets_have_no_r2(project_of: Make, table: Table) -> None:
    project = project_of(table | {"kind": [1.0] * 20}, target=Quantity("kind"))
    with pytest.raises(ParameterError, match="R² cannot be measured"):
        evaluate(project, read_dataset(project), _parts(4), Prediction(values=np.ones(4)))
