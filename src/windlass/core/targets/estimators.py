"""Estimators of targets with several parts: one for each part, in a dict, or one that predicts all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from windlass.errors import EngineError, ParameterError, counted


def estimators_by_part(built: Any, keys: Sequence[Any], of: str) -> Mapping[Any, Any] | None:
    """Returns the estimators of `keys` in their order where `build` made a dict; None where it made one estimator.

    Raises ParameterError where the dict has other keys. `of` says in errors what the keys are.
    """
    if not isinstance(built, Mapping):
        return None
    if set(built) != set(keys):
        raise ParameterError(
            f"build() returned estimators for {', '.join(map(repr, built))}, and {of} are"
            f" {', '.join(map(repr, keys))}. Return one for each, or a single estimator that predicts all of them."
        )
    return {key: built[key] for key in keys}


def predicted_columns(fitted: Any, frame: Any, count: int) -> NDArray[np.float64]:
    """Returns the numbers [n, count] that one estimator predicts. Raises EngineError for another number of them."""
    values = np.asarray(fitted.predict(frame), np.float64)
    if values.size != len(frame) * count:
        raise EngineError(
            f"The pipeline predicts an array of the shape {values.shape} for {counted(len(frame), 'row')};"
            f" {counted(count, 'number')} for each are declared."
        )
    return values.reshape(len(frame), count)


def stacked_probabilities(
    fitted: Any, frame: Any, counts: Sequence[int]
) -> list[NDArray[np.float64]]:
    """Returns for each output the probabilities [n, c] by class, of one estimator that classifies all outputs.

    scikit-learn has three forms: a list of arrays [n, c], an array [n, k] of each output's second class, and for a
    single output an array [n, c].
    """
    result = fitted.predict_proba(frame)
    if isinstance(result, list):
        return [np.asarray(each, np.float64) for each in result]
    values = np.asarray(result, np.float64)
    if values.ndim == 2 and values.shape[1] == len(counts) and set(counts) == {2}:
        return [np.column_stack([1 - positive, positive]) for positive in values.T]
    raise EngineError(
        f"The pipeline's predict_proba has the shape {values.shape}, which gives no probabilities for"
        f" {len(counts)} outputs. Wrap its classifier in sklearn.multioutput.MultiOutputClassifier in build(), or"
        " return a dict with an estimator for each output."
    )
