"""Compares two versions on the rows that both held out, from their sealed holdouts: without data or models."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from windlass.core.bundle import Bundle
from windlass.core.compared_metrics import ComparedMetric
from windlass.core.holdout import Holdout, common_rows, read_holdout
from windlass.core.targets.classes import Classes
from windlass.errors import counted
from windlass.registry.bootstrap import difference_interval

MIN_ROWS = 20  # effective ones: an interval of fewer says nothing
MIN_CHANGED_LABELS = 6  # with fewer, no exact test of paired labels reaches 5%: 2 · (1/2)^5 is 0.06


@dataclass(frozen=True)
class Difference:
    """Metric of `a` and of `b` on the same rows, and the interval of a - b.

    `enough_rows` is whether there are rows enough to say which is better.
    """

    metric: str
    a: float
    b: float
    low: float
    high: float
    less_is_better: bool = False
    enough_rows: bool = True

    @property
    def difference(self) -> float:
        """The difference a - b."""
        return self.a - self.b

    @property
    def gain(self) -> tuple[float, float]:
        """The interval of how much better `a` is than `b`: its sign is turned where less is better."""
        if self.less_is_better:
            return -self.high, -self.low
        return self.low, self.high

    def verdict(self, first: str, second: str) -> str:
        """Returns which of the two is better, where the interval excludes zero and the rows are enough."""
        if not self.enough_rows:
            return "cannot tell"
        low, high = self.gain
        if low > 0:
            return f"{first} is better"
        return f"{second} is better" if high < 0 else "no difference shown"


@dataclass(frozen=True)
class McNemar:
    """Exact two-sided McNemar test: rows on which only `a` was right, only `b` was, and the p-value.

    Q. McNemar (1947), Psychometrika 12:153-157.
    """

    only_a: int
    only_b: int
    p_value: float

    @staticmethod
    def from_counts(only_a: int, only_b: int) -> "McNemar":
        """Returns the test of these two counts."""
        total, fewer = only_a + only_b, min(only_a, only_b)
        logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])  # ln k!
        k = np.arange(fewer + 1)
        tail = np.exp(logs[total] - logs[k] - logs[total - k] - total * np.log(2)).sum()
        return McNemar(only_a, only_b, min(1.0, 2 * float(tail)))


@dataclass(frozen=True)
class Comparison:
    """Comparison of `a` with `b` on `rows` rows that both held out.

    `obstacle` is the reason why they cannot be compared; there are no metrics then. For `relabelled` rows the
    two have different labels, and `a`'s count. `mcnemar` tests accuracy; it is None unless the target is classes.
    """

    rows: int
    confidence: float
    metrics: tuple[Difference, ...] = ()
    mcnemar: McNemar | None = None
    relabelled: int = 0
    obstacle: str | None = None

    def metric(self, name: str) -> Difference | None:
        """Returns the difference by one metric; None where it has no value."""
        return next((each for each in self.metrics if each.metric == name), None)

    def json(self) -> dict[str, Any]:
        """Returns all fields as JSON values."""
        return {
            **asdict(self),
            "metrics": [
                {
                    **asdict(metric),
                    "difference": metric.difference,
                    "verdict": metric.verdict("a", "b"),
                }
                for metric in self.metrics
            ],
        }

    def summary(self, first: str, second: str) -> str:
        """Returns what was compared, in one to three lines of text."""
        if self.obstacle is not None:
            return f"{first} and {second} cannot be compared: {self.obstacle}"
        lines = [f"{first} against {second}, on {counted(self.rows, 'row')} that both held out."]
        if self.rows < MIN_ROWS:
            lines[0] += f" These are too few to tell which is better; it takes {MIN_ROWS}."
        if self.relabelled:
            lines.append(
                f"{self.relabelled:,} of them have another label now; {first}'s labels count."
            )
        if self.mcnemar is not None:
            test = self.mcnemar
            lines.append(
                f"Only {first} is right on {counted(test.only_a, 'row')}, only {second} on {test.only_b:,}"
                f" (McNemar's exact test: p = {test.p_value:.3g})."
            )
        return "\n".join(lines)


def compare(
    a: Bundle, b: Bundle, *, metrics: Collection[str] | None = None, confidence: float = 0.95
) -> Comparison:
    """Compares two bundles, by all metrics or by these, on the rows that both held out.

    A metric without a value there, such as ROC AUC of one class, is left out. Takes seconds at most,
    whatever the number of rows. Raises IntegrityError where a bundle is damaged.
    """
    common = _common_holdouts(a, b)
    if isinstance(common, str):
        return Comparison(0, confidence, obstacle=common)
    holdout_a, holdout_b, relabelled = common
    target = a.target
    differences = (
        _metric_difference(metric, (holdout_a, holdout_b), confidence)
        for metric in target.compared_metrics()
        if metrics is None or metric.name in metrics
    )
    return Comparison(
        len(holdout_a),
        confidence,
        tuple(difference for difference in differences if difference is not None),
        _mcnemar(holdout_a, holdout_b) if isinstance(target, Classes) else None,
        relabelled,
    )


def _common_holdouts(a: Bundle, b: Bundle) -> tuple[Holdout, Holdout, int] | str:
    """Returns the common rows of each holdout, with `a`'s labels, and how many differed; or why there are none."""
    columns = [
        [(column.name, column.kind) for column in x.schema.row.model_columns] for x in (a, b)
    ]
    if columns[0] != columns[1]:
        return "their rows have other columns."
    target_a, target_b = a.schema.target, b.schema.target
    if target_a.compared() != target_b.compared():
        return "they predict another target, or other classes."
    holdouts = read_holdout(a), read_holdout(b)
    if holdouts[0] is None or holdouts[1] is None:
        return "a bundle of an earlier Windlass does not say what it held out. Train it again."
    first, second = common_rows(holdouts[0], holdouts[1])
    if not len(first):
        return (
            "no row was held out by both. Train both on the same data;"
            " a gate NotWorse(…) holds out the same rows each time."
        )
    rows_a, rows_b = holdouts[0].take(first), holdouts[1].take(second)
    changed = (rows_a.truth != rows_b.truth) & ~(np.isnan(rows_a.truth) & np.isnan(rows_b.truth))
    relabelled = int(np.count_nonzero(changed.reshape(len(changed), -1).any(axis=1)))
    return rows_a, replace(rows_b, truth=rows_a.truth), relabelled


