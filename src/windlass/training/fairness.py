"""Fairness metrics by slice; slices are columns that the model does not see."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from windlass.core.batch import Prediction
from windlass.core.metrics import Labels, roc_auc

if TYPE_CHECKING:
    import pyarrow as pa

MISSING = "missing"


def fairness_by_slice(
    names: Sequence[str], extra_columns: "pa.Table", truth: Labels, prediction: Prediction
) -> dict[str, Any]:
    """Return what `fairness.json` holds: for each slice, its values in order, with metrics of the rows of each.

    `extra_columns` holds the slices' columns, `truth` and `prediction` are of two classes, the second positive. What
    is not defined is null: recall without a positive row, ROC AUC of one class.
    """
    return {
        name: _metrics_by_value(extra_columns.column(name).fill_null(MISSING), truth, prediction)
        for name in names
    }


def _metrics_by_value(
    column: "pa.ChunkedArray", truth: Labels, prediction: Prediction
) -> list[Any]:
    coded = column.combine_chunks().dictionary_encode()
    codes, values = coded.indices.to_numpy(), coded.dictionary.to_pylist()
    return [
        {"value": value, **_slice_metrics(codes == code, truth, prediction)}
        for value, code in sorted(zip(values, range(len(values)), strict=True))
    ]


def _slice_metrics(
    rows: NDArray[np.bool_], truth: Labels, prediction: Prediction
) -> dict[str, Any]:
    assert prediction.labels is not None
    assert prediction.probabilities is not None
    happened, taken = truth[rows] == 1, prediction.labels[rows] == 1
    positive = prediction.probabilities[rows, 1]
    return {
        "rows": int(rows.sum()),
        "base_rate": _mean(happened),
        "mean_probability": float(positive.mean()),
        "predicted_positive": _mean(taken),
        "recall": _mean(taken[happened]),
        "false_positive_rate": _mean(taken[~happened]),
        "roc_auc": _finite_or_none(roc_auc(truth[rows], positive)),
    }


def _mean(flags: NDArray[np.bool_]) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _finite_or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
