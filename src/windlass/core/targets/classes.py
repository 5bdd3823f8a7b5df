"""Target of a classification."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core import metrics as formulas
from windlass.core.batch import Prediction
from windlass.core.compared_metrics import ComparedMetric, Truth, classification_metrics
from windlass.core.targets.target import (
    TOLERANCE,
    FitOne,
    Json,
    Label,
    OutputArray,
    Predict,
    Target,
    TargetRecord,
    TruthColumns,
    class_key,
    object_schema,
)
from windlass.errors import DataError, EngineError, ParameterError, ProjectError, counted


@dataclass(frozen=True)
class Classes(Target):
    """Target of a classification: its column, and its classes in the order of all probabilities.

    Raises ProjectError for fewer than two classes, equal ones, or labels of different types.
    """

    name: str
    labels: tuple[Label, ...]
    keys: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __init__(self, name: str, labels: Sequence[Label]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "labels", tuple(labels))
        if len({str(label) for label in self.labels}) < len(self.labels) or len(self.labels) < 2:
            raise ProjectError(
                f"Target {name!r} needs two or more different classes, got {list(labels)!r}."
            )
        if len({type(label) for label in self.labels}) > 1:
            raise ProjectError(
                f"The classes of target {name!r} must all be of one type, got {list(labels)!r}."
            )
        object.__setattr__(self, "keys", tuple(map(class_key, self.labels)))

    def record(self) -> TargetRecord:
        """Returns the target as `schema.json` holds it."""
        return TargetRecord(name=self.name, classes=self.labels)

    def digest_header(self) -> Json:
        """Returns what the digest of the data says of the target."""
        return {"target": self.name, "classes": list(self.labels)}

    def read(self, columns: TruthColumns) -> Truth:
        """Returns the class indices [n]. Raises DataError for a value that was not declared."""
        values = columns.values(self.name) or ()
        index = {label: i for i, label in enumerate(self.labels)}
        labels = [index.get(value, -1) for value in values]
        bad = [row for row, label in enumerate(labels) if label < 0]
        if bad:
            declared = ", ".join(map(repr, self.labels))
            first = values[bad[0]]
            raise DataError(
                f"Target {self.name!r}: {len(bad)} of {counted(len(values), 'row')} hold no declared class, the first"
                f" is {columns.row(bad[0], self.name, first)}: {_describe_value(first)}. Declared: {declared}."
                f" Declare the class, or drop the rows in {columns.location}."
            )
        return np.array(labels, np.int64)

    def class_labels(self, truth: Truth) -> Iterator[tuple["Classes", NDArray[np.int64]]]:
        """Yields itself."""
        yield self, truth

    def fit(self, built: Any, fit_one: FitOne) -> Any:
        """Returns the estimator, fitted to the labels."""
        return fit_one(built, self.encode)

    def encode(self, truth: Truth) -> NDArray[Any]:
        """Returns the labels [n]."""
        labels: NDArray[Any] = np.array(self.labels)[truth]
        return labels

    def check_fitted(self, fitted: Any, model: str) -> None:
        """Raises ParameterError without `predict_proba`."""
        if not hasattr(fitted, "predict_proba"):
            raise ParameterError(
                f"Model {model} has no predict_proba, so it gives no probabilities."
                " Wrap its classifier in sklearn.calibration.CalibratedClassifierCV in build()."
            )

    def predictor(self, fitted: Any) -> Predict:
        """Returns the function that predicts labels and probabilities, in declared order. Raises EngineError."""
        order = self._positions(fitted.classes_)
        declared = np.argsort(order).astype(np.int64)

        def predict(frame: Any) -> Prediction:
            probabilities = np.asarray(fitted.predict_proba(frame), np.float64)
            index = np.searchsorted(fitted.classes_, fitted.predict(frame))
            return Prediction(declared[index], probabilities[:, order])

        return predict

    def _positions(self, learned: Any) -> NDArray[np.int64]:
        """Returns, for each declared class, its index in the estimator's `classes_`, which are sorted."""
        learned_classes = list(learned)
        if set(learned_classes) != set(self.labels):
            raise EngineError(
                f"The pipeline knows the classes {learned_classes}, the bundle declares {list(self.labels)}."
            )
        return np.array([learned_classes.index(label) for label in self.labels])

    def rejected(self) -> Prediction:
        """Returns the prediction of one row that the model rejects."""
        return Prediction(np.zeros(1, np.int64), np.full((1, len(self.labels)), np.nan))

    def compared_metrics(self) -> tuple[ComparedMetric, ...]:
        """Returns the metrics by which two models can be compared."""
        return classification_metrics(len(self.labels))

    def metric_names(self) -> tuple[str, ...]:
        """Returns the names of all metrics that `evaluate` computes."""
        compared = [metric.name for metric in self.compared_metrics()]
        of_classes = [
            f"{metric}_{key}" for metric in formulas.PER_CLASS_METRICS for key in self.keys
        ]
        shares = ("majority_share", "base_rate") if len(self.labels) == 2 else ("majority_share",)
        return (*compared, "accuracy_low", "accuracy_high", *shares, *of_classes)

    def evaluate(self, truth: Truth, prediction: Prediction) -> dict[str, float]:
        """Returns the metrics of the test rows."""
        matrix = formulas.confusion_matrix(truth, prediction.labels, len(self.labels))
        right, total = int(np.trace(matrix)), len(truth)
        low, high = formulas.wilson_interval(right, total)
        values = {
            metric.name: metric.value(truth, prediction) for metric in self.compared_metrics()
        }
        metrics = {
            "accuracy": values.pop("accuracy"),
            "accuracy_low": low,
            "accuracy_high": high,
            "majority_share": float(matrix.sum(axis=1).max() / total),
            **values,
        }
        if len(self.labels) == 2:
            metrics["base_rate"] = float(matrix[1].sum() / total)
        by_class = {
            "precision": formulas.safe_ratio(np.diag(matrix), matrix.sum(axis=0)),
            "recall": formulas.safe_ratio(np.diag(matrix), matrix.sum(axis=1)),
            "f1": formulas.f1_scores(matrix),
            "support": matrix.sum(axis=1),
        }
        for name, of_classes in by_class.items():
            metrics |= {
                f"{name}_{key}": float(value)
                for key, value in zip(self.keys, of_classes, strict=True)
            }
        return metrics

    def confusion(self, truth: Truth, prediction: Prediction) -> Json:
        """Returns what `confusion_matrix.json` holds: rows are true classes, columns predicted ones."""
        matrix = formulas.confusion_matrix(truth, prediction.labels, len(self.labels))
        return {"labels": list(self.labels), "matrix": matrix.tolist()}

    def counters(self) -> tuple[str, ...]:
        """Returns a counter for each class."""
        return self.keys

    def count(self, prediction: Prediction) -> Sequence[int]:
        """Returns how many rows are predicted to be of each class."""
        assert prediction.labels is not None
        counts: list[int] = np.bincount(prediction.labels, minlength=len(self.keys)).tolist()
        return counts

    def row_answer(self, prediction: Prediction) -> Json:
        """Returns the prediction of a single row in the form of `/predict`."""
        # of every request: a check of what is set with classes would be a tenth of it
        label = self.labels[prediction.labels.item(0)]  # type: ignore[union-attr]
        rows = prediction.probabilities.tolist()  # type: ignore[union-attr]
        (by_class,) = probabilities_by_class(self.keys, rows)
        return {"predicted_label": label, "prediction": label, "class_probabilities": by_class}

    def predictions(self, prediction: Prediction) -> list[Any]:
        """Returns the label of each row."""
        assert prediction.labels is not None
        return list(map(self.labels.__getitem__, prediction.labels.tolist()))

    def batch_answer(self, prediction: Prediction) -> dict[str, list[Any]]:
        """Returns labels and probabilities in the form of `/predict_batch`."""
        assert prediction.probabilities is not None
        by_class = probabilities_by_class(self.keys, prediction.probabilities.tolist())
        return {"predictions": self.predictions(prediction), "class_probabilities": by_class}

    def row_answers(self, prediction: Prediction) -> list[Json]:
        """Returns the predictions of several rows, each in the form of `/predict`."""
        answers = super().row_answers(prediction)
        return [{"predicted_label": answer["prediction"], **answer} for answer in answers]

    def arrays(self, prediction: Prediction) -> tuple[OutputArray, ...]:
        """Returns labels [n] and probabilities [n, c]."""
        assert prediction.labels is not None
        assert prediction.probabilities is not None
        return (
            OutputArray("prediction", prediction.labels, "prediction", classes=self.labels),
            OutputArray("probabilities", prediction.probabilities, "probability", self.keys),
        )

    def answer_schema(self) -> dict[str, Json]:
        """Returns the JSON Schema of each field of an answer."""
        outcome: Json = {"enum": list(self.labels), "description": self.name}
        probability: Json = {"type": "number", "minimum": 0, "maximum": 1}
        by_class = object_schema(dict.fromkeys(self.keys, probability))
        return {"predicted_label": outcome, "prediction": outcome, "class_probabilities": by_class}

    def expected(self, prediction: Prediction) -> list[Json]:
        """Returns predictions as `golden.json` holds them."""
        assert prediction.probabilities is not None
        pairs = zip(self.predictions(prediction), prediction.probabilities.tolist(), strict=True)
        return [{"label": label, "probabilities": values} for label, values in pairs]

    def reproduces(self, prediction: Prediction, index: int, expected: Mapping[str, Any]) -> bool:
        """Whether one row has the expected label and probabilities."""
        assert prediction.labels is not None
        assert prediction.probabilities is not None
        same_label = self.labels[prediction.labels[index]] == expected["label"]
        close = np.allclose(
            prediction.probabilities[index], expected["probabilities"], rtol=0, atol=TOLERANCE
        )
        return bool(same_label and close)


def probabilities_by_class(keys: Sequence[str], rows: list[list[float]]) -> list[dict[str, float]]:
    """Returns a dict of probabilities for each row.

    Two and three classes are spelled out: a third of the time.
    """
    match keys:
        case (first, second):
            return [{first: a, second: b} for a, b in rows]
        case (first, second, third):
            return [{first: a, second: b, third: c} for a, b, c in rows]
    return [dict(zip(keys, row, strict=True)) for row in rows]


def _describe_value(value: object) -> str:
    return "missing" if value is None or value != value else repr(value)  # noqa: PLR0124 - NaN
