"""Gates: rules that a version has to pass before it can be approved."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite

from windlass.errors import ProjectError

_RULE = re.compile(
    r"(.+?) (?:[<>]= \S+|not worse than production(?: by more than \S+)?)", re.DOTALL
)


@dataclass(frozen=True)
class Gate:
    """Limit for one metric: `Gate("accuracy", at_least=0.9)`, `Gate("mae", at_most=50)`."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ProjectError(f"Gate on {self.metric!r} needs either at_least or at_most.")

    def __str__(self) -> str:
        sign, limit = ("<=", self.at_most) if self.at_least is None else (">=", self.at_least)
        return f"{self.metric} {sign} {limit:g}"


@dataclass(frozen=True)
class NotWorse:
    """Requires that a version is not worse than production: `NotWorse("roc_auc")`.

    The two are compared on rows that neither was trained on, by a confidence interval of the gain (candidate
    minus production; sign reversed for metrics where lower is better) with the level `confidence`. Without a
    `margin`, the gate fails if the whole interval is below 0: the candidate is significantly worse. With a
    `margin` (in the metric's unit), the gate fails unless the whole interval is at or above `-margin`: a
    non-inferiority test.
    """

    metric: str
    margin: float = 0.0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (isfinite(self.margin) and self.margin >= 0):
            raise ProjectError(f"NotWorse({self.metric!r}): margin {self.margin} is not 0 or more.")
        if not 0.5 <= self.confidence < 1:
            raise ProjectError(
                f"NotWorse({self.metric!r}): confidence {self.confidence} is not from 0.5 to below 1."
            )

    def __str__(self) -> str:
        by = f" by more than {self.margin:g}" if self.margin else ""
        return f"{self.metric} not worse than production{by}"

    def is_met(self, low: float, high: float) -> bool:
        """Whether an interval of the candidate's gain over production passes the gate."""
        return low >= -self.margin if self.margin else high >= 0


NO_FINDINGS = "no findings in the data"  # the rule, as results have it


@dataclass(frozen=True)
class NoFindings:
    """Requires that the data checks of a training find nothing but what the project accepts: `NoFindings()`.

    Without this gate, a version with findings is for a person to approve; with it, nobody can.
    """

    def __str__(self) -> str:
        return NO_FINDINGS


@dataclass(frozen=True)
class GateResult:
    """Result of a gate: its rule, the metric's value (None if it was not measured), and whether it passed.

    `note` has details, such as an interval or the version compared with. `undecided` means that the gate
    could not be evaluated: the version is then not approved automatically, but a person can approve it.
    """

    rule: str
    value: float | None
    passed: bool
    note: str = ""
    undecided: bool = False

    @property
    def blocks_approval(self) -> bool:
        """Whether nobody can approve the version: the gate failed and is not undecided."""
        return not self.passed and not self.undecided

    @property
    def verdict(self) -> str:
        """`passed`, `FAILED` or `undecided`."""
        return "passed" if self.passed else "undecided" if self.undecided else "FAILED"


def gate_metric(rule: str) -> str | None:
    """Returns the metric of a gate as text, `accuracy` of `accuracy >= 0.9`; None where a gate has none."""
    match = _RULE.fullmatch(rule)
    return None if match is None else match[1]


def evaluate_thresholds(
    gates: Iterable[Gate], metrics: Mapping[str, object]
) -> tuple[GateResult, ...]:
    """Compares metrics with their limits; a metric that is missing or not a number does not pass."""
    return tuple(_evaluate_threshold(gate, metrics.get(gate.metric)) for gate in gates)


def _evaluate_threshold(gate: Gate, value: object) -> GateResult:
    if not isinstance(value, int | float):
        return GateResult(str(gate), None, passed=False)
    limit = gate.at_most if gate.at_least is None else gate.at_least
    assert limit is not None
    passed = value <= limit if gate.at_least is None else value >= limit
    return GateResult(str(gate), float(value), passed=passed)
