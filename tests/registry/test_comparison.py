import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from tests.support.holdout_bundles import change_labels, make_holdout, seal_holdout

from windlass.core.row_schema import ColumnKind, ColumnSchema, RowSchema
from windlass.core.targets.target import TargetRecord
from windlass.registry.comparison import Comparison, Difference, McNemar, compare

TRUTH = np.random.default_rng(5).integers(0, 2, 600)


def test_only_rows_that_both_held_out_count(tmp_path: Path) -> None:
    a = make_holdout(TRUTH, noise=1.0)
    b = make_holdout(np.concatenate([TRUTH[400:], 1 - TRUTH[:100]]), noise=1.0, seed=1, start=400)
    results = compare(seal_holdout(tmp_path, a), seal_holdout(tmp_path, b))
    assert (results.rows, results.relabelled, results.obstacle) == (200, 0, None)
    assert [m.metric for m in results.metrics] == [
        "accuracy", "macro_f1", "log_loss", "roc_auc", "average_precision", "brier",
    ]  # fmt: skip


def test_values_are_the_metrics_of_each_on_these_rows(tmp_path: Path) -> None:
    a, b = make_holdout(TRUTH, noise=1.0), make_holdout(TRUTH, noise=3.0, seed=1)
    results = compare(seal_holdout(tmp_path, a), seal_holdout(tmp_path, b))
    for name, holdout in (("a", a), ("b", b)):
        accuracy = results.metric("accuracy")
        assert accuracy is not None
        right = np.mean(holdout.prediction.labels == holdout.truth)
        assert getattr(accuracy, name) == pytest.approx(right)
    assert all(m.verdict("v2", "v1") == "v2 is better" for m in results.metrics)
    assert results.mcnemar is not None
    assert results.mcnemar.only_a > results.mcnemar.only_b
    assert results.mcnemar.p_value < 0.001


def test_the_reverse_comparison_is_the_mirror_image(tmp_path: Path) -> None:
    a, b = (seal_holdout(tmp_path, make_holdout(TRUTH, noise=n, seed=int(n))) for n in (1.0, 2.0))
    for item, other in zip(compare(a, b).metrics, compare(b, a).metrics, strict=True):
        assert (item.a, item.b) == (other.b, other.a)
        assert (item.low, item.high) == pytest.approx((-other.high, -other.low), abs=1e-9)


def test_a_version_is_as_good_as_itself(tmp_path: Path) -> None:
    bundle = seal_holdout(tmp_path, make_holdout(TRUTH))
    results = compare(bundle, bundle)
    assert {(m.difference, m.low, m.high) for m in results.metrics} == {(0.0, 0.0, 0.0)}
    assert {m.verdict("v2", "v1") for m in results.metrics} == {"no difference shown"}
    assert results.mcnemar == McNemar(0, 0, 1.0)


def test_a_regression_is_compared_by_its_errors(tmp_path: Path) -> None:
    truth = np.random.default_rng(0).normal(size=300)
    a, b = (
        seal_holdout(tmp_path, make_holdout(truth, noise=n, seed=int(10 * n))) for n in (0.2, 0.5)
    )
    results = compare(a, b)
    assert [m.metric for m in results.metrics] == ["mae", "rmse", "r2"]
    assert {m.verdict("v2", "v1") for m in results.metrics} == {"v2 is better"}
    assert results.mcnemar is None


def test_labels_of_the_first_count_where_they_changed(tmp_path: Path) -> None:
    a = make_holdout(TRUTH, noise=0.1)
    results = compare(seal_holdout(tmp_path, a), seal_holdout(tmp_path, change_labels(a, 30)))
    accuracy = results.metric("accuracy")
    assert results.relabelled == 30
    assert accuracy is not None
    assert accuracy.a == accuracy.b == 1.0
    assert "30 of them have another label now; v2's labels count." in results.summary("v2", "v1")


def test_a_metric_without_a_value_is_left_out(tmp_path: Path) -> None:
    a, b = (
        seal_holdout(tmp_path, make_holdout(np.ones(50, np.int64), seed=seed)) for seed in (0, 1)
    )
    names = [m.metric for m in compare(a, b).metrics]
    assert "roc_auc" not in names
    assert "accuracy" in names


