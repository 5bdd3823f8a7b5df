"""The equality check: the serialized model against scikit-learn, row by row."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from windlass.engines.convert.compile import CompiledModel, class_positions, final_name
from windlass.engines.convert.probe_rows import ProbeRowSampler
from windlass.engines.convert.types import TOLERANCE, EquivalenceReport, FittedEstimator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from windlass.engines.convert.graph import Array

    Alternatives = tuple[Callable[[], pd.DataFrame], ...]

_BATCH = 4096
_SLICE = 1024  # rows a run: nearest neighbours need memory for each with every training row
_SAMPLED = 5000  # rows that have to be compared beside those of training
_SINGLES = 8  # rows of each batch that are also run alone: ONNX Runtime takes another path


@dataclass(frozen=True)
class ModelOutput:
    """Predictions: ``values`` float64 [N, c] or [N, 1]; ``labels`` int64 [N] (0: regression)."""

    values: Array
    labels: Array


def check_equivalence(
    fitted: FittedEstimator, compiled: CompiledModel, rows: pd.DataFrame, seed: int
) -> EquivalenceReport:
    """Compare all training rows and at least 5,000 others; raises what ONNX Runtime raises."""
    session = _session(compiled.model)
    positions = np.array(class_positions(fitted) if fitted.classes is not None else [], np.int64)
    rows = rows[list(fitted.columns)].reset_index(drop=True)
    frames = _frames(fitted, compiled, rows, seed)
    count, moved, changed, largest = 0, 0, 0, 0.0
    for frame, expected in _answers(fitted, frames, positions):
        inputs = model_inputs(fitted, frame)
        got = _run(session, inputs)
        gaps, other = _gaps(expected.values, got.values), got.labels != expected.labels
        for at in range(0, len(frame), max(1, len(frame) // _SINGLES)):
            one = _run(session, {name: value[at : at + 1] for name, value in inputs.items()})
            gaps[at] = max(gaps[at], *_gaps(expected.values[at : at + 1], one.values))
            other[at] |= one.labels[0] != expected.labels[at]
        count += len(frame)
        moved += int((gaps > TOLERANCE).sum())
        changed += int(other.sum())
        largest = max(largest, float(gaps.max(initial=0.0)))
    reason = _reason(fitted, count, moved, changed, largest)
    if count < len(rows) + _SAMPLED:
        reason = f"{final_name(fitted.estimator)}: it predicts only {count} of the rows to compare"
    engine = "native" if reason else "onnx"
    return EquivalenceReport(engine, reason, count, largest, changed, TOLERANCE)


def _frames(
    fitted: FittedEstimator, compiled: CompiledModel, rows: pd.DataFrame, seed: int
) -> Iterator[Alternatives]:
    """Yield alternatives: the first that scikit-learn accepts is compared, if it accepts one."""
    sampler = ProbeRowSampler(fitted, rows, compiled.splits, np.random.default_rng(seed))
    cautious = replace(sampler, cautious=True)
    for start in range(0, len(rows), _BATCH):
        yield (partial(rows.__getitem__, slice(start, start + _BATCH)),)
    mixed = partial(sampler.mixed, 1500)
    yield (mixed,)
    for kind in (ProbeRowSampler.uniform, ProbeRowSampler.boundary, ProbeRowSampler.between):
        yield partial(kind, sampler, 1200), partial(kind, cautious, 1200), mixed
    yield (partial(sampler.missing, 250, anywhere=False),)
    yield (partial(sampler.missing, 250, anywhere=True),)
    if fitted.text:
        yield (partial(sampler.unseen, 250),)


def _answers(
    fitted: FittedEstimator, frames: Iterator[Alternatives], positions: Array
) -> Iterator[tuple[pd.DataFrame, ModelOutput]]:
    """Yield frames with scikit-learn's answers, less the kinds of rows that it refuses."""
    for alternatives in frames:
        for draw in alternatives:
            frame = draw()
            try:
                answer = _reference(fitted, frame, positions)
            except ValueError:
                continue
            yield frame, answer
            break


def _reference(fitted: FittedEstimator, frame: pd.DataFrame, positions: Array) -> ModelOutput:
    """Return scikit-learn's own answer, classes in declared order."""
    model = fitted.estimator
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # unseen categories and overflow are asked for
        if fitted.classes is None:
            values = np.asarray(model.predict(frame), np.float64).reshape(-1, 1)
            return ModelOutput(values, np.zeros(len(frame), np.int64))
        own = np.asarray(model.predict_proba(frame), np.float64)
        labels = positions[np.searchsorted(model.classes_, model.predict(frame))]
    values = np.zeros((len(frame), len(fitted.classes)))
    values[:, positions] = own
    return ModelOutput(values, labels)


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


def _run(session: Any, inputs: dict[str, Array]) -> ModelOutput:
    size = len(next(iter(inputs.values())))
    parts = [
        session.run(None, {name: value[at : at + _SLICE] for name, value in inputs.items()})
        for at in range(0, size, _SLICE)
    ]
    outputs = [np.concatenate(part) for part in zip(*parts, strict=True)]
    if len(outputs) == 1:
        return ModelOutput(outputs[0].reshape(-1, 1), np.zeros(len(outputs[0]), np.int64))
    label, probabilities = outputs
    return ModelOutput(probabilities, label)


def _gaps(expected: Array, got: Array) -> Array:
    """Return each row's largest difference, relative where values exceed 1; inf for a lost NaN."""
    with np.errstate(invalid="ignore"):
        gaps = np.abs(got - expected) / np.maximum(1.0, np.abs(expected))
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    gaps = np.where(same, 0.0, np.where(np.isnan(gaps), np.inf, gaps))
    result: Array = gaps.max(axis=1)
    return result


def _reason(
    fitted: FittedEstimator, count: int, moved: int, changed: int, largest: float
) -> str | None:
    if not moved and not changed:
        return None
    name = final_name(fitted.estimator)
    text = f"{name}: {moved} of {count} rows moved, by up to {largest:.2g}"
    return text + (f"; {changed} labels changed" if changed else "")
