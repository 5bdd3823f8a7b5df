import pytest

from windlass.core.gates import Gate, GateResult, NotWorse, evaluate_thresholds
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
    assert evaluate_thresholds([gate], {"m": value})[0].passed is passed


def test_a_metric_that_was_not_measured_does_not_pass() -> None:
    gates = [Gate("accuracy", at_least=0.9), Gate("mae", at_most=5)]
    assert evaluate_thresholds(gates, {"mae": "low"}) == (
        GateResult("accuracy >= 0.9", None, passed=False),
        GateResult("mae <= 5", None, passed=False),
    )


@pytest.mark.parametrize("limits", [{}, {"at_least": 1, "at_most": 2}])
def test_a_gate_has_one_limit(limits: dict[str, float]) -> None:
    with pytest.raises(ProjectError, match="either at_least or at_most"):
        Gate("m", **limits)


@pytest.mark.parametrize(
    ("margin", "low", "high", "holds"),
    [
        (0.0, -0.2, 0.1, True),  # perhaps worse, perhaps better
        (0.0, -0.2, 0.0, True),
        (0.0, -0.2, -0.001, False),  # worse beyond doubt
        (0.0, 0.1, 0.2, True),
        (0.05, -0.2, 0.1, False),  # not shown to be within the margin
        (0.05, -0.05, 0.1, True),
        (0.05, -0.04, -0.01, True),  # worse beyond doubt, but by less than the margin
    ],
)
def test_without_margin_proof_is_of_harm_and_with_one_of_harmlessness(
    margin: float, low: float, high: float, holds: bool
) -> None:
    assert NotWorse("accuracy", margin=margin).is_met(low, high) is holds


@pytest.mark.parametrize(
    "parts",
    [{"margin": -0.1}, {"margin": float("nan")}, {"confidence": 1.0}, {"confidence": 0.1}],
)
def test_an_impossible_comparison_is_refused(parts: dict[str, float]) -> None:
    with pytest.raises(ProjectError, match=r"NotWorse\('accuracy'\)"):
        NotWorse("accuracy", **parts)


def test_rules_read_as_sentences() -> None:
    assert str(NotWorse("mae")) == "mae not worse than production"
    assert str(NotWorse("mae", margin=0.5)) == "mae not worse than production by more than 0.5"


def test_what_is_undecided_bars_only_the_policy() -> None:
    verdicts = {
        (result.passed, result.blocks_approval, result.verdict)
        for result in (
            GateResult("r", 1.0, passed=True),
            GateResult("r", 1.0, passed=False),
            GateResult("r", None, passed=False, undecided=True),
        )
    }
    assert verdicts == {
        (True, False, "passed"), (False, True, "FAILED"), (False, False, "undecided"),
    }  # fmt: skip