def test_only_the_named_metrics_are_compared(tmp_path: Path) -> None:
    bundle = seal_holdout(tmp_path, make_holdout(TRUTH))
    results = compare(bundle, bundle, metrics={"brier"}, confidence=0.5)
    assert [m.metric for m in results.metrics] == ["brier"]
    assert results.confidence == 0.5


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {
                "row": RowSchema.from_columns(
                    "Point", ColumnSchema(name="z", kind=ColumnKind.NUMBER)
                )
            },
            "other columns",
        ),
        ({"target": TargetRecord(name="y", classes=(1, 0))}, "other classes"),
        ({"target": TargetRecord(name="z", classes=(0, 1))}, "another target"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(
    tmp_path: Path, parts: dict[str, Any], message: str
) -> None:
    holdout = make_holdout(TRUTH)
    results = compare(seal_holdout(tmp_path, holdout), seal_holdout(tmp_path, holdout, **parts))
    assert results.metrics == ()
    assert message in (results.obstacle or "")
    assert results.summary("v2", "v1").startswith("v2 and v1 cannot be compared: ")


def test_no_row_in_common_says_so(tmp_path: Path) -> None:
    a, b = (seal_holdout(tmp_path, make_holdout(TRUTH, start=start)) for start in (0, 1000))
    assert "no row was held out by both" in (compare(a, b).obstacle or "")


def test_a_bundle_from_before_cannot_be_compared(tmp_path: Path) -> None:
    a, b = (seal_holdout(tmp_path, make_holdout(TRUTH, seed=seed)) for seed in (0, 1))
    b.manifest.files.clear()
    assert "earlier Windlass" in (compare(a, b).obstacle or "")


@pytest.mark.parametrize("counts", [(0, 0), (5, 0), (1, 9), (30, 20), (400, 520), (50_000, 50_100)])
def test_mcnemar_is_the_exact_binomial_test(counts: tuple[int, int]) -> None:
    expected = binomtest(min(counts), sum(counts), 0.5).pvalue if sum(counts) else 1.0
    assert McNemar.from_counts(*counts).p_value == pytest.approx(expected, rel=1e-6)


def test_a_comparison_is_json(tmp_path: Path) -> None:
    a, b = (seal_holdout(tmp_path, make_holdout(TRUTH, noise=n, seed=int(n))) for n in (1.0, 2.0))
    message = json.loads(json.dumps(compare(a, b).json(), allow_nan=False))
    assert message["rows"] == 600
    loss = next(metric for metric in message["metrics"] if metric["metric"] == "log_loss")
    assert loss["less_is_better"] is True
    assert loss["low"] < loss["difference"] < loss["high"] < 0
    assert message["mcnemar"].keys() == {"only_a", "only_b", "p_value"}
    assert json.loads(json.dumps(Comparison(0, 0.95, obstacle="why").json()))["obstacle"] == "why"


def test_less_is_better_is_turned() -> None:
    assert Difference("mae", 1.0, 2.0, -1.5, -0.5, less_is_better=True).gain == (0.5, 1.5)
    assert Difference("r2", 1.0, 2.0, -1.5, -0.5).verdict("v2", "v1") == "v1 is better"


def test_few_rows_are_not_decisive(tmp_path: Path) -> None:
    few = np.array([0, 1, 0, 1])
    a, b = (seal_holdout(tmp_path, make_holdout(few, noise=n, seed=int(n))) for n in (0.1, 9.0))
    results = compare(a, b)
    assert {m.verdict("v2", "v1") for m in results.metrics} == {"cannot tell"}
    assert "on 4 rows that both held out. These are too few to tell" in results.summary("v2", "v1")
    assert {m["verdict"] for m in results.json()["metrics"]} == {"cannot tell"}


def test_ranks_of_few_positive_rows_are_not_decisive(tmp_path: Path) -> None:
    rare = np.array([1] * 4 + [0] * 400)
    a, b = (seal_holdout(tmp_path, make_holdout(rare, noise=n, seed=int(n))) for n in (0.1, 9.0))
    results = {m.metric: m.verdict("v2", "v1") for m in compare(a, b).metrics}
    assert results["roc_auc"] == results["average_precision"] == "cannot tell"
    assert results["brier"] == "v2 is better"
