"""Comparing two versions on the rows that both held out, from what their bundles seal: no data, no model."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from windlass.core.bundle import Bundle
from windlass.core.holdout import Holdout, common_rows, read_holdout
from windlass.core.metrics import LOWER_IS_BETTER, metric_names
from windlass.registry.bootstrap import exact, interval, measure


@dataclass(frozen=True)
class Difference:
    """A metric of `a` and of `b` on the same rows, and the interval of a - b."""

    metric: str
    a: float
    b: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """a - b."""
        return self.a - self.b

    @property
    def gain(self) -> tuple[float, float]:
        """The interval of how much better `a` is than `b`: turned where less is better."""
        if self.metric in LOWER_IS_BETTER:
            return -self.high, -self.low
        return self.low, self.high

    def verdict(self, first: str, second: str) -> str:
        """Which of the two is better, where the interval leaves no doubt."""
        low, high = self.gain
        if low > 0:
            return f"{first} is better"
        return f"{second} is better" if high < 0 else "no difference shown"


@dataclass(frozen=True)
class McNemar:
    """Rows on which only `a` was right, only `b` was, and the chance of so uneven a split by chance alone.

    The exact two-sided test: Q. McNemar (1947), Psychometrika 12:153-157.
    """

    only_a: int
    only_b: int
    p_value: float

    @staticmethod
    def of(only_a: int, only_b: int) -> "McNemar":
        """The test of these two counts."""
        total, fewer = only_a + only_b, min(only_a, only_b)
        logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])  # ln k!
        k = np.arange(fewer + 1)
        tail = np.exp(logs[total] - logs[k] - logs[total - k] - total * np.log(2)).sum()
        return McNemar(only_a, only_b, min(1.0, 2 * float(tail)))


@dataclass(frozen=True)
class Comparison:
    """How `a` did against `b` on `rows` rows that both held out.

    `obstacle` says why they cannot be compared; there are no metrics then. Of `relabelled` rows the two
    know different truths, and `a`'s counts. `mcnemar` is of accuracy, None of a regression.
    """

    rows: int
    confidence: float
    metrics: tuple[Difference, ...] = ()
    mcnemar: McNemar | None = None
    relabelled: int = 0
    obstacle: str | None = None

    def metric(self, name: str) -> Difference | None:
        """The difference by one metric, where it could be measured."""
        return next((found for found in self.metrics if found.metric == name), None)

    def json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            **asdict(self),
            "metrics": [
                {**asdict(m), "difference": m.difference, "less_is_better": m.metric in LOWER_IS_BETTER}
                for m in self.metrics
            ],
        }  # fmt: skip

    def summary(self, first: str, second: str) -> str:
        """What was compared, in a line or a few."""
        if self.obstacle is not None:
            return f"{first} and {second} cannot be compared: {self.obstacle}"
        lines = [f"{first} against {second}, on {self.rows:,} rows that both held out."]
        if self.relabelled:
            lines.append(f"{self.relabelled:,} of them were labelled anew; {first}'s labels count.")
        if self.mcnemar is not None:
            test = self.mcnemar
            lines.append(
                f"Only {first} is right on {test.only_a:,} rows, only {second} on {test.only_b:,}"
                f" (McNemar's exact test: p = {test.p_value:.3g})."
            )
        return "\n".join(lines)


def compare(
    a: Bundle, b: Bundle, *, metrics: Collection[str] | None = None, confidence: float = 0.95
) -> Comparison:
    """Compare two bundles, by all metrics or by these, on the rows that both held out.

    A metric without a value there, such as ROC AUC of one class, is left out. Takes seconds at most,
    whatever the number of rows. Raises IntegrityError where a bundle is damaged.
    """
    joined = _join(a, b)
    if isinstance(joined, str):
        return Comparison(0, confidence, obstacle=joined)
    one, other, relabelled = joined
    labels = a.schema.target.classes
    classes = None if labels is None else len(labels)
    names = [name for name in metric_names(classes) if metrics is None or name in metrics]
    found = (_difference(name, (one, other), classes, confidence) for name in names)
    return Comparison(
        len(one),
        confidence,
        tuple(difference for difference in found if difference is not None),
        None if classes is None else _mcnemar(one, other),
        relabelled,
    )


def _join(a: Bundle, b: Bundle) -> tuple[Holdout, Holdout, int] | str:
    """The rows in common as each holds them, with `a`'s truth; or why there is nothing to compare."""
    columns = [[(column.name, column.kind) for column in x.schema.row.columns] for x in (a, b)]
    if columns[0] != columns[1]:
        return "their rows have other columns."
    one, other = a.schema.target, b.schema.target
    if (one.name, one.classes) != (other.name, other.classes):
        return "they predict another target, or other classes."
    held = read_holdout(a), read_holdout(b)
    if held[0] is None or held[1] is None:
        return "a bundle of an earlier Windlass does not say what it held out. Train it again."
    first, second = common_rows(held[0], held[1])
    if not len(first):
        return "no row was held out by both. Train both on the same data, with a gate NotWorse(…)."
    mine, theirs = held[0].take(first), held[1].take(second)
    relabelled = int(np.count_nonzero(mine.truth != theirs.truth))
    return mine, replace(theirs, truth=mine.truth), relabelled


def _difference(
    name: str, held: tuple[Holdout, Holdout], classes: int | None, confidence: float
) -> Difference | None:
    one, other = (exact(name, holdout, classes) for holdout in held)
    if not np.isfinite(one) or not np.isfinite(other):
        return None
    a, b = (measure(name, holdout, classes) for holdout in held)
    low, high = interval(a, b, len(held[0]), confidence)
    return Difference(name, one, other, low, high)


def _mcnemar(one: Holdout, other: Holdout) -> McNemar:
    a = one.prediction.labels == one.truth
    b = other.prediction.labels == other.truth
    return McNemar.of(int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a)))
