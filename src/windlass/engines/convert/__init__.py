"""Turns a fitted scikit-learn estimator into ONNX that is proved equal, or says why not."""

from windlass.engines.convert.convert import convert
from windlass.engines.convert.types import Conversion, EquivalenceReport, FittedEstimator

__all__ = ["Conversion", "EquivalenceReport", "FittedEstimator", "convert"]
