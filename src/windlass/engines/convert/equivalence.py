"""Compares the predictions of the ONNX model with those of scikit-learn, row by row."""

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
from windlass.errors import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

    from windlass.engines.convert.graph import Array

    Alternatives = tuple[Callable[[], pd.DataFrame], ...]

MIN_PROBE_ROWS = 5000  # generated rows to compare, besides those of training

_BATCH_ROWS = 4096
_RUN_ROWS = 1024  # of one run: nearest neighbours need memory for each with every training row
_SINGLE_ROWS = 8  # of each batch, also run alone: ONNX Runtime takes another path for one row


@dataclass(frozen=True)
class ModelOutput:
    """Predictions: ``values`` float64 [N, c] or [N, 1]; ``labels`` int64 [N] (0: regression)."""

    values: Array
    labels: Array


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
    session = _session(compiled.model)
    positions = np.array(class_positions(fitted) if fitted.classes is not None else [], np.int64)
    rows = rows[list(fitted.columns)].reset_index(drop=True)
    frames = _frames(fitted, compiled, rows, seed, probe_rows)
    count, moved, changed, max_difference = 0, 0, 0, 0.0
    for frame, expected in _expected_outputs(fitted, frames, positions):
        inputs = model_inputs(fitted, frame)
        actual = _run(session, inputs)
        differences = _differences(expected.values, actual.values)
        relabelled = actual.labels != expected.labels
        for at in range(0, len(frame), max(1, len(frame) // _SINGLE_ROWS)):
            single = _run(session, {name: value[at : at + 1] for name, value in inputs.items()})
            difference = _differences(expected.values[at : at + 1], single.values)[0]
            differences[at] = max(differences[at], difference)
            relabelled[at] |= single.labels[0] != expected.labels[at]
        count += len(frame)
        moved += int((differences > TOLERANCE).sum())
        changed += int(relabelled.sum())
        max_difference = max(max_difference, float(differences.max(initial=0.0)))
    reason = _reason(fitted, count, moved, changed, max_difference)
    if count < len(rows) + probe_rows:
        reason = f"{final_name(fitted.estimator)}: it predicts only {count} of the rows to compare"
    engine = "native" if reason else "onnx"
    return EquivalenceReport(engine, reason, count, max_difference, changed, TOLERANCE)


def _frames(
    fitted: FittedEstimator, compiled: CompiledModel, rows: pd.DataFrame, seed: int, probe_rows: int
) -> Iterator[Alternatives]:
    """Yield alternatives: the first that scikit-learn accepts is compared, if it accepts one.

    The kinds of probe rows that every estimator accepts add up to a little over ``probe_rows``.
    """
    sampler = ProbeRowSampler(fitted, rows, compiled.splits, np.random.default_rng(seed))
    in_range = replace(sampler, in_range=True)
    many, few = probe_rows * 6 // 25, probe_rows // 20
    for start in range(0, len(rows), _BATCH_ROWS):
        yield (partial(rows.__getitem__, slice(start, start + _BATCH_ROWS)),)
    recombined = partial(sampler.recombined, probe_rows * 3 // 10)
    yield (recombined,)
    for kind in (ProbeRowSampler.uniform, ProbeRowSampler.at_splits, ProbeRowSampler.midpoints):
        yield partial(kind, sampler, many), partial(kind, in_range, many), recombined
    yield (partial(sampler.with_missing, few, anywhere=False),)
    yield (partial(sampler.with_missing, few, anywhere=True),)
    if fitted.text:
        yield (partial(sampler.with_unseen_text, few),)


def _expected_outputs(
    fitted: FittedEstimator, frames: Iterator[Alternatives], positions: Array
) -> Iterator[tuple[pd.DataFrame, ModelOutput]]:
    """Yield frames with scikit-learn's predictions; kinds of rows that it rejects are left out."""
    for alternatives in frames:
        for draw in alternatives:
            frame = draw()
            try:
                output = _scikit_learn_output(fitted, frame, positions)
            except ValueError:
                continue
            yield frame, output
            break


def _scikit_learn_output(
    fitted: FittedEstimator, frame: pd.DataFrame, positions: Array
) -> ModelOutput:
    """Return scikit-learn's predictions, classes in declared order."""
    model = fitted.estimator
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # unseen categories and overflow are intended
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
        session.run(None, {name: value[at : at + _RUN_ROWS] for name, value in inputs.items()})
        for at in range(0, size, _RUN_ROWS)
    ]
    outputs = [np.concatenate(part) for part in zip(*parts, strict=True)]
    if len(outputs) == 1:
        return ModelOutput(outputs[0].reshape(-1, 1), np.zeros(len(outputs[0]), np.int64))
    label, probabilities = outputs
    return ModelOutput(probabilities, label)


def _differences(expected: Array, actual: Array) -> Array:
    """Return each row's largest difference [N], relative where values exceed 1; inf for a lost NaN."""
    with np.errstate(invalid="ignore"):
        differences = np.abs(actual - expected) / np.maximum(1.0, np.abs(expected))
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    differences = np.where(same, 0.0, np.where(np.isnan(differences), np.inf, differences))
    result: Array = differences.max(axis=1)
    return result


def _reason(
    fitted: FittedEstimator, count: int, moved: int, changed: int, max_difference: float
) -> str | None:
    if not moved and not changed:
        return None
    name = final_name(fitted.estimator)
    text = f"{name}: {moved} of {counted(count, 'row')} moved, by up to {max_difference:.2g}"
    return text + (f"; {counted(changed, 'label')} changed" if changed else "")
