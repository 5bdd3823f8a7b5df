"""Versions of every kind of target are compared on the rows that both held out, and their gates evaluated."""

import numpy as np
import pytest
from tests.support.trained_bundles import BundleOf

from windlass.core.bundle import Bundle
from windlass.core.holdout import read_holdout
from windlass.registry.comparison import compare
from windlass.registry.gate_evaluation import evaluate_gates

OTHER_MODELS = {
    "plants": "mixed",
    "progression": "crossed",
    "searches": "pairs",
    "transfers": "neighbours",
}


@pytest.mark.parametrize("name", OTHER_MODELS)
def test_two_models_are_compared_by_every_metric(bundle_of: BundleOf, name: str) -> None:
    a, b = (
        Bundle.open(bundle_of(name)),
        Bundle.open(bundle_of(name, model=OTHER_MODELS[name])),
    )
    comparison = compare(a, b)
    assert comparison.obstacle is None
    assert comparison.relabelled == 0
    metrics = {metric.name: metric for metric in a.target.compared_metrics()}
    assert [difference.metric for difference in comparison.metrics] == list(metrics)
    for difference in comparison.metrics:
        assert difference.a == pytest.approx(a.json("metrics.json")[difference.metric])
        assert difference.b == pytest.approx(b.json("metrics.json")[difference.metric])
        assert difference.low <= difference.high
        assert difference.less_is_better == metrics[difference.metric].less_is_better
    gates = evaluate_gates(a, b)
    assert not any(gate.undecided for gate in gates[-1:]) or comparison.rows < 20
    holdout = read_holdout(a)
    assert holdout is not None
    assert len(holdout.prediction) == a.json("metrics.json")["test_rows"]


def test_a_ranking_holds_out_whole_groups(bundle_of: BundleOf) -> None:
    bundle = Bundle.open(bundle_of("searches"))
    holdout = read_holdout(bundle)
    assert holdout is not None
    _, sizes = np.unique(holdout.truth[:, 1], return_counts=True)
    assert set(sizes.tolist()) == {6}
    assert len(sizes) == bundle.json("metrics.json")["test_groups"]


def test_a_version_with_another_kind_of_target_cannot_be_compared(bundle_of: BundleOf) -> None:
    a, b = Bundle.open(bundle_of("progression")), Bundle.open(bundle_of("diabetes"))
    assert compare(a, b).obstacle is not None


@pytest.mark.parametrize(
    ("name", "reason"),
    [("progression", None), ("transfers", None), ("searches", None), ("vitals", None)],
)
def test_what_is_exact_is_onnx(bundle_of: BundleOf, name: str, reason: str | None) -> None:
    engine = Bundle.open(bundle_of(name)).manifest.engine
    assert (engine.name, engine.reason) == ("onnx", reason)


def test_what_has_no_converter_is_native_with_the_reason(bundle_of: BundleOf) -> None:
    engine = Bundle.open(bundle_of("transfers", model="neighbours")).manifest.engine
    assert engine.name == "native"
    assert engine.reason == "LocalOutlierFactor: no converter for anomaly scores"
