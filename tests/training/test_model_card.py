import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.support.paths import IRIS, project_folder

from windlass.core.bundle import EngineRecord, EquivalenceRecord, GateRecord
from windlass.core.evaluation_rules import CostMatrix, GroupTimeSplit
from windlass.core.progress import ignore_progress
from windlass.core.project import Project
from windlass.core.project_loader import load_project
from windlass.core.row import Row
from windlass.training.model_card import render_model_card
from windlass.training.plan import TrainingRequest, resolve_plan
from windlass.training.run import TrainingRun, run_training


class Number(Row):
    x: float


EQUAL = EquivalenceRecord(rows=5000, max_difference=1e-9, labels_changed=0, tolerance=1e-6)


def _run(folder: Path) -> TrainingRun:
    project, _ = load_project(folder)
    return run_training(project, resolve_plan(project, TrainingRequest(Path())), ignore_progress)


def test_a_card_has_the_model_the_data_and_the_metrics() -> None:
    run = _run(IRIS)
    gate = GateRecord(rule="accuracy >= 0.99", value=0.9333, passed=False)
    text = render_model_card(run, EngineRecord(name="onnx", equality=EQUAL), [gate])
    for line in (
        "# iris",
        "**Model:** logreg (C = 1.0). Logistic regression on standardised measurements.",
        f"Digest of the data: `{run.dataset.digest}`.",
        "| petal_width | number | ≥ 0.1, ≤ 15, in cm | Width of the petal |",
        "| accuracy | 0.9333 |",
        "| accuracy_low | 0.7868 |",
        "| True \\ predicted | setosa | versicolor | virginica |",
        "| accuracy >= 0.99 | 0.9333 | FAILED |",
        "on 5,000 rows: largest difference 1e-09",
    ):
        assert line in text
    assert not re.search(r"\n\n\n", text)


@pytest.mark.parametrize("name", ["mixed", "diabetes"])
def test_every_kind_of_project_has_a_card(name: str) -> None:
    run = _run(project_folder(name))
    text = render_model_card(run, EngineRecord(name="native", reason="No converter."), [])
    assert "Served by: native. No converter." in text
    assert "The project declares none." in text
    assert ("## Confusion matrix" in text) == (name == "mixed")
    assert ("The positive class is true." in text) == (name == "mixed")


def test_a_card_has_the_split_by_group_fairness_and_calibration(
    project_of: Callable[..., Project],
) -> None:
    random = np.random.default_rng(1)
    x = random.uniform(0, 100, 2000)
    table = {
        "x": x,
        "n": [1] * 2000,
        "colour": random.choice(["red", "blue"], 2000),
        "kind": np.where(random.random(2000) < x / 500, "a", "b"),
        "person": random.integers(0, 300, 2000).astype(str),
        "day": np.datetime64("2020-01-01") + random.integers(0, 300, 2000),
        "gender": random.choice(["F", "M"], 2000),
    }
    project = project_of(
        pd.DataFrame(table),
        row=Number,
        split=GroupTimeSplit("person", "day"),
        slices=["gender"],
        costs=CostMatrix(false_negative=5, false_positive=1),
    )
    run = run_training(
        project, resolve_plan(project, TrainingRequest(Path(), test_size=0.4)), ignore_progress
    )
    text = render_model_card(run, EngineRecord(name="onnx", equality=EQUAL), [])
    for line in (
        "split by `person` and `day`: the test rows are of other groups than the training rows, and later;",
        "## Calibration",
        "| Predicted probability | Rows | Mean | Observed, with its 95% interval |",
        "## Fairness\n\nHow rows are treated by `gender`. These are no features",
        "| `gender` | Rows | Base rate |",
        f"| threshold | {1 / 6:.4g} |",
    ):
        assert line in text
    assert run.evaluation.fairness is not None
    for part in run.evaluation.fairness["gender"]:
        assert f"| {part['value']} | {part['rows']} | {part['base_rate']:.4f} |" in text
