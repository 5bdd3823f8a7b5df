"""Target of several outputs, each of classes or a quantity."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Prediction
from windlass.core.compared_metrics import (
    ComparedMetric,
    Indices,
    ResampledMetric,
    Truth,
    mean_metric,
)
from windlass.core.targets.classes import Classes
from windlass.core.targets.estimators import (
    estimators_by_part,
    predicted_columns,
    stacked_probabilities,
)
from windlass.core.targets.quantity import Quantity
from windlass.core.targets.target import (
    FitOne,
    Json,
    OutputArray,
    Predict,
    Target,
    TargetRecord,
    TruthColumns,
    object_schema,
)
from windlass.errors import EngineError, ParameterError, ProjectError

_SAME_UNIT = frozenset({"mae", "rmse"})  # metrics whose mean over outputs needs one unit


@dataclass(frozen=True)
class Outputs(Target):
    """Target of several outputs: `Outputs([Classes("species", […]), Quantity("weight", unit="g")])`.

    `build` of a candidate returns one estimator that predicts all outputs, which are then all classes or all
    quantities, or a dict with an estimator for each output by name. Raises ProjectError for fewer than two outputs,
    equal names, or an output of another kind.
    """

    outputs: tuple[Classes | Quantity, ...]
    KIND: ClassVar[str | None] = "outputs"

    def __init__(self, outputs: Sequence[Classes | Quantity]) -> None:
        object.__setattr__(self, "outputs", tuple(outputs))
        if not all(isinstance(output, Classes | Quantity) for output in self.outputs):
            raise ProjectError("Outputs are Classes(…) or Quantity(…), in a list.")
        names = [output.name for output in self.outputs]
        if len(names) < 2 or len(set(names)) < len(names):
            raise ProjectError(f"Outputs need two or more different names, got {names!r}.")

    @property
    def name(self) -> str:  # type: ignore[override]  # read-only, where others have a field
        """The names of all outputs."""
        return ", ".join(self.columns)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of data()'s table that hold the truth."""
        return tuple(output.name for output in self.outputs)

    @property
    def truth_shape(self) -> tuple[int, ...]:
        """Shape of the truth of one row: a number for each output."""
        return (len(self.outputs),)

    def record(self) -> TargetRecord:
        """Returns the target as `schema.json` holds it."""
        outputs = tuple(output.record() for output in self.outputs)
        return TargetRecord(name=self.name, kind=self.KIND, outputs=outputs)

    def read(self, columns: TruthColumns) -> Truth:
        """Returns a column for each output [n, k]: class indices or quantities. Raises DataError."""
        return np.column_stack([output.read(columns).astype(np.float64) for output in self.outputs])

    def class_labels(self, truth: Truth) -> Iterator[tuple[Classes, NDArray[np.int64]]]:
        """Yields each output of classes."""
        for index, output in enumerate(self.outputs):
            if isinstance(output, Classes):
                yield output, _output_truth(output, truth, index)

    def fit(self, built: Any, fit_one: FitOne) -> Any:
        """Returns a fitted estimator for each output, or one, fitted to class indices or quantities [n, k]."""
        by_output = estimators_by_part(built, self.columns, "the outputs")
        if by_output is not None:
            return {
                output.name: fit_one(by_output[output.name], partial(_encode, output, index))
                for index, output in enumerate(self.outputs)
            }
        if self._are_mixed:
            raise ParameterError(
                "The outputs are classes and quantities, which no single estimator predicts. Return a dict with an"
                f" estimator for each from build(): {{{', '.join(f'{name!r}: …' for name in self.columns)}}}."
            )
        is_classified = isinstance(self.outputs[0], Classes)
        return fit_one(built, lambda truth: truth.astype(np.int64) if is_classified else truth)

    @property
    def _are_mixed(self) -> bool:
        return len({type(output) for output in self.outputs}) > 1

    def check_fitted(self, fitted: Any, model: str) -> None:
        """Raises ParameterError where a classifier has no `predict_proba`."""
        if isinstance(fitted, Mapping):
            for output in self.outputs:
                output.check_fitted(fitted[output.name], f"{model}, output {output.name}")
        elif isinstance(self.outputs[0], Classes) and not hasattr(fitted, "predict_proba"):
            raise ParameterError(
                f"Model {model} has no predict_proba, so it gives no probabilities. Wrap its classifier in"
                " sklearn.multioutput.MultiOutputClassifier in build(), or return a dict with an estimator for each"
                " output."
            )

    def predictor(self, fitted: Any) -> Predict:
        """Returns the function that predicts all outputs. Raises EngineError for another target's estimator."""
        if isinstance(fitted, Mapping):
            if set(fitted) != set(self.columns):
                raise EngineError(
                    f"The pipeline predicts {', '.join(map(str, fitted))}, the bundle declares {self.name}."
                )
            predictors = [output.predictor(fitted[output.name]) for output in self.outputs]
            return lambda frame: Prediction(outputs=tuple(each(frame) for each in predictors))
        if isinstance(self.outputs[0], Classes):
            return self._classes_predictor(fitted)

        def predict(frame: Any) -> Prediction:
            values = predicted_columns(fitted, frame, len(self.outputs))
            return Prediction(
                outputs=tuple(Prediction(values=np.ascontiguousarray(each)) for each in values.T)
            )

        return predict

    def _classes_predictor(self, fitted: Any) -> Predict:
        """Returns the function that predicts outputs of classes by one estimator, fitted to class indices."""
        counts = [len(output.labels) for output in self.outputs if isinstance(output, Classes)]

        def predict(frame: Any) -> Prediction:
            probabilities = stacked_probabilities(fitted, frame, counts)
            labels = predicted_columns(fitted, frame, len(counts)).astype(np.int64)
            widths = [each.shape[1] for each in probabilities]
            if widths != counts:
                raise EngineError(
                    f"Numbers of classes of {self.name}: the pipeline knows {widths}, the bundle declares {counts}."
                )
            pairs = zip(labels.T, probabilities, strict=True)
            return Prediction(
                outputs=tuple(Prediction(np.ascontiguousarray(each), p) for each, p in pairs)
            )

        return predict

    def rejected(self) -> Prediction:
        """Returns the prediction of one row that the model rejects."""
        return Prediction(outputs=tuple(output.rejected() for output in self.outputs))

    def compared_metrics(self) -> tuple[ComparedMetric, ...]:
        """Returns the means over outputs, whether all labels are right, and each output's metrics."""
        own = [
            _of_output(metric, output, index)
            for index, output in enumerate(self.outputs)
            for metric in output.compared_metrics()
        ]
        return (*self._means(), *own)

    def _means(self) -> Iterator[ComparedMetric]:
        """Yields the mean of each metric that several outputs have, where they have one unit."""
        parts: dict[str, list[ComparedMetric]] = {}
        units: dict[str, set[str | None]] = {}
        for index, output in enumerate(self.outputs):
            for metric in output.compared_metrics():
                parts.setdefault(metric.name, []).append(_of_output(metric, output, index))
                units.setdefault(metric.name, set()).add(getattr(output, "unit", None))
        for name, metrics in parts.items():
            if len(metrics) > 1 and not (name in _SAME_UNIT and len(units[name]) > 1):
                yield _mean_of_outputs(f"mean_{name}", metrics)
        if all(isinstance(output, Classes) for output in self.outputs):
            yield mean_metric("exact_match", _is_exact_match, less_is_better=False)

    def metric_names(self) -> tuple[str, ...]:
        """Returns the names of all metrics that `evaluate` computes."""
        means = [metric.name for metric in self._means()]
        own = [f"{output.name}_{name}" for output in self.outputs for name in output.metric_names()]
        return (*means, *own)

    def evaluate(self, truth: Truth, prediction: Prediction) -> dict[str, float]:
        """Returns the means over outputs, and the metrics of each output behind its name."""
        own = {
            f"{output.name}_{name}": value
            for index, output in enumerate(self.outputs)
            for name, value in output.evaluate(
                _output_truth(output, truth, index), prediction.outputs[index]
            ).items()
        }
        return {metric.name: metric.value(truth, prediction) for metric in self._means()} | own

    def confusion(self, truth: Truth, prediction: Prediction) -> Json | None:
        """Returns a confusion matrix for each output of classes, by its name; None without any."""
        matrices = {
            output.name: output.confusion(
                _output_truth(output, truth, index), prediction.outputs[index]
            )
            for index, output in enumerate(self.outputs)
            if isinstance(output, Classes)
        }
        return matrices or None

    def counters(self) -> tuple[str, ...]:
        """Returns a counter of all rows, and one for each class of each output."""
        names = [
            f"{output.name}={key}"
            for output in self.outputs
            if isinstance(output, Classes)
            for key in output.keys
        ]
        return ("", *names)

    def count(self, prediction: Prediction) -> Sequence[int]:
        """Returns the number of rows, and how many are predicted to be of each class of each output."""
        counts = [len(prediction)]
        for output, part in zip(self.outputs, prediction.outputs, strict=True):
            if isinstance(output, Classes):
                counts += output.count(part)
        return counts

    def row_answer(self, prediction: Prediction) -> Json:
        """Returns the prediction of a single row in the form of `/predict`."""
        (answer,) = self.row_answers(prediction)
        return answer

    def predictions(self, prediction: Prediction) -> list[Any]:
        """Returns for each row an object of labels and quantities by output."""
        parts = zip(self.outputs, prediction.outputs, strict=True)
        columns = [output.predictions(part) for output, part in parts]
        return _objects(self.columns, columns)

    def batch_answer(self, prediction: Prediction) -> dict[str, list[Any]]:
        """Returns objects by output: labels and quantities, and probabilities of outputs of classes."""
        answer = {"predictions": self.predictions(prediction)}
        by_class = {
            output.name: output.batch_answer(part)["class_probabilities"]
            for output, part in zip(self.outputs, prediction.outputs, strict=True)
            if isinstance(output, Classes)
        }
        if by_class:
            answer["class_probabilities"] = _objects(tuple(by_class), list(by_class.values()))
        return answer

    def arrays(self, prediction: Prediction) -> tuple[OutputArray, ...]:
        """Returns the arrays of each output, with its name behind theirs."""
        return tuple(
            replace(
                array,
                name=f"{array.name}_{output.name}",
                column=f"{array.column}_{output.name}",
            )
            for output, part in zip(self.outputs, prediction.outputs, strict=True)
            for array in output.arrays(part)
        )

    def answer_schema(self) -> dict[str, Json]:
        """Returns the JSON Schema of each field of an answer."""
        fields = {output.name: output.answer_schema() for output in self.outputs}
        schema = {
            "prediction": object_schema({name: each["prediction"] for name, each in fields.items()})
        }
        by_class = {
            name: each["class_probabilities"]
            for name, each in fields.items()
            if "class_probabilities" in each
        }
        if by_class:
            schema["class_probabilities"] = object_schema(by_class)
        return schema

    def expected(self, prediction: Prediction) -> list[Json]:
        """Returns predictions as `golden.json` holds them."""
        parts = zip(self.outputs, prediction.outputs, strict=True)
        return _objects(self.columns, [output.expected(part) for output, part in parts])

    def reproduces(self, prediction: Prediction, index: int, expected: Mapping[str, Any]) -> bool:
        """Whether one row has the expected outputs."""
        parts = zip(self.outputs, prediction.outputs, strict=True)
        return all(output.reproduces(part, index, expected[output.name]) for output, part in parts)


