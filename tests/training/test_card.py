import re
from pathlib import Path

import pytest

from windlass.core.bundle import EngineRecord, Equality, GateRecord
from windlass.core.loading import load_project
from windlass.training.card import card
from windlass.training.request import TrainingRequest, resolve, silent
from windlass.training.run import Run, execute

ROOT = Path(__file__).parents[2]
EQUAL = Equality(rows=5000, max_difference=1e-9, labels_changed=0, tolerance=1e-6)


def _run(folder: Path) -> Run:
    project, _ = load_project(folder)
    return execute(project, resolve(project, TrainingRequest(Path())), silent)


def test_a_card_says_what_was_trained_on_what_and_how_good_it_is() -> None:
    run = _run(ROOT / "examples" / "iris")
    gate = GateRecord(rule="accuracy >= 0.99", value=0.9333, passed=False)
    text = card(run, EngineRecord(name="onnx", equality=EQUAL), [gate])
    for line in (
        "# iris",
        "**Model:** logreg (C = 1.0). Logistic regression on standardised measurements.",
        f"Digest of the data: `{run.dataset.digest}`.",
        "| petal_width | number | ≥ 0.1, ≤ 15, in cm | Width of the petal |",
        "| accuracy | 0.9333 |",
        "| accuracy_low | 0.7868 |",
        "| True \\ predicted | setosa | versicolor | virginica |",
        "| accuracy >= 0.99 | 0.9333 | FAILED |",
        "on 5000 rows: largest difference 1e-09",
    ):
        assert line in text
    assert not re.search(r"\n\n\n", text)


@pytest.mark.parametrize("name", ["mixed", "diabetes"])
def test_every_kind_of_project_has_a_card(name: str) -> None:
    run = _run(ROOT / "tests" / "projects" / name)
    text = card(run, EngineRecord(name="native", reason="No converter."), [])
    assert "Served by: native. No converter." in text
    assert "The project declares none." in text
    assert ("## Confusion matrix" in text) == (name == "mixed")
    assert ("The positive class is true." in text) == (name == "mixed")
