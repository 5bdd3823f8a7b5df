"""When a version is judged, and against which production version: at registration, and again where that changed."""

from collections.abc import Callable
from dataclasses import dataclass

from windlass.core.bundle import Bundle, ComparisonRecord
from windlass.core.gates import GateResult, NotWorse
from windlass.errors import BundleError, RegistryError, StorageError
from windlass.registry.comparison import Comparison, Difference, compare
from windlass.registry.version import Version

FEWEST = 20  # rows in common; an interval of fewer says nothing


def evaluate_gates(candidate: Bundle, production: Bundle | None) -> tuple[GateResult, ...]:
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
    passed = rule.is_met(*found.gain)
    return GateResult(str(rule), found.a, passed=passed, note=_note(found, comparison, against))


def _note(found: Difference, comparison: Comparison, against: str) -> str:
    return (
        f"{found.a:.4g} against {found.b:.4g} of {against}: difference {found.difference:+.4g},"
        f" {100 * comparison.confidence:.4g} % interval {found.low:+.4g} to {found.high:+.4g},"
        f" on {comparison.rows:,} rows that both held out"
    )


UNREAD = (
    ""  # judged against a production version whose bundle could not be read: to be judged again
)


@dataclass(frozen=True)
class GateEvaluation:
    """How the gates went, and the digest of the production version that they were held against."""

    gates: tuple[GateResult, ...]
    against: str | None

    @classmethod
    def of(
        cls, candidate: Bundle, production: Version | None, fetch: Callable[[Version], Bundle]
    ) -> "GateEvaluation":
        """Judge a bundle. Where the production version cannot be read, that is an undecided gate."""
        if production is None:
            return cls(evaluate_gates(candidate, None), None)
        try:
            standing = fetch(production)
        except (BundleError, StorageError, RegistryError) as error:
            rule = f"comparable with {production.name}, which is in production"
            unread = GateResult(rule, None, passed=False, note=str(error), undecided=True)
            return cls((*evaluate_gates(candidate, None), unread), production.digest)
        return cls(evaluate_gates(candidate, standing), production.digest)

    @classmethod
    def standing(cls, version: Version, production: str | None) -> "GateEvaluation | None":
        """How the gates went before, where that still holds: against this digest, and all decided."""
        if version.against != production or any(gate.undecided for gate in version.gates):
            return None
        return cls(version.gates, version.against)
