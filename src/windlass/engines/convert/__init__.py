"""Turns a fitted scikit-learn estimator into ONNX that is proved equal, or says why not."""

from windlass.engines.convert.convert import convert
from windlass.engines.convert.types import Conversion, EqualityReport, Fitted

__all__ = ["Conversion", "EqualityReport", "Fitted", "convert"]
