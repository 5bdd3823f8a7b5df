"""The native engine: the fitted pipeline itself, unpickled. Only where the manifest says native."""

import io
from typing import Any

import joblib
import numpy as np
import pandas as pd

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import BundleSchema
from windlass.core.row_schema import MISSING_TEXT, RowSchema
from windlass.errors import EngineError


def to_frame(schema: RowSchema, batch: Batch) -> pd.DataFrame:
    """Columns in declared order: float64 (NaN is missing), or object of str (NaN is missing)."""
    columns: dict[str, object] = {}
    numeric, text = 0, 0
    for column in schema.columns:
        if column.is_text:
            values = batch.text[:, text]
            columns[column.name] = pd.Series(
                np.where(values == MISSING_TEXT, np.nan, values), dtype=object
            )
            text += 1
        else:
            columns[column.name] = batch.numeric[:, numeric]
            numeric += 1
    return pd.DataFrame(columns)


class NativeEngine:
    """Runs a fitted scikit-learn estimator on a data frame of the row's columns."""

    name = "native"

    def __init__(self, estimator: Any, schema: BundleSchema) -> None:
        self._estimator = estimator
        self._schema = schema
        classes = schema.target.classes
        self._order = None if classes is None else _class_order(estimator, classes)

    @classmethod
    def load(cls, pickled: bytes, schema: BundleSchema) -> "NativeEngine":
        """Unpickle what a bundle, verified by the caller, holds. Raises EngineError."""
        try:
            estimator = joblib.load(io.BytesIO(pickled))
        except Exception as error:
            raise EngineError(
                f"The pipeline cannot be unpickled ({type(error).__name__}: {error}). Install the package versions of"
                " its environment.json, and whatever package holds the pipeline's own classes."
            ) from error
        return cls(estimator, schema)

    def predict(self, batch: Batch) -> Prediction:
        """Predict n rows."""
        frame = to_frame(self._schema.row, batch)
        try:
            if self._order is None:
                values = np.asarray(self._estimator.predict(frame), np.float64)
                return Prediction(values=values.reshape(len(frame)))
            probabilities = np.asarray(self._estimator.predict_proba(frame), np.float64)
            predicted = self._estimator.predict(frame)
        except Exception as error:
            raise EngineError(f"The pipeline failed: {type(error).__name__}: {error}") from error
        index = np.searchsorted(self._estimator.classes_, predicted)
        return Prediction(
            np.argsort(self._order)[index].astype(np.int64), probabilities[:, self._order]
        )


def _class_order(estimator: Any, classes: tuple[str | int | bool, ...]) -> np.ndarray[Any, Any]:
    """For each declared class, its place in the estimator's own, sorted order."""
    own = list(estimator.classes_)
    if set(own) != set(classes):
        raise EngineError(
            f"The pipeline knows the classes {own}, the bundle declares {list(classes)}."
        )
    return np.array([own.index(label) for label in classes])
