"""Which metrics of a version lead every report: those of the gates, the project's own, those that suit the target.

The registry has a version's metrics and gates, not its target, so the kind of target follows from their names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from windlass.core.gates import gate_metric
from windlass.core.metrics import COST_METRICS, PER_CLASS_METRICS, ROW_COUNTS

UNBALANCED_MAJORITY = 0.75  # share of the most frequent class from which on classes are unbalanced
UNBALANCED_POSITIVE = 0.2  # share of positives, of two classes, up to which they are
_QUANTITY = ("mae", "rmse", "r2")
_INTERVAL = ("interval_coverage", "interval_width")
_OF_TRAINING = (*ROW_COUNTS, "validation_rows", "best_iteration")
_OF_CLASSES = ("accuracy", "macro_f1", "log_loss", "roc_auc", "average_precision", "brier", "base_rate")  # fmt: skip
_BESIDE_ACCURACY = ("accuracy_low", "accuracy_high", "majority_share")
_MAX_IN_SUMMARY = 3


@dataclass(frozen=True)
class _Kind:
    """Metrics of one kind of target, by name: those that lead, and all that Windlass measures itself."""

    leading: tuple[str, ...]
    measured: tuple[str, ...]
    measured_prefixes: tuple[str, ...] = ()

    def is_own(self, name: str) -> bool:
        """Whether a metric is one that the project defines."""
        measured = name in self.measured or name in _OF_TRAINING
        return not measured and not name.startswith(self.measured_prefixes or ("\0",))


def leading_metrics(metrics: Mapping[str, float], rules: Iterable[str] = ()) -> tuple[str, ...]:
    """Returns the names of the metrics to show first, in order.

    Args:
        metrics: Those of `metrics.json`. Versions of before `majority_share` are taken for balanced.
        rules: Gates as text, such as `roc_auc >= 0.8`.
    """
    kind = _kind(metrics)
    gated = [gate_metric(rule) for rule in rules]
    own = [name for name in metrics if kind.is_own(name)]
    names = [name for name in (*gated, *own, *kind.leading) if name is not None]
    return tuple(name for name in dict.fromkeys(names) if name in metrics)


def order_metrics(metrics: Mapping[str, float], rules: Iterable[str] = ()) -> dict[str, float]:
    """Returns all metrics, the leading ones first; accuracy with its interval and the majority's share behind it."""
    names: list[str] = []
    for name in leading_metrics(metrics, rules):
        names.append(name)
        if name.endswith("accuracy"):
            prefix = name.removesuffix("accuracy")
            names += [prefix + other for other in _BESIDE_ACCURACY if prefix + other in metrics]
    return {name: metrics[name] for name in dict.fromkeys([*names, *metrics])}


def summarise_metrics(metrics: Mapping[str, float], rules: Iterable[str] = ()) -> str:
    """Returns the first leading metrics in one line: `roc_auc 0.81, accuracy 0.9 (majority 0.88)`."""
    names = leading_metrics(metrics, rules)[:_MAX_IN_SUMMARY]
    return ", ".join(f"{name} {metrics[name]:.4g}{_beside(metrics, name)}" for name in names)


def majority_share(metrics: Mapping[str, float], accuracy: str) -> float | None:
    """Returns the accuracy of always predicting the most frequent class, beside the metric `accuracy` of a target.

    None where it was not measured, or the metric is not the accuracy of classes.
    """
    prefix = accuracy.removesuffix("accuracy")
    is_accuracy = accuracy.endswith("accuracy") and f"{prefix}accuracy_low" in metrics
    return metrics.get(f"{prefix}majority_share") if is_accuracy else None


def _beside(metrics: Mapping[str, float], name: str) -> str:
    share = majority_share(metrics, name)
    return "" if share is None else f" (majority {share:.4g})"


def _kind(metrics: Mapping[str, float]) -> _Kind:
    if "accuracy_low" in metrics:
        return _classes(metrics)
    if "pinball_loss" in metrics and all(name in metrics for name in _INTERVAL):
        coverages = sorted(name for name in metrics if name.startswith("coverage_"))
        leading = ("pinball_loss", *coverages, *_INTERVAL, "mae")
        return _Kind(leading, leading, ("pinball_loss_", "coverage_"))
    if all(name in metrics for name in _QUANTITY):
        return _Kind(_QUANTITY, _QUANTITY)
    if "flagged_share" in metrics:
        leading = ("average_precision", "roc_auc", "precision", "recall", "flagged_share")
        return _Kind(leading, (*leading, "labelled_rows"))
    if "ndcg" in metrics:
        leading = ("ndcg", "ndcg_at_5", "ndcg_at_10", "map")
        return _Kind(leading, (*leading, "test_groups"))
    return _outputs(metrics)


def _classes(metrics: Mapping[str, float]) -> _Kind:
    plain: tuple[str, ...] = ("accuracy", "macro_f1")
    first: tuple[str, ...] = ()
    if "cost_per_row" in metrics:
        first = ("average_precision", "roc_auc", "cost_per_row", "threshold", "brier")
    elif _is_unbalanced(metrics):
        positives = metrics.get("base_rate", 0.0)
        scores = ("roc_auc",) if positives > 0.5 else ("average_precision", "roc_auc")
        rare = _rarest_class(metrics)
        recall = () if rare is None else (f"recall_{rare}",)
        # average precision and ROC AUC are of two classes; of more, macro F1 is where the rare ones count
        first = (*scores, *recall, "macro_f1")
    measured = (*_OF_CLASSES, *_BESIDE_ACCURACY, *COST_METRICS)
    by_class = (f"{name}_{key}" for key in _class_keys(metrics) for name in PER_CLASS_METRICS)
    return _Kind((*first, *plain), (*measured, *by_class))


def _class_keys(metrics: Mapping[str, float]) -> list[str]:
    keys = [name.removeprefix("f1_") for name in metrics if name.startswith("f1_")]
    return [key for key in keys if f"precision_{key}" in metrics and f"recall_{key}" in metrics]


def _is_unbalanced(metrics: Mapping[str, float]) -> bool:
    majority, positives = metrics.get("majority_share", 0.0), metrics.get("base_rate", 1.0)
    return majority >= UNBALANCED_MAJORITY or positives <= UNBALANCED_POSITIVE


def _rarest_class(metrics: Mapping[str, float]) -> str | None:
    """Returns the key of the class with the fewest test rows, though some; None where rows were not counted."""
    counts = {key: metrics.get(f"support_{key}", 0) for key in _class_keys(metrics)}
    return min((key for key in counts if counts[key]), key=counts.__getitem__, default=None)


def _outputs(metrics: Mapping[str, float]) -> _Kind:
    """Returns the means, then what leads of each output."""
    outputs = [
        name.removesuffix(ending)
        for ending in ("_accuracy_low", "_r2")
        for name in metrics
        if name.endswith(ending)
        and (ending != "_r2" or all(name.removesuffix("r2") + q in metrics for q in _QUANTITY))
    ]
    outputs = [name for name in outputs if name != "mean"]
    if not outputs:  # of a bundle that has less than Windlass measures
        return _Kind(tuple(name for name in metrics if name not in _OF_TRAINING), tuple(metrics))
    means = tuple(name for name in metrics if name.startswith("mean_") or name == "exact_match")
    leading = list(means)
    for output in outputs:
        prefix = f"{output}_"
        of_output = {k.removeprefix(prefix): v for k, v in metrics.items() if k.startswith(prefix)}
        leading += [f"{prefix}{name}" for name in _kind(of_output).leading]
    return _Kind(tuple(leading), means, tuple(f"{output}_" for output in outputs))
