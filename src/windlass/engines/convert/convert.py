"""``convert``: compile, check, and say why not where the two do not agree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from windlass.engines.convert.compile import compile_model, final_name
from windlass.engines.convert.equivalence import check_equivalence
from windlass.engines.convert.types import (
    TOLERANCE,
    Conversion,
    EquivalenceReport,
    FittedEstimator,
    UnsupportedError,
)

if TYPE_CHECKING:
    import pandas as pd


def convert(fitted: FittedEstimator, rows: pd.DataFrame, *, seed: int) -> Conversion:
    """Compile a fitted estimator to ONNX, if the model gives scikit-learn's answers.

    ``rows`` are all training rows, with the columns of ``fitted``; text is object or str with
    NaN for missing. ``seed`` fixes the rows that are drawn for the comparison. Raises nothing:
    what cannot be converted, or is not equal, comes back without a model and with a reason.
    """
    try:
        compiled = compile_model(fitted)
        report = check_equivalence(fitted, compiled, rows, seed)
    except UnsupportedError as error:
        return _native(str(error))
    except Exception as error:  # noqa: BLE001 - what others wrote may raise anything
        detail = " ".join(str(error).split())[:200]
        return _native(f"{final_name(fitted.estimator)}: {type(error).__name__}: {detail}")
    return Conversion(compiled.model if report.engine == "onnx" else None, report)


def _native(reason: str) -> Conversion:
    return Conversion(None, EquivalenceReport("native", reason, 0, 0.0, 0, TOLERANCE))
