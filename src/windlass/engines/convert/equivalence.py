"""Compares the predictions of the ONNX model with those of scikit-learn, row by row."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from windlass.core.batch import Prediction
from windlass.engines.convert.compile import CompiledModel, final_name
from windlass.engines.convert.probe_rows import ProbeRowSampler
from windlass.engines.convert.special_rows import SpecialRows
from windlass.engines.convert.types import TOLERANCE, EquivalenceReport, FittedEstimator
from windlass.engines.onnx import output_reader
from windlass.errors import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from windlass.core.targets.target import Predict, Target
    from windlass.engines.convert.graph import Array

    Alternatives = tuple[Callable[[], pd.DataFrame], ...]

MIN_PROBE_ROWS = 5000  # generated rows to compare, besides those of training

_BATCH_ROWS = 4096
_RUN_ROWS = 1024  # of one run: nearest neighbours need memory for each with every training row
_SINGLE_ROWS = 8  # of each batch, also run alone: ONNX Runtime takes another path for one row


@dataclass(frozen=True)
class ModelOutput:
    """Predictions: ``values`` float64 [N, c]; ``labels`` [N, k] of each target of classes, k may be 0.

    Rows that the model rejects have a value that is not finite.
    """

    values: Array
    labels: Array

    @property
    def finite(self) -> Array:
        """Which rows [N] are predicted; the others are rejected."""
        finite: Array = np.logical_and.reduce(np.isfinite(self.values), axis=1)
        return finite

    @staticmethod
    def from_prediction(target: Target, prediction: Prediction) -> ModelOutput:
        """Return the probabilities and values side by side, and the labels."""
        labels = [
            array.values
            for array in target.arrays(prediction)
            if array.classes is not None or array.values.dtype == np.bool_
        ]
        empty = np.zeros((len(prediction), 0), np.int64)
        return ModelOutput(prediction.numbers, np.column_stack([empty, *labels]))

    def slice(self, start: int, stop: int) -> ModelOutput:
        """Return the rows from ``start`` up to, not including, ``stop``."""
        return ModelOutput(self.values[start:stop], self.labels[start:stop])


def check_equivalence(
    fitted: FittedEstimator,
    compiled: CompiledModel,
    rows: pd.DataFrame,
    seed: int,
    probe_rows: int = MIN_PROBE_ROWS,
) -> EquivalenceReport:
    """Compare predictions on all training rows and at least ``probe_rows`` generated rows.

    Raises what ONNX Runtime raises.
    """
    target, session = fitted.predicted, _session(compiled.model)
    rows = rows[list(fitted.columns)].reset_index(drop=True)
    sampler = ProbeRowSampler(fitted, rows, compiled.splits, np.random.default_rng(seed))
    comparison = _Comparison(target)
    predict = target.predictor(fitted.estimator)
    for frame, expected in _expected_outputs(target, predict, sampler, probe_rows):
        comparison.add(session, model_inputs(fitted, frame), expected)
    reason = comparison.reason(final_name(fitted.estimator))
    if comparison.predicted < len(rows) + probe_rows:
        reason = (
            f"{final_name(fitted.estimator)}: it predicts only {comparison.predicted} of the rows"
            " to compare"
        )
    return EquivalenceReport(
        "native" if reason else "onnx",
        reason,
        comparison.rows,
        comparison.max_difference,
        comparison.relabelled,
        TOLERANCE,
    )


@dataclass
class _Comparison:
    """Counts of rows: compared, predicted by scikit-learn, and those with another outcome."""

    target: Target
    rows: int = 0
    predicted: int = 0
    moved: int = 0
    relabelled: int = 0
    rejected_by_one: int = 0
    max_difference: float = 0.0

    def add(self, session: Any, inputs: dict[str, Array], expected: ModelOutput) -> None:
        """Compare rows, some of them also alone."""
        self._count(expected, _run(self.target, session, inputs))
        size = len(expected.values)
        for at in range(0, size, max(1, size // _SINGLE_ROWS)):
            single = {name: value[at : at + 1] for name, value in inputs.items()}
            self._count(expected.slice(at, at + 1), _run(self.target, session, single), alone=True)

    def _count(self, expected: ModelOutput, actual: ModelOutput, *, alone: bool = False) -> None:
        predicted, by_both = expected.finite, expected.finite & actual.finite
        differences = _differences(expected.values[by_both], actual.values[by_both])
        if not alone:
            self.rows += len(predicted)
            self.predicted += int(predicted.sum())
        self.moved += int((differences > TOLERANCE).sum())
        self.relabelled += int((actual.labels != expected.labels)[by_both].any(axis=1).sum())
        self.rejected_by_one += int((predicted != actual.finite).sum())
        self.max_difference = max(self.max_difference, float(differences.max(initial=0.0)))

    def reason(self, name: str) -> str | None:
        """Return what differs; None if nothing does."""
        moved, rows = self.moved, counted(self.rows, "row")
        differences = [
            moved and f"{moved} of {rows} moved, by up to {self.max_difference:.2g}",
            self.relabelled and f"{counted(self.relabelled, 'label')} changed",
            self.rejected_by_one
            and f"{counted(self.rejected_by_one, 'row')} rejected by only one of both",
        ]
        texts = [text for text in differences if text]
        return f"{name}: {'; '.join(texts)}" if texts else None


def _random_frames(sampler: ProbeRowSampler, probe_rows: int) -> Iterator[Alternatives]:
    """Yield alternatives: the first that scikit-learn predicts completely is compared, if there is one.

    The kinds of probe rows that every estimator predicts add up to a little over ``probe_rows``.
    """
    rows, in_range = sampler.rows, replace(sampler, in_range=True)
    many, few = probe_rows * 6 // 25, probe_rows // 20
    for start in range(0, len(rows), _BATCH_ROWS):
        yield (partial(rows.__getitem__, slice(start, start + _BATCH_ROWS)),)
    recombined = partial(sampler.recombined, probe_rows * 3 // 10)
    yield (recombined,)
    for kind in (ProbeRowSampler.uniform, ProbeRowSampler.at_splits, ProbeRowSampler.midpoints):
        yield partial(kind, sampler, many), partial(kind, in_range, many), recombined
    yield (partial(sampler.with_missing, few, anywhere=False),)
    yield (partial(sampler.with_missing, few, anywhere=True),)
    if sampler.fitted.text:
        yield (partial(sampler.with_unseen_text, few),)


def _expected_outputs(
    target: Target, predict: Predict, sampler: ProbeRowSampler, probe_rows: int
) -> Iterator[tuple[pd.DataFrame, ModelOutput]]:
    """Yield frames with scikit-learn's predictions; only special rows are among them if it rejects some."""
    for alternatives in _random_frames(sampler, probe_rows):
        for draw in alternatives:
            frame = draw()
            prediction = _prediction_or_none(predict, frame)
            if prediction is not None:
                yield frame, ModelOutput.from_prediction(target, prediction)
                break
    special = SpecialRows(sampler).frame()
    yield (
        special,
        ModelOutput.from_prediction(target, _outcomes(predict, special, target.rejected())),
    )


