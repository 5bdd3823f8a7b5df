"""Credit risk: what the two candidates make of the loans, and what the README says of it."""

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.support.credit_example import (
    CREDIT,
    MODELS,
    README,
    Example,
)

from windlass.control.train_request import TrainBodySchema
from windlass.core.bundle import Bundle
from windlass.core.progress import ignore_progress
from windlass.core.project_loader import load_project
from windlass.core.project_spec import ProjectSpec
from windlass.core.row_validator import RowValidator
from windlass.training.plan import TrainingRequest, resolve_plan
from windlass.training.run import run_training


def test_smote_sees_training_rows_only_and_the_test_rows_are_other_people_later(
    example: Example, labelled: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imblearn.over_sampling import SMOTE

    seen = []
    resample = SMOTE.fit_resample

    def noted(self: Any, rows: Any, target: Any, **more: Any) -> Any:
        seen.append(len(rows))
        return resample(self, rows, target, **more)

    monkeypatch.setattr(SMOTE, "fit_resample", noted)
    project = example.project
    plan = resolve_plan(project, TrainingRequest(Path(), "forest_smote"))
    run = run_training(project, plan, ignore_progress, lambda: labelled)
    assert seen == [len(run.split.train)]
    train, test = (labelled[side] for side in (run.split.train, run.split.test))
    assert set(train["person"]).isdisjoint(test["person"])
    assert set(train["id"]).isdisjoint(test["id"])
    assert test["loan_date"].to_numpy().min() > train["loan_date"].to_numpy().max()


def test_ids_that_are_one_person_are_one_group(labelled: pl.DataFrame) -> None:
    assert labelled["person"].null_count() == 0
    assert labelled.group_by("id").agg(pl.col("person").n_unique())["person"].max() == 1
    assert 3 < labelled["id"].n_unique() / labelled["person"].n_unique() < 5
    several = labelled.group_by("person").agg(pl.col("birthday").n_unique())
    assert several["birthday"].max() == 1


def test_age_bands_are_of_the_age_at_the_loan(labelled: pl.DataFrame) -> None:
    bands = labelled.group_by("age_band").agg(low=pl.col("age").min(), high=pl.col("age").max())
    limits_of = {band: (low, high) for band, low, high in bands.sort("age_band").iter_rows()}
    assert list(limits_of) == ["29 and under", "30-39", "40-49", "50-59", "60 and over"]
    for band, limits in list(limits_of.items())[1:-1]:
        assert "-".join(map(str, limits)) == band
    assert limits_of["29 and under"][1] == 29
    assert limits_of["60 and over"][0] == 60


@pytest.mark.parametrize("model", MODELS)
def test_both_candidates_are_compiled_and_exactly_equal(
    bundles: dict[str, Bundle], model: str
) -> None:
    engine = bundles[model].manifest.engine
    assert engine.name == "onnx", engine.reason
    assert engine.equality is not None
    assert engine.equality.labels_changed == 0
    assert engine.equality.max_difference < 1e-15


def test_the_default_finds_the_signal_and_the_notebooks_model_hides_behind_its_accuracy(
    bundles: dict[str, Bundle],
) -> None:
    default, notebook = (bundles[model].json("metrics.json") for model in MODELS)
    assert default["roc_auc"] > 0.7
    assert notebook["roc_auc"] < 0.6
    assert notebook["accuracy"] > max(0.95, default["accuracy"])
    assert notebook["recall_at_precision"] < default["recall_at_precision"]
    assert default["cost_per_row"] < default["cost_accepting_all"] < notebook["cost_per_row"]
    passed = {model: all(gate.passed for gate in bundles[model].manifest.gates) for model in MODELS}
    assert passed == {"boosting": True, "forest_smote": False}


def test_the_label_follows_the_costs(bundles: dict[str, Bundle]) -> None:
    metrics = bundles["boosting"].json("metrics.json")
    assert metrics["threshold"] == pytest.approx(1 / 31)
    assert metrics["recall_1"] == metrics["recall_at_threshold"]
    assert metrics["precision_1"] == metrics["precision_at_threshold"]


def test_the_card_has_calibration_and_fairness_by_gender_and_age(
    bundles: dict[str, Bundle], example: Example
) -> None:
    bundle = bundles["boosting"]
    assert set(bundle.json("fairness.json")) == {"code_gender", "age_band"}
    assert not {"code_gender", "age_band"} & set(example.project.schema.names)
    rows = bundle.json("metrics.json")["test_rows"]
    parts = [*bundle.json("fairness.json").values(), bundle.json("calibration.json")["bins"]]
    assert all(sum(part["rows"] for part in table) == rows for table in parts)
    card = bundle.read("card.md").decode()
    for line in ("## Calibration", "## Fairness", "| `code_gender` |", "These are no features"):
        assert line in card


def test_accuracy_is_no_gate_and_two_pairs_of_eyes_approve(example: Example) -> None:
    project = example.project
    rules = [str(gate) for gate in project.gates]
    assert not [rule for rule in rules if "accuracy" in rule]
    assert "average_precision not worse than production" in rules
    assert (project.policy, project.four_eyes) == ("manual", True)


def test_the_readmes_figures_are_those_of_the_bundles(bundles: dict[str, Bundle]) -> None:
    section = README[README.index("### On generated loans") :]
    for metric in ("roc_auc", "average_precision", "recall_at_precision", "brier", "accuracy"):
        line = re.search(rf"^\| `{metric}` \|(.*)\|$", section, re.MULTILINE)
        assert line is not None, metric
        figures = [float(text) for text in re.findall(r"\d\.\d+", line[1])]
        expected = [bundles[model].json("metrics.json")[metric] for model in MODELS]
        assert figures == pytest.approx(expected, abs=2e-3), metric


def test_the_readmes_requests_fit_the_declaration(example: Example) -> None:
    bodies = dict(re.findall(r"(/\w+) -H [^\n]*\n\s+-d '([^']+)'", README))
    assert set(bodies) == {"/predict", "/train"}
    assert len(RowValidator(example.project.schema).parse_rows(f"[{bodies['/predict']}]".encode()))
    request = TrainBodySchema(ProjectSpec.from_project(*load_project(CREDIT))).request(
        json.loads(bodies["/train"])
    )
    assert request["snapshot"] == 1