def _objects(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> list[Json]:
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _output_truth(output: Classes | Quantity, truth: Truth, index: int) -> Truth:
    values = truth[:, index]
    return values.astype(np.int64) if isinstance(output, Classes) else values


def _encode(output: Classes | Quantity, index: int, truth: Truth) -> NDArray[Any]:
    return output.encode(_output_truth(output, truth, index))


def _of_output(metric: ComparedMetric, output: Classes | Quantity, index: int) -> ComparedMetric:
    """Returns a metric of one output as a metric of the whole prediction."""
    return replace(
        metric,
        name=f"{output.name}_{metric.name}",
        value=lambda t, p: metric.value(_output_truth(output, t, index), p.outputs[index]),
        resample=lambda t, p: metric.resample(_output_truth(output, t, index), p.outputs[index]),
    )


def _mean_of_outputs(name: str, metrics: Sequence[ComparedMetric]) -> ComparedMetric:
    def resample(truth: Truth, prediction: Prediction) -> ResampledMetric:
        parts: list[Callable[[Indices], float]] = [
            metric.resample(truth, prediction) for metric in metrics
        ]
        return lambda rows: float(np.mean([part(rows) for part in parts]))

    return ComparedMetric(
        name,
        lambda truth, prediction: float(
            np.mean([metric.value(truth, prediction) for metric in metrics])
        ),
        resample,
        metrics[0].less_is_better,
    )


def _is_exact_match(truth: Truth, prediction: Prediction) -> NDArray[np.bool_]:
    labels = [part.labels for part in prediction.outputs if part.labels is not None]
    right: NDArray[np.bool_] = (np.column_stack(labels) == truth).all(axis=1)
    return right
