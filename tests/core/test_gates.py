import pytest

from windlass.core.gates import Gate, GateResult, judge
from windlass.errors import ProjectError


@pytest.mark.parametrize(
    ("gate", "value", "passed"),
    [
        (Gate("m", at_least=0.9), 0.9, True),
        (Gate("m", at_least=0.9), 0.8999, False),
        (Gate("m", at_most=50), 50, True),
        (Gate("m", at_most=50), 50.1, False),
        (Gate("m", at_least=0), 0, True),
        (Gate("m", at_least=0.5), float("nan"), False),
    ],
)
def test_limits_are_inclusive(gate: Gate, value: float, passed: bool) -> None:
    assert judge([gate], {"m": value})[0].passed is passed


def test_a_metric_that_was_not_measured_does_not_pass() -> None:
    gates = [Gate("accuracy", at_least=0.9), Gate("mae", at_most=5)]
    assert judge(gates, {"mae": "low"}) == (
        GateResult("accuracy >= 0.9", None, passed=False),
        GateResult("mae <= 5", None, passed=False),
    )


@pytest.mark.parametrize("limits", [{}, {"at_least": 1, "at_most": 2}])
def test_a_gate_has_one_limit(limits: dict[str, float]) -> None:
    with pytest.raises(ProjectError, match="either at_least or at_most"):
        Gate("m", **limits)
