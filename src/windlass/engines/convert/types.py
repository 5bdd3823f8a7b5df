"""The values that go into and come out of a conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

TOLERANCE = 1e-6


@dataclass(frozen=True)
class FittedEstimator:
    """A fitted estimator and the row that it was fitted on.

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
        """The columns of the model's ``numeric`` input, in declared order."""
        return tuple(name for name in self.columns if name not in self.text)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns of the model's ``text`` input, in declared order."""
        return tuple(name for name in self.columns if name in self.text)


@dataclass(frozen=True)
class EquivalenceReport:
    """What the comparison with scikit-learn found.

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
    """A serialized ONNX model, or None where the estimator has to serve natively."""

    model: bytes | None
    report: EquivalenceReport


class UnsupportedError(Exception):
    """An estimator, or a use of one, that no converter covers; the message names it."""
