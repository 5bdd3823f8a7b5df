"""The equality check: the serialized model against scikit-learn, row by row."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from windlass.engines.convert.contract import TOLERANCE, EqualityReport, Fitted
from windlass.engines.convert.model import Compiled, class_positions
from windlass.engines.convert.sample import Sampler

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from windlass.engines.convert.graph import Array

_BATCH = 4096
_SINGLE_ROWS = 64


@dataclass(frozen=True)
class Answer:
    """Predictions: ``values`` float64 [N, c] or [N, 1]; ``labels`` int64 [N] (0: regression)."""

    values: Array
    labels: Array


def check(fitted: Fitted, compiled: Compiled, rows: pd.DataFrame, seed: int) -> EqualityReport:
    """Compare all training rows and at least 5,000 others; raises what ONNX Runtime raises."""
    session = _session(compiled.model)
    positions = np.array(class_positions(fitted) if fitted.classes is not None else [], np.int64)
    rows = rows[list(fitted.columns)].reset_index(drop=True)
    frames = _frames(fitted, compiled, rows, seed)
    count, moved, changed, largest = 0, 0, 0, 0.0
    for frame, expected in _answers(fitted, frames, positions):
        got = _run(session, fitted, frame)
        few = frame.iloc[:: max(1, len(frame) // (_SINGLE_ROWS // 8))]
        singles = [_run(session, fitted, few.iloc[i : i + 1]) for i in range(len(few))]
        gaps = _gaps(expected.values, got.values)
        at = few.index.to_numpy() - frame.index[0]
        alone = _gaps(expected.values[at], np.concatenate([one.values for one in singles]))
        np.maximum.at(gaps, at, alone)
        other = got.labels != expected.labels
        other[at] |= np.concatenate([one.labels for one in singles]) != expected.labels[at]
        count += len(frame)
        moved += int((gaps > TOLERANCE).sum())
        changed += int(other.sum())
        largest = max(largest, float(gaps.max(initial=0.0)))
    reason = _reason(fitted, count, moved, changed, largest)
    engine = "native" if reason else "onnx"
    return EqualityReport(engine, reason, count, largest, changed, TOLERANCE)


def _frames(
    fitted: Fitted, compiled: Compiled, rows: pd.DataFrame, seed: int
) -> Iterator[tuple[pd.DataFrame, bool]]:
    """Yield frames to compare, and whether scikit-learn has to accept them."""
    sampler = Sampler(fitted, rows, compiled.splits, np.random.default_rng(seed))
    for start in range(0, len(rows), _BATCH):
        yield rows.iloc[start : start + _BATCH], True
    yield sampler.mixed(1500), True
    yield sampler.uniform(1500), True
    yield sampler.between(500), True
    yield sampler.boundary(1500), True
    yield sampler.missing(250, anywhere=False), False
    yield sampler.missing(250, anywhere=True), False
    if fitted.text:
        yield sampler.unseen(250), False


def _answers(
    fitted: Fitted, frames: Iterator[tuple[pd.DataFrame, bool]], positions: Array
) -> Iterator[tuple[pd.DataFrame, Answer]]:
    """Yield each frame with scikit-learn's answer, less the kinds of rows that it refuses."""
    for frame, required in frames:
        try:
            yield frame, _reference(fitted, frame, positions)
        except ValueError:
            if required:
                raise


def _reference(fitted: Fitted, frame: pd.DataFrame, positions: Array) -> Answer:
    """Return scikit-learn's own answer, classes in declared order."""
    model = fitted.estimator
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # unseen categories and overflow are asked for
        if fitted.classes is None:
            values = np.asarray(model.predict(frame), np.float64).reshape(-1, 1)
            return Answer(values, np.zeros(len(frame), np.int64))
        own = np.asarray(model.predict_proba(frame), np.float64)
        labels = positions[np.searchsorted(model.classes_, model.predict(frame))]
    values = np.zeros((len(frame), len(fitted.classes)))
    values[:, positions] = own
    return Answer(values, labels)


def _session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def feeds(fitted: Fitted, frame: pd.DataFrame) -> dict[str, Array]:
    """Return the model's inputs for a frame: float64 [N, k] and text [N, m], "" where missing."""
    inputs: dict[str, Array] = {}
    if fitted.numeric_columns:
        numbers = frame[list(fitted.numeric_columns)].to_numpy(np.float64)
        inputs["numeric"] = np.ascontiguousarray(numbers)
    if fitted.text_columns:
        words = frame[list(fitted.text_columns)].astype(object)
        inputs["text"] = words.where(words.notna(), "").to_numpy(object)
    return inputs


def _run(session: Any, fitted: Fitted, frame: pd.DataFrame) -> Answer:
    inputs = feeds(fitted, frame)
    if fitted.classes is None:
        (value,) = session.run(["value"], inputs)
        return Answer(value.reshape(-1, 1), np.zeros(len(frame), np.int64))
    label, probabilities = session.run(["label", "probabilities"], inputs)
    return Answer(probabilities, label)


def _gaps(expected: Array, got: Array) -> Array:
    """Return each row's largest difference, relative where values exceed 1; inf for a lost NaN."""
    with np.errstate(invalid="ignore"):
        gaps = np.abs(got - expected) / np.maximum(1.0, np.abs(expected))
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    gaps = np.where(same, 0.0, np.where(np.isnan(gaps), np.inf, gaps))
    result: Array = gaps.max(axis=1)
    return result


def _reason(fitted: Fitted, count: int, moved: int, changed: int, largest: float) -> str | None:
    if not moved and not changed:
        return None
    name = final_name(fitted.estimator)
    text = f"{name}: {moved} of {count} rows moved, by up to {largest:.2g}"
    return text + (f"; {changed} labels changed" if changed else "")


def final_name(estimator: Any) -> str:
    """Return the class name of the estimator at the end of a pipeline."""
    while hasattr(estimator, "steps"):
        estimator = estimator.steps[-1][1]
    return type(estimator).__name__
