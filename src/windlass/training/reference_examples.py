"""Reference examples: test rows as JSON, with the predictions of the fitted pipeline at full precision."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Batch
from windlass.core.bundle import BundleSchema
from windlass.core.row_schema import MISSING_TEXT
from windlass.training.run import TrainingRun, predict

MAX_EXAMPLES = 20


def select_reference_examples(run: TrainingRun) -> dict[str, Any]:
    """Return what `golden.json` holds: up to 20 test rows, evenly spaced, those with missing values first."""
    schema = run.schema
    batch = run.dataset.batch.take(_select_rows(run.dataset.batch, run.split.test))
    prediction = predict(run.estimator, schema, batch)
    return {"rows": to_json_rows(schema, batch), "expected": run.target.expected(prediction)}


def to_json_rows(schema: BundleSchema, batch: Batch) -> list[dict[str, Any]]:
    """Return rows as the JSON objects that a client would send."""
    columns: dict[str, list[Any]] = {}
    text, end = iter(batch.text.T), 0
    for column in schema.row.columns:
        if column.is_text:
            values = next(text)
        else:
            start, end = end, end + column.width
            values = batch.numeric[:, start:end] if column.length else batch.numeric[:, start]
        columns[column.name] = [column.to_json(value) for value in values]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _select_rows(batch: Batch, test: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return indices of test rows; half of them have missing values, if so many test rows do."""
    rows = batch.take(test)
    incomplete = np.isnan(rows.numeric).any(axis=1) | (rows.text == MISSING_TEXT).any(axis=1)
    with_missing = _evenly_spaced(test[incomplete], MAX_EXAMPLES // 2)
    return np.concatenate(
        [with_missing, _evenly_spaced(test[~incomplete], MAX_EXAMPLES - len(with_missing))]
    )


def _evenly_spaced(indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    if len(indices) <= count:
        return indices
    return indices[np.linspace(0, len(indices) - 1, count).round().astype(np.int64)]
