"""The metrics that reports show first, by what the gates use and what suits the target."""

import pytest

from windlass.core.gates import Gate, NoFindings, NotWorse, gate_metric
from windlass.core.leading_metrics import leading_metrics, order_metrics, summarise_metrics

CLASSES = {
    "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "majority_share": 0.5, "macro_f1": 0.7,
    "log_loss": 0.3, "roc_auc": 0.8, "average_precision": 0.6, "brier": 0.1, "base_rate": 0.5,
    "precision_no": 0.9, "precision_yes": 0.5, "recall_no": 0.9, "recall_yes": 0.4, "f1_no": 0.9,
    "f1_yes": 0.4, "support_no": 50.0, "support_yes": 50.0, "test_rows": 100.0, "train_rows": 400.0,
}  # fmt: skip
RARE = {"majority_share": 0.9, "base_rate": 0.1, "support_no": 90.0, "support_yes": 10.0}
COMMON = {"majority_share": 0.9, "base_rate": 0.9, "support_no": 10.0, "support_yes": 90.0}
QUANTITY = {"mae": 1.0, "rmse": 2.0, "r2": 0.5, "test_rows": 9.0}


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        (CLASSES, "accuracy macro_f1"),
        (CLASSES | RARE, "average_precision roc_auc recall_yes macro_f1 accuracy"),
        (CLASSES | COMMON, "roc_auc recall_no macro_f1 accuracy"),
        (QUANTITY, "mae rmse r2"),
        ({"flagged_share": 0.1, "labelled_rows": 0.0}, "flagged_share"),
        ({"map": 0.4, "ndcg": 0.6, "ndcg_at_5": 0.5, "test_groups": 3.0}, "ndcg ndcg_at_5 map"),
        (
            {"coverage_0.9": 0.9, "interval_coverage": 0.8, "interval_width": 2.0, "mae": 1.0,
             "pinball_loss": 0.2, "pinball_loss_0.9": 0.1},
            "pinball_loss coverage_0.9 interval_coverage interval_width mae",
        ),
        (
            {"mean_mae": 1.0, "profit": 3.0, **{f"{o}_{k}": v for o in "ab" for k, v in QUANTITY.items()}},
            "profit mean_mae a_mae a_rmse a_r2 b_mae b_rmse b_r2",
        ),
        ({"accuracy": 0.9}, "accuracy"),
        ({}, ""),
    ],
)  # fmt: skip
def test_what_suits_the_target_leads(metrics: dict[str, float], names: str) -> None:
    assert leading_metrics(metrics) == tuple(names.split())


def test_metrics_of_gates_lead_then_the_projects_own() -> None:
    metrics = CLASSES | {"profit": 12.0, "recall_at_5": 0.3}
    rules = [str(rule) for rule in (NoFindings(), NotWorse("brier"), Gate("recall_yes", 0.3))]
    leading = leading_metrics(metrics, [*rules, "unmeasured >= 1"])
    assert leading[:5] == ("brier", "recall_yes", "profit", "recall_at_5", "accuracy")
    assert len(set(leading)) == len(leading)


def test_the_metric_of_every_gate_is_read_from_its_rule() -> None:
    gates = (Gate("recall_a b", at_least=1), Gate("mae", at_most=-1e-9), NotWorse("map", 0.1))
    assert [gate_metric(str(gate)) for gate in gates] == ["recall_a b", "mae", "map"]
    assert gate_metric(str(NoFindings())) is None


def test_accuracy_is_beside_its_interval_and_the_majoritys_share() -> None:
    ordered = order_metrics(CLASSES | RARE)
    assert ordered == CLASSES | RARE, "nothing is lost"
    names = list(ordered)
    start = names.index("accuracy")
    assert names[start : start + 4] == list(CLASSES)[:4]
    assert summarise_metrics(CLASSES) == "accuracy 0.9 (majority 0.5), macro_f1 0.7"
