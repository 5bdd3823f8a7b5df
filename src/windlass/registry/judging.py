"""Judging a version: how it does by every gate, also by those that compare it with production."""

from windlass.core.bundle import Bundle, ComparisonRecord
from windlass.core.gates import GateResult, NotWorse
from windlass.registry.comparison import Comparison, Difference, compare

FEWEST = 20  # rows in common; an interval of fewer says nothing


def judge(candidate: Bundle, production: Bundle | None) -> tuple[GateResult, ...]:
    """How a sealed bundle goes by its thresholds, as training measured them, and against `production`.

    Without a production version every comparison passes. Where the two cannot be compared it is
    undecided: no policy approves such a version, a person may. Raises IntegrityError for a damaged bundle.
    """
    thresholds = tuple(
        GateResult(gate.rule, gate.value, gate.passed) for gate in candidate.manifest.gates
    )
    return thresholds + _compared(candidate, production)


def _compared(candidate: Bundle, production: Bundle | None) -> tuple[GateResult, ...]:
    records = candidate.manifest.comparisons
    rules = [NotWorse(record.metric, record.margin, record.confidence) for record in records]
    if production is None:
        note = "nothing in production to compare with"
        return tuple(GateResult(str(rule), None, passed=True, note=note) for rule in rules)
    against = production.digest[:12]
    made = {
        confidence: compare(
            candidate, production, metrics=_metrics(records, confidence), confidence=confidence
        )
        for confidence in {record.confidence for record in records}
    }
    return tuple(_judge(rule, made[rule.confidence], against) for rule in rules)


def _metrics(records: tuple[ComparisonRecord, ...], confidence: float) -> set[str]:
    return {record.metric for record in records if record.confidence == confidence}


def _judge(rule: NotWorse, comparison: Comparison, against: str) -> GateResult:
    found = comparison.metric(rule.metric)
    obstacle = comparison.obstacle
    if obstacle is None and comparison.rows < FEWEST:
        obstacle = f"only {comparison.rows} rows were held out by both; it takes {FEWEST}."
    elif obstacle is None and found is None:
        obstacle = f"{rule.metric} has no value on the {comparison.rows} rows that both held out."
    if obstacle is not None or found is None:
        note = f"not comparable with {against}: {obstacle}"
        return GateResult(str(rule), None, passed=False, note=note, undecided=True)
    passed = rule.holds(*found.gain)
    return GateResult(str(rule), found.a, passed=passed, note=_note(found, comparison, against))


def _note(found: Difference, comparison: Comparison, against: str) -> str:
    return (
        f"{found.a:.4g} against {found.b:.4g} of {against}: difference {found.difference:+.4g},"
        f" {100 * comparison.confidence:.4g} % interval {found.low:+.4g} to {found.high:+.4g},"
        f" on {comparison.rows:,} rows that both held out"
    )
