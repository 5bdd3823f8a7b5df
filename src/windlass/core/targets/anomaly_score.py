"""Target of anomaly detection: a score that is learned without labels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from windlass.core import metrics as formulas
from windlass.core.batch import Prediction
from windlass.core.compared_metrics import (
    ComparedMetric,
    ResampledMetric,
    Truth,
    resample_scores,
)
from windlass.core.targets.target import (
    TOLERANCE,
    FitOne,
    Json,
    OutputArray,
    Predict,
    Target,
    TargetRecord,
    TruthColumns,
    is_close,
)
from windlass.errors import DataError, ParameterError, ProjectError, counted

_RANKING_METRICS = ("roc_auc", "average_precision")
_FLAG_METRICS = ("precision", "recall")


@dataclass(frozen=True)
class AnomalyScore(Target):
    """Target of anomaly detection, by an estimator with `score_samples` such as scikit-learn's IsolationForest.

    The score of a row is `-score_samples`: the higher, the more unusual the row. It is an anomaly if its score is
    above `threshold`, which a training sets: so that the share `contamination` of the training rows is above it or,
    without `contamination`, to the estimator's own `offset_`. Training needs no labels. If data() has the column
    `name` (true or 1 for an anomaly, false or 0, null where it is not known), metrics are computed from it, and
    nothing else. Raises ProjectError for a contamination that is not between 0 and 0.5.
    """

    name: str = "anomaly"
    contamination: float | None = None
    threshold: float | None = None
    KIND: ClassVar[str | None] = "anomaly_score"
    IS_SUPERVISED: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.contamination is not None and not 0 < self.contamination <= 0.5:
            raise ProjectError(
                f"Target {self.name!r}: contamination {self.contamination} is not above 0 and at most 0.5."
            )

    def record(self) -> TargetRecord:
        """Returns the target as `schema.json` holds it."""
        return TargetRecord(
            name=self.name,
            kind=self.KIND,
            contamination=self.contamination,
            threshold=self.threshold,
        )

    def read(self, columns: TruthColumns) -> Truth:
        """Returns 1 for an anomaly, 0 for another row, NaN where it is not known [n]. Raises DataError."""
        values = columns.values(self.name)
        if values is None:
            return np.full(len(columns), np.nan)
        bad = [row for row, value in enumerate(values) if not _is_label(value)]
        if bad:
            raise DataError(
                f"Target {self.name!r}: {len(bad)} of {counted(len(values), 'row')} hold neither true, false, 1, 0 nor"
                f" null, the first is {columns.row(bad[0], self.name, values[bad[0]])}. Correct them in"
                f" {columns.location}, or leave the column out."
            )
        return np.array([np.nan if value is None else value for value in values], np.float64)

    def fit(self, built: Any, fit_one: FitOne) -> Any:
        """Returns the estimator, fitted to the rows alone."""
        return fit_one(built, lambda _: None)

    def check_fitted(self, fitted: Any, model: str) -> None:
        """Raises ParameterError without `score_samples`."""
        if not hasattr(fitted, "score_samples"):
            raise ParameterError(
                f"Model {model} has no score_samples, so it gives no anomaly scores. Return an IsolationForest, a"
                " LocalOutlierFactor(novelty=True) or another estimator that has it from build()."
            )

    def learn(self, fitted: Any, predict_training_rows: Callable[[], Prediction]) -> "AnomalyScore":
        """Returns the target with its threshold. Raises ParameterError where nothing gives one."""
        if self.contamination is None:
            offset = getattr(_last_step(fitted), "offset_", None)
            if offset is None:
                raise ParameterError(
                    f"{type(_last_step(fitted)).__name__} has no offset_ to tell anomalies by. Declare the share of"
                    f" anomalies: AnomalyScore({self.name!r}, contamination=0.01)."
                )
            return replace(self, threshold=-float(np.ravel(offset)[0]))
        scores = np.sort(_scores(predict_training_rows()))
        above = max(1, round(self.contamination * len(scores)))
        # half-way between two scores, so that a score's last digit does not decide
        middle = (scores[-above - 1] + scores[-above]) / 2 if above < len(scores) else scores[0] - 1
        return replace(self, threshold=float(middle))

    def predictor(self, fitted: Any) -> Predict:
        """Returns the function that predicts scores [n]."""

        def predict(frame: Any) -> Prediction:
            scores = -np.asarray(fitted.score_samples(frame), np.float64)
            return Prediction(values=scores.reshape(len(frame)))

        return predict

    def rejected(self) -> Prediction:
        """Returns the prediction of one row that the model rejects."""
        return Prediction(values=np.array([np.nan]))

    def compared_metrics(self) -> tuple[ComparedMetric, ...]:
        """Returns the metrics by which two models can be compared on rows whose label is known."""
        return tuple(_ranking_metric(name) for name in _RANKING_METRICS)

    def metric_names(self) -> tuple[str, ...]:
        """Returns the names of all metrics that `evaluate` computes, where labels are known."""
        return ("flagged_share", *_RANKING_METRICS, *_FLAG_METRICS, "labelled_rows")

    def evaluate(self, truth: Truth, prediction: Prediction) -> dict[str, float]:
        """Returns the share of rows that are flagged and, where labels of both kinds are known, how right that is."""
        flagged = self._flags(prediction)
        is_labelled = ~np.isnan(truth)
        metrics = {
            "flagged_share": float(np.mean(flagged)),
            "labelled_rows": float(np.count_nonzero(is_labelled)),
        }
        if len(np.unique(truth[is_labelled])) < 2:
            return metrics
        metrics |= {
            metric.name: metric.value(truth, prediction) for metric in self.compared_metrics()
        }
        true_positives = int(np.count_nonzero(flagged & (truth == 1)))
        of_labelled = int(np.count_nonzero(flagged & is_labelled))
        return metrics | {
            "precision": true_positives / max(of_labelled, 1),
            "recall": true_positives / int(np.count_nonzero(truth == 1)),
        }

    def confusion(self, truth: Truth, prediction: Prediction) -> Json | None:
        """Returns the confusion matrix of the rows with labels; None without any."""
        is_labelled = ~np.isnan(truth)
        if not is_labelled.any():
            return None
        flags = self._flags(prediction)[is_labelled].astype(np.int64)
        matrix = formulas.confusion_matrix(truth[is_labelled].astype(np.int64), flags, 2)
        return {"labels": [False, True], "matrix": matrix.tolist()}

    def _flags(self, prediction: Prediction) -> NDArray[np.bool_]:
        """Returns which rows [n] are anomalies."""
        threshold = np.inf if self.threshold is None else self.threshold
        flags: NDArray[np.bool_] = _scores(prediction) > threshold
        return flags

    def counters(self) -> tuple[str, ...]:
        """Returns a counter of rows that are no anomalies, and one of those that are."""
        return ("normal", "anomaly")

    def count(self, prediction: Prediction) -> Sequence[int]:
        """Returns how many rows are no anomalies, and how many are."""
        anomalies = int(np.count_nonzero(self._flags(prediction)))
        return (len(prediction) - anomalies, anomalies)

    def row_answer(self, prediction: Prediction) -> Json:
        """Returns the prediction of a single row in the form of `/predict`."""
        (answer,) = self.row_answers(prediction)
        return answer

    def predictions(self, prediction: Prediction) -> list[Any]:
        """Returns the score of each row."""
        scores: list[float] = _scores(prediction).tolist()
        return scores

    def batch_answer(self, prediction: Prediction) -> dict[str, list[Any]]:
        """Returns scores, and whether they are above the threshold."""
        flags: list[bool] = self._flags(prediction).tolist()
        return {"predictions": self.predictions(prediction), "is_anomaly": flags}

    def arrays(self, prediction: Prediction) -> tuple[OutputArray, ...]:
        """Returns scores [n], and which rows [n] are anomalies."""
        return (
            OutputArray("prediction", _scores(prediction), "prediction"),
            OutputArray("is_anomaly", self._flags(prediction), "is_anomaly"),
        )

    def answer_schema(self) -> dict[str, Json]:
        """Returns the JSON Schema of each field of an answer."""
        about = f"{self.name}: the higher, the more unusual the row"
        return {
            "prediction": {"type": "number", "description": about},
            "is_anomaly": {"type": "boolean", "description": "The score is above the threshold."},
        }

    def expected(self, prediction: Prediction) -> list[Json]:
        """Returns predictions as `golden.json` holds them."""
        return [
            {"value": answer["prediction"], "is_anomaly": answer["is_anomaly"]}
            for answer in self.row_answers(prediction)
        ]

    def reproduces(self, prediction: Prediction, index: int, expected: Mapping[str, Any]) -> bool:
        """Whether one row has the expected score, on the same side of the threshold."""
        score, wanted = _scores(prediction).item(index), expected["value"]
        same_flag = bool(self._flags(prediction)[index]) == expected["is_anomaly"]
        is_at_threshold = abs(wanted - (self.threshold or 0.0)) <= TOLERANCE
        return is_close(score, wanted) and (same_flag or is_at_threshold)


def _is_label(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and value in (0, 1))


def _last_step(fitted: Any) -> Any:
    while hasattr(fitted, "steps"):
        fitted = fitted.steps[-1][1]
    return fitted


def _scores(prediction: Prediction) -> NDArray[np.float64]:
    assert prediction.values is not None
    return prediction.values


def _labelled(truth: Truth, prediction: Prediction) -> tuple[Truth, NDArray[np.float64]]:
    """Returns labels and scores of the rows whose label is known."""
    rows = ~np.isnan(truth)
    return truth[rows].astype(np.int64), _scores(prediction)[rows]


def _ranking_metric(name: str) -> ComparedMetric:
    formula = getattr(formulas, name)

    def value(truth: Truth, prediction: Prediction) -> float:
        labels, scores = _labelled(truth, prediction)
        return float(formula(labels, scores)) if len(labels) else float("nan")

    def resample(truth: Truth, prediction: Prediction) -> ResampledMetric:
        return resample_scores(name, *_labelled(truth, prediction))

    return ComparedMetric(
        name, value, resample, units=lambda truth: int(np.count_nonzero(~np.isnan(truth)))
    )
