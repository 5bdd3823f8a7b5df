"""Converts a fitted scikit-learn estimator to ONNX and checks that both give the same predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.engines.convert.compile import compile_model, final_name
from windlass.engines.convert.equivalence import MIN_PROBE_ROWS, check_equivalence
from windlass.engines.convert.types import (
    TOLERANCE,
    ColumnDomain,
    Conversion,
    EquivalenceReport,
    FittedEstimator,
    UnsupportedError,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ColumnDomain", "Conversion", "EquivalenceReport", "FittedEstimator", "convert"]


def convert(
    fitted: FittedEstimator, rows: pd.DataFrame, *, seed: int, probe_rows: int = MIN_PROBE_ROWS
) -> Conversion:
    """Convert a fitted estimator to ONNX, if the ONNX model gives the same predictions.

    ``rows`` are all training rows, with the columns of ``fitted``; text is object or str with
    NaN for missing. ``seed`` fixes the ``probe_rows`` that are generated for the comparison.
    Raises nothing: an estimator that cannot be converted, or whose ONNX model differs, gives a
    conversion without a model, and its report holds the reason.
    """
    try:
        compiled = compile_model(fitted)
        report = check_equivalence(fitted, compiled, rows, seed, probe_rows)
    except UnsupportedError as error:
        return _native(str(error))
    except Exception as error:  # noqa: BLE001 - third-party estimators may raise anything
        detail = " ".join(str(error).split())[:200]
        return _native(f"{final_name(fitted.estimator)}: {type(error).__name__}: {detail}")
    return Conversion(compiled.model if report.engine == "onnx" else None, report)


def _native(reason: str) -> Conversion:
    return Conversion(None, EquivalenceReport("native", reason, 0, 0.0, 0, TOLERANCE))