def _metric_difference(
    metric: ComparedMetric, holdouts: tuple[Holdout, Holdout], confidence: float
) -> Difference | None:
    truth = holdouts[0].truth
    units = metric.units(truth)
    if not units:
        return None
    value_a, value_b = (metric.value(truth, holdout.prediction) for holdout in holdouts)
    if not np.isfinite(value_a) or not np.isfinite(value_b):
        return None
    metric_a, metric_b = (metric.resample(truth, holdout.prediction) for holdout in holdouts)
    low, high = difference_interval(metric_a, metric_b, units, confidence)
    enough = _has_enough_rows(metric, holdouts, units)
    return Difference(metric.name, value_a, value_b, low, high, metric.less_is_better, enough)


def _has_enough_rows(metric: ComparedMetric, holdouts: tuple[Holdout, Holdout], units: int) -> bool:
    """Whether the effective rows of a metric are enough to say which model is better.

    A metric of ranks has as many effective rows as a sample with equal classes that is as precise,
    4 / (1/n0 + 1/n1): C. J. Willer et al. (2010), Bioinformatics 26:2190-2191. Metrics of labels alone need some
    labels that differ, unless none does.
    """
    if units < MIN_ROWS:
        return False
    truth, labels = holdouts[0].truth, [holdout.prediction.labels for holdout in holdouts]
    if metric.name in ("roc_auc", "average_precision") and truth.ndim == 1:
        positives = int(np.count_nonzero(truth == 1))
        negatives = len(truth) - positives
        return 4 * positives * negatives >= MIN_ROWS * len(truth)
    if metric.name in ("accuracy", "macro_f1") and labels[0] is not None and labels[1] is not None:
        changed = int(np.count_nonzero(labels[0] != labels[1]))
        return changed == 0 or changed >= MIN_CHANGED_LABELS
    return True


def _mcnemar(holdout_a: Holdout, holdout_b: Holdout) -> McNemar:
    a = holdout_a.prediction.labels == holdout_a.truth
    b = holdout_b.prediction.labels == holdout_b.truth
    return McNemar.from_counts(int(np.count_nonzero(a & ~b)), int(np.count_nonzero(b & ~a)))
