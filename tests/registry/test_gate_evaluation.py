from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.holdout_bundles import make_holdout, seal_holdout

from windlass.core.bundle import Bundle, ComparisonRecord, GateRecord
from windlass.core.data_checks import DataChecks, Finding
from windlass.core.gates import NO_FINDINGS, GateResult
from windlass.registry.gate_evaluation import MIN_COMMON_ROWS, evaluate_gates

TRUTH = np.random.default_rng(5).integers(0, 2, 500)
QUANTITY = np.random.default_rng(5).normal(size=500)


def _bundle(folder: Path, noise: float, truth: Any = TRUTH, **parts: Any) -> Bundle:
    return seal_holdout(folder, make_holdout(truth, noise=noise, seed=int(10 * noise)), **parts)


def _rule(metric: str, margin: float = 0.0, confidence: float = 0.95) -> dict[str, Any]:
    record = ComparisonRecord(metric=metric, margin=margin, confidence=confidence)
    return {"comparisons": (record,)}


def _evaluate(folder: Path, candidate: float, production: float, **parts: Any) -> GateResult:
    truth = parts.pop("truth", TRUTH)
    results = evaluate_gates(
        _bundle(folder, candidate, truth, **parts), _bundle(folder, production, truth)
    )
    (result,) = results
    return result


def test_thresholds_are_as_training_measured_them(tmp_path: Path) -> None:
    gates = (
        GateRecord(rule="accuracy >= 0.9", value=0.95, passed=True),
        GateRecord(rule="brier <= 0.1", value=0.2, passed=False),
    )
    bundle = _bundle(tmp_path, 1.0, gates=gates, **_rule("roc_auc"))
    for production in (None, _bundle(tmp_path, 2.0)):
        first, second, third = evaluate_gates(bundle, production)
        assert first == GateResult("accuracy >= 0.9", 0.95, passed=True)
        assert second == GateResult("brier <= 0.1", 0.2, passed=False)
        assert third.rule == "roc_auc not worse than production"


def test_without_a_production_version_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    (result,) = evaluate_gates(_bundle(tmp_path, 1.0, **_rule("roc_auc")), None)
    assert result.passed
    assert result.note == "nothing in production to compare with"


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "roc_auc", "log_loss", "brier"])
def test_what_is_worse_beyond_doubt_fails_and_what_is_better_passes(
    tmp_path: Path, metric: str
) -> None:
    assert not _evaluate(tmp_path, 3.0, 1.0, **_rule(metric)).passed
    assert _evaluate(tmp_path, 1.0, 3.0, **_rule(metric)).passed
    assert _evaluate(tmp_path, 1.0, 1.1, **_rule(metric)).passed


@pytest.mark.parametrize("metric", ["mae", "rmse", "r2"])
def test_gates_of_quantities_are_evaluated_too(tmp_path: Path, metric: str) -> None:
    assert not _evaluate(tmp_path, 0.9, 0.3, truth=QUANTITY, **_rule(metric)).passed
    assert _evaluate(tmp_path, 0.3, 0.9, truth=QUANTITY, **_rule(metric)).passed


def test_a_margin_asks_for_proof_and_grants_leeway(tmp_path: Path) -> None:
    doubtful = _evaluate(tmp_path, 1.1, 1.0, **_rule("accuracy"))
    assert doubtful.passed
    assert not _evaluate(tmp_path, 1.1, 1.0, **_rule("accuracy", margin=0.001)).passed
    assert not _evaluate(tmp_path, 1.3, 1.0, **_rule("log_loss")).passed  # worse beyond doubt
    assert _evaluate(tmp_path, 1.3, 1.0, **_rule("log_loss", margin=0.3)).passed


def test_the_confidence_decides_how_sure_is_sure(tmp_path: Path) -> None:
    verdicts = [
        _evaluate(tmp_path, 1.2, 1.0, **_rule("brier", confidence=confidence)).passed
        for confidence in (0.5, 0.999)
    ]
    assert verdicts == [False, True]


def test_the_note_says_the_interval_and_against_what(tmp_path: Path) -> None:
    production = _bundle(tmp_path, 1.0)
    (result,) = evaluate_gates(_bundle(tmp_path, 3.0, **_rule("accuracy")), production)
    assert result.value is not None
    assert f"{result.value:.4g} against " in result.note
    assert f"of {production.digest[:12]}: difference -0." in result.note
    assert "95% interval -0." in result.note
    assert result.note.endswith("on 500 rows that both held out")


def test_what_cannot_be_compared_is_for_a_person_to_decide(tmp_path: Path) -> None:
    candidate = _bundle(tmp_path, 1.0, **_rule("roc_auc"))
    few = MIN_COMMON_ROWS - 1
    cases = {
        "no row was held out by both": make_holdout(TRUTH, start=10_000),
        f"only {few} rows": make_holdout(TRUTH[:few]),
    }
    for output, holdout in cases.items():
        production = seal_holdout(tmp_path, holdout)
        (result,) = evaluate_gates(candidate, production)
        assert (result.passed, result.blocks_approval, result.verdict) == (
            False,
            False,
            "undecided",
        )
        assert output in result.note
        assert production.digest[:12] in result.note


def test_a_metric_that_has_no_value_is_for_a_person_to_decide(tmp_path: Path) -> None:
    ones = np.ones(100, np.int64)
    result = _evaluate(tmp_path, 1.0, 1.1, truth=ones, **_rule("roc_auc"))
    assert result.verdict == "undecided"
    assert "roc_auc has no value on the 100 rows" in result.note


def test_each_rule_is_evaluated_with_its_own_confidence(tmp_path: Path) -> None:
    records = tuple(
        ComparisonRecord(metric="brier", margin=0.0, confidence=confidence)
        for confidence in (0.5, 0.999)
    )
    results = evaluate_gates(_bundle(tmp_path, 1.2, comparisons=records), _bundle(tmp_path, 1.0))
    assert [result.passed for result in results] == [False, True]
    assert ["50% interval" in result.note for result in results] == [True, False]


@pytest.mark.parametrize("accepted", [False, True])
def test_findings_in_the_data_are_for_a_person_to_decide(tmp_path: Path, *, accepted: bool) -> None:
    finding = Finding(check="id_column", column="x", message="An id.", accepted=accepted)
    checks = DataChecks(
        rows=9, repeated_rows=0, repeated_test_rows=0, equal_by_chance=False, findings=(finding,)
    )
    results = evaluate_gates(_bundle(tmp_path, 1.0, checks=checks), None)
    undecided = GateResult(NO_FINDINGS, 1.0, passed=False, note="id_column:x", undecided=True)
    assert results == (() if accepted else (undecided,))


def test_a_gate_on_findings_is_as_training_evaluated_it(tmp_path: Path) -> None:
    finding = Finding(check="id_column", column="x", message="An id.")
    checks = DataChecks(
        rows=9, repeated_rows=0, repeated_test_rows=0, equal_by_chance=False, findings=(finding,)
    )
    gate = GateRecord(rule=NO_FINDINGS, value=1.0, passed=False, note="id_column:x")
    (result,) = evaluate_gates(_bundle(tmp_path, 1.0, checks=checks, gates=(gate,)), None)
    assert result == GateResult(NO_FINDINGS, 1.0, passed=False, note="id_column:x")
    assert result.blocks_approval
