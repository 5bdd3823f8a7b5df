"""Evaluates a bundle's gates: thresholds, and comparisons with the production version as the baseline."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace

from windlass.core.bundle import Bundle
from windlass.core.data_checks import evaluate_findings, read_data_checks
from windlass.core.gates import NO_FINDINGS, GateResult, NotWorse
from windlass.errors import BundleError, RegistryError, StorageError, counted
from windlass.registry.comparison import MIN_ROWS, Comparison, Difference, compare
from windlass.registry.version import Version

MIN_COMMON_ROWS = MIN_ROWS


@dataclass(frozen=True)
class GateEvaluation:
    """Gate results, and the digest of the production version that they were evaluated against."""

    gates: tuple[GateResult, ...]
    baseline_digest: str | None

    @classmethod
    def evaluate(
        cls, candidate: Bundle, production: Version | None, fetch: Callable[[Version], Bundle]
    ) -> "GateEvaluation":
        """Evaluates a bundle's gates; a production version that cannot be read adds an undecided gate."""
        if production is None:
            return cls(evaluate_gates(candidate, None), None)
        try:
            baseline = fetch(production)
        except (BundleError, StorageError, RegistryError) as error:
            rule = f"comparable with {production.name}, which is in production"
            unread = GateResult(rule, None, passed=False, note=str(error), undecided=True)
            return cls((*evaluate_gates(candidate, None), unread), production.digest)
        return cls(evaluate_gates(candidate, baseline), production.digest)

    @classmethod
    def reuse(cls, version: Version, baseline_digest: str | None) -> "GateEvaluation | None":
        """Returns the stored results of a version where they were against this baseline, and all are decided."""
        is_stale = version.baseline_digest != baseline_digest
        if is_stale or any(gate.undecided for gate in version.gates):
            return None
        return cls(version.gates, version.baseline_digest)


def evaluate_gates(candidate: Bundle, production: Bundle | None) -> tuple[GateResult, ...]:
    """Returns a sealed bundle's results: thresholds as training measured them, and comparisons with `production`.

    Without a production version every comparison passes. Where the two cannot be compared the gate is
    undecided: no policy approves such a version, a person may. The same holds for findings in the data that the
    project neither accepts nor has a gate for. Raises IntegrityError for a damaged bundle.
    """
    thresholds = tuple(
        GateResult(gate.rule, gate.value, gate.passed, gate.note)
        for gate in candidate.manifest.gates
    )
    comparisons = _evaluate_comparisons(candidate, production)
    return thresholds + _undeclared_findings(candidate) + comparisons


def _undeclared_findings(candidate: Bundle) -> tuple[GateResult, ...]:
    """Return an undecided result where a bundle has findings that its own gates do not cover."""
    checks = read_data_checks(candidate)
    is_gate = any(gate.rule == NO_FINDINGS for gate in candidate.manifest.gates)
    if checks is None or is_gate or not checks.open_findings:
        return ()
    return (replace(evaluate_findings(checks), undecided=True),)


def _evaluate_comparisons(candidate: Bundle, production: Bundle | None) -> tuple[GateResult, ...]:
    records = candidate.manifest.comparisons
    rules = [NotWorse(record.metric, record.margin, record.confidence) for record in records]
    if production is None:
        note = "nothing in production to compare with"
        return tuple(GateResult(str(rule), None, passed=True, note=note) for rule in rules)
    metrics: defaultdict[float, set[str]] = defaultdict(set)
    for record in records:
        metrics[record.confidence].add(record.metric)
    comparisons = {
        confidence: compare(candidate, production, metrics=names, confidence=confidence)
        for confidence, names in metrics.items()
    }
    baseline = production.digest[:12]
    return tuple(
        _evaluate_comparison(rule, comparisons[rule.confidence], baseline) for rule in rules
    )


def _evaluate_comparison(rule: NotWorse, comparison: Comparison, baseline: str) -> GateResult:
    difference = comparison.metric(rule.metric)
    obstacle = comparison.obstacle
    if obstacle is None and comparison.rows < MIN_COMMON_ROWS:
        obstacle = f"only {counted(comparison.rows, 'row')} were held out by both; it takes {MIN_COMMON_ROWS}."
    elif obstacle is None and difference is None:
        obstacle = f"{rule.metric} has no value on the {counted(comparison.rows, 'row')} that both held out."
    if obstacle is not None or difference is None:
        note = f"not comparable with {baseline}: {obstacle}"
        return GateResult(str(rule), None, passed=False, note=note, undecided=True)
    passed = rule.is_met(*difference.gain)
    if not passed and not difference.enough_rows:
        note = f"cannot tell, too few rows or different labels: {_note(difference, comparison, baseline)}"
        return GateResult(str(rule), difference.a, passed=False, note=note, undecided=True)
    note = _note(difference, comparison, baseline)
    return GateResult(str(rule), difference.a, passed=passed, note=note)


def _note(difference: Difference, comparison: Comparison, baseline: str) -> str:
    return (
        f"{difference.a:.4g} against {difference.b:.4g} of {baseline}: difference {difference.difference:+.4g},"
        f" {100 * comparison.confidence:.4g}% interval {difference.low:+.4g} to {difference.high:+.4g},"
        f" on {counted(comparison.rows, 'row')} that both held out"
    )
