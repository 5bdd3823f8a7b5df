"""Input and output types of a conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TOLERANCE = 1e-6


@dataclass(frozen=True)
class FittedEstimator:
    """A fitted estimator with the columns and classes that it was fitted on.

    ``estimator`` was fitted on a DataFrame whose columns are ``columns``, in that order. The
    columns in ``text`` hold categories as text; all others are float64 (NaN is missing,
    booleans are 0.0 and 1.0, dates are days). ``classes`` is the declared order of the classes,
    or None for regression.
    """

    estimator: Any
    columns: tuple[str, ...]
    text: frozenset[str]
    classes: tuple[str | int | bool, ...] | None

    @property
    def numeric_columns(self) -> tuple[str, ...]:
        """Names of the columns of the model's ``numeric`` input, in declared order."""
        return tuple(name for name in self.columns if name not in self.text)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Names of the columns of the model's ``text`` input, in declared order."""
        return tuple(name for name in self.columns if name in self.text)


@dataclass(frozen=True)
class EquivalenceReport:
    """Result of the comparison with scikit-learn.

    ``engine`` is ``"onnx"`` or ``"native"``, and ``reason`` says why it is native.
    ``max_difference`` is absolute for probabilities and relative to ``max(1, |value|)`` for
    regression. ``rows`` were compared; ``labels_changed`` of them got another label.
    """

    engine: str
    reason: str | None
    rows: int
    max_difference: float
    labels_changed: int
    tolerance: float


@dataclass(frozen=True)
class Conversion:
    """A serialized ONNX model, or None where the estimator is served natively, and the report."""

    model: bytes | None
    report: EquivalenceReport


class UnsupportedError(Exception):
    """No converter covers an estimator or one of its options; the message names it."""
