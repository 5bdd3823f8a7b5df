"""Turns a fitted scikit-learn estimator into ONNX that is proved equal, or says why not."""

from windlass.engines.convert.contract import Conversion, EqualityReport, Fitted
from windlass.engines.convert.conversion import convert

__all__ = ["Conversion", "EqualityReport", "Fitted", "convert"]
