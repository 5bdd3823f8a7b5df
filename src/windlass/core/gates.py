"""Gates: rules on metrics that a version must pass before it may be approved."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from windlass.errors import ProjectError


@dataclass(frozen=True)
class Gate:
    """A threshold on one metric: `Gate("accuracy", at_least=0.9)`, `Gate("mae", at_most=50)`."""

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
class GateResult:
    """How a gate went: its rule, the metric's value (None where it was not measured), passed or not."""

    rule: str
    value: float | None
    passed: bool


def judge(gates: Iterable[Gate], metrics: Mapping[str, object]) -> tuple[GateResult, ...]:
    """Hold metrics against gates. A metric that is missing or not a number does not pass."""
    return tuple(_judge(gate, metrics.get(gate.metric)) for gate in gates)


def _judge(gate: Gate, value: object) -> GateResult:
    if not isinstance(value, int | float):
        return GateResult(str(gate), None, passed=False)
    limit = gate.at_most if gate.at_least is None else gate.at_least
    assert limit is not None
    passed = value <= limit if gate.at_least is None else value >= limit
    return GateResult(str(gate), float(value), passed=passed)