def _prediction_or_none(predict: Predict, frame: pd.DataFrame) -> Prediction | None:
    """Return scikit-learn's predictions; None if it raises for a row, whatever it raises."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # unseen categories and overflow are intended
            return predict(frame)
    except Exception:  # noqa: BLE001 - a rejection, whatever is raised
        return None


def _outcomes(predict: Predict, frame: pd.DataFrame, rejected: Prediction) -> Prediction:
    """Return scikit-learn's predictions, NaN for each row for which it raises; found by halving the frame."""
    prediction = _prediction_or_none(predict, frame)
    if prediction is not None:
        return prediction
    if len(frame) == 1:
        return rejected
    middle = len(frame) // 2
    halves = frame.iloc[:middle], frame.iloc[middle:]
    return Prediction.concat([_outcomes(predict, half, rejected) for half in halves])


def _session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def model_inputs(fitted: FittedEstimator, frame: pd.DataFrame) -> dict[str, Array]:
    """Return the model's inputs for a frame: float64 [N, k] and text [N, m], "" where missing."""
    inputs: dict[str, Array] = {}
    if fitted.numeric_columns:
        numbers = frame[list(fitted.numeric_columns)].to_numpy(np.float64)
        inputs["numeric"] = np.ascontiguousarray(numbers)
    if fitted.text_columns:
        words = frame[list(fitted.text_columns)].astype(object)
        inputs["text"] = words.where(words.notna(), "").to_numpy(object)
    return inputs


def _run(target: Target, session: Any, inputs: dict[str, Array]) -> ModelOutput:
    read = output_reader([node.name for node in session.get_outputs()])
    size = len(next(iter(inputs.values())))
    parts = [
        read(session.run(None, {name: each[at : at + _RUN_ROWS] for name, each in inputs.items()}))
        for at in range(0, size, _RUN_ROWS)
    ]
    return ModelOutput.from_prediction(target, Prediction.concat(parts))


def _differences(expected: Array, actual: Array) -> Array:
    """Return each row's largest difference [N], relative where values exceed 1."""
    differences = np.abs(actual - expected) / np.maximum(1.0, np.abs(expected))
    result: Array = differences.max(axis=1, initial=0.0)
    return result
