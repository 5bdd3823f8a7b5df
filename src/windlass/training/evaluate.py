"""Evaluates a fitted model on the test rows: metrics, confusion matrix, calibration and fairness."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core import metrics as formulas
from windlass.core.batch import Prediction
from windlass.core.compared_metrics import Truth
from windlass.core.error_descriptions import describe_error
from windlass.core.evaluation_rules import CostMatrix, Metric
from windlass.core.project import Project
from windlass.core.targets.classes import Classes
from windlass.core.targets.target import Target
from windlass.errors import ParameterError, counted
from windlass.training.calibration import calibration_curve
from windlass.training.dataset import Dataset
from windlass.training.fairness import fairness_by_slice
from windlass.training.split import Split


@dataclass(frozen=True)
class Evaluation:
    """Contents of `metrics.json`, `confusion_matrix.json`, `calibration.json` and `fairness.json`.

    Rows of the matrix are true classes, columns are predicted ones; without classes there is none. Calibration is
    measured where costs are declared, fairness where slices are.
    """

    metrics: dict[str, float]
    confusion: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None
    fairness: dict[str, Any] | None = None


def evaluate(
    project: Project,
    dataset: Dataset,
    split: Split,
    prediction: Prediction,
    target: Target | None = None,
) -> Evaluation:
    """Score predictions of the test rows, by the project's target unless another is given.

    Raises ParameterError for a metric that is not a finite number.
    """
    truth, target = dataset.truth[split.test], target or project.target
    evaluation = Evaluation(
        target.evaluate(truth, prediction),
        confusion=target.confusion(truth, prediction),
    )
    if isinstance(project.target, Classes):
        evaluation = _with_costs_and_slices(evaluation, project, dataset, split.test, prediction)
    for metric in project.metrics:
        evaluation.metrics[metric.name] = _own_metric(metric, project, truth, prediction)
    for name, value in evaluation.metrics.items():
        if not np.isfinite(value):
            raise ParameterError(
                f"Metric {name} is {value} on {counted(len(split.test), 'test row')}. Choose a larger test size."
            )
    evaluation.metrics.update(test_rows=len(split.test), train_rows=len(split.train))
    return evaluation


def _own_metric(metric: Metric, project: Project, truth: Truth, prediction: Prediction) -> float:
    """Return what a metric of the project measures. Raises ParameterError where it fails."""
    encode = getattr(project.target, "encode", _identity)
    predicted: Any = prediction.values
    if metric.response == "predict_proba":
        predicted = prediction.probabilities
        if predicted is not None and predicted.shape[1] == 2:
            predicted = predicted[:, 1]
        encode = _identity  # indices
    elif prediction.labels is not None:
        predicted = encode(prediction.labels)
    if predicted is None:
        raise ParameterError(
            f"Metric {metric.name!r} needs {metric.response}, which a target of this kind has not. Choose the other"
            " response."
        )
    try:
        return float(metric.function(encode(truth), predicted))
    except (Exception, SystemExit) as error:
        raise ParameterError(
            f"Metric {metric.name!r} of project {project.name!r} failed: {describe_error(error)}."
        ) from error


def _identity(values: Any) -> Any:
    return values


def _with_costs_and_slices(
    evaluation: Evaluation,
    project: Project,
    dataset: Dataset,
    test: NDArray[np.int64],
    prediction: Prediction,
) -> Evaluation:
    """Return the evaluation of two classes with what declared costs and slices measure."""
    truth, extra_columns = dataset.truth[test], dataset.extra_columns
    if project.costs is not None:
        assert prediction.probabilities is not None
        positive = prediction.probabilities[:, 1]
        evaluation = replace(
            evaluation,
            metrics=evaluation.metrics | _cost_metrics(project.costs, truth, positive),
            calibration=calibration_curve(truth, positive),
        )
    if project.slices:
        fairness = fairness_by_slice(project.slices, extra_columns.take(test), truth, prediction)
        evaluation = replace(evaluation, fairness=fairness)
    return evaluation


def _cost_metrics(
    costs: CostMatrix, truth: NDArray[np.int64], positive: NDArray[np.float64]
) -> dict[str, float]:
    """Return metrics of the positive class at the threshold of the declared costs, and the cost per row."""
    predicted = positive >= costs.threshold
    true_positives = int(np.count_nonzero(predicted & (truth == 1)))
    return {
        "recall_at_precision": formulas.recall_at_precision(truth, positive, costs.precision),
        "threshold": costs.threshold,
        "recall_at_threshold": true_positives / max(int(truth.sum()), 1),
        "precision_at_threshold": true_positives / max(int(predicted.sum()), 1),
        "cost_per_row": formulas.cost(truth, predicted, costs),
        "cost_accepting_all": formulas.cost(truth, np.zeros_like(predicted), costs),
    }
