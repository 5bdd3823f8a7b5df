"""The native engine: runs the pickled scikit-learn pipeline, only where the manifest says native."""

import io
from typing import Any

import joblib
import numpy as np
import pandas as pd

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import BundleSchema, read_target
from windlass.core.error_descriptions import missing_extra
from windlass.core.row_schema import MISSING_TEXT, RowSchema
from windlass.engines.rejection import ENGINE_FAILURES, predict_with_rejections
from windlass.errors import EngineError


def to_frame(schema: RowSchema, batch: Batch) -> pd.DataFrame:
    """Return a batch as a data frame, columns in declared order: float64, or object of str; NaN is missing.

    The numbers of a vector are columns `<name>_0`, `<name>_1`, ….
    """
    columns: dict[str, object] = {}
    numeric, text = 0, 0
    for column in schema.model_columns:
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
        self._row = schema.row
        target = read_target(schema.target)
        self._rejected = target.rejected()
        self._predict_frame = target.predictor(estimator)
        self._known_row: Batch | None = None  # of a batch that it predicted

    @classmethod
    def from_pickle(cls, pickled: bytes, schema: BundleSchema) -> "NativeEngine":
        """Unpickle the pipeline of a bundle whose digests the caller has verified. Raises EngineError."""
        try:
            estimator = joblib.load(io.BytesIO(pickled))
        except Exception as error:
            missing = missing_extra(error)
            if missing is not None:
                raise EngineError(f"The pipeline cannot be unpickled: {missing}") from error
            raise EngineError(
                f"The pipeline cannot be unpickled ({type(error).__name__}: {error}). Install the package versions of"
                " its environment.json, and whatever package holds the pipeline's own classes."
            ) from error
        return cls(estimator, schema)

    def predict(self, batch: Batch) -> Prediction:
        """Predict n rows; those for which the pipeline raises get NaN.

        Raises EngineError where it fails for another reason than a row: for want of memory, files or processes,
        or because it now raises for a row that it has predicted before.
        """
        try:
            prediction = predict_with_rejections(self._predict, batch, self._rejected)
        except ENGINE_FAILURES as error:
            raise _failure(error) from error
        if self._known_row is None:
            if len(batch) and prediction.is_finite():
                self._known_row = batch.take(np.arange(1))
        elif not prediction.is_finite():
            self.predict_all(self._known_row)
        return prediction

    def predict_all(self, batch: Batch) -> Prediction:
        """Predict n rows. Raises EngineError where the pipeline raises for one of them."""
        try:
            return self._predict(batch)
        except EngineError:
            raise
        except Exception as error:
            raise _failure(error) from error

    def _predict(self, batch: Batch) -> Prediction:
        """Predict n rows. Raises what the pipeline raises."""
        return self._predict_frame(to_frame(self._row, batch))


def _failure(error: Exception) -> EngineError:
    return EngineError(f"The pipeline failed: {type(error).__name__}: {error}")
