"""What a project declares about its evaluation: splits by columns, weights of rows, and metrics of its own."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss, median_absolute_error
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.support.points_project import Plain
from xgboost import XGBClassifier

from windlass.core.evaluation_rules import ColumnSplit, GroupSplit, Metric, TimeSplit
from windlass.core.gates import Gate, NotWorse
from windlass.core.progress import ignore_progress
from windlass.core.project import Candidate, Project
from windlass.core.targets.quantity import Quantity
from windlass.errors import DataError, ParameterError, ProjectError
from windlass.training.plan import TrainingPlan, TrainingRequest, resolve_plan
from windlass.training.run import TrainingRun, run_training

Make = Callable[..., Project]
START = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - some tables have no zones
COUNT = 240


@pytest.fixture
def table() -> dict[str, Any]:
    random = np.random.default_rng(4)
    x = random.uniform(0, 100, COUNT)
    kinds = np.where(x + random.normal(0, 20, COUNT) > 50, "b", "a")
    return {
        "x": x.tolist(),
        "n": list(range(COUNT)),
        "colour": ["red"] * COUNT,
        "kind": kinds.tolist(),
        "amount": (3 * x).tolist(),
        "person": [f"P{i % 60}" for i in range(COUNT)],
        "at": [START + timedelta(hours=i // 2) for i in range(COUNT)],
        "part": ["train"] * 150 + ["validation"] * 40 + ["test"] * 50,
        "weight": [float(i % 3) for i in range(COUNT)],
    }


def train(project_of: Make, table: Any, estimator: Any, **declared: Any) -> TrainingRun:
    class Model(Candidate, name="model"):
        def build(self, seed: int) -> Any:
            return estimator

    project = project_of(table, candidates=[Model], **declared)
    plan: TrainingPlan = resolve_plan(project, TrainingRequest(artifacts=None))  # type: ignore[arg-type]
    return run_training(project, plan, ignore_progress)


def numbers() -> Any:
    """A logistic regression of the numbers."""
    from sklearn.compose import make_column_transformer

    columns = make_column_transformer((StandardScaler(), ["x"]))
    return make_pipeline(columns, LogisticRegression())


def test_groups_are_on_one_side(project_of: Make, table: Any) -> None:
    run = train(project_of, table, numbers(), split=GroupSplit("person"))
    people = np.array(table["person"])
    sides = [set(people[part].tolist()) for part in (run.split.train, run.split.test)]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert len(run.split.train) + len(run.split.test) == COUNT


@pytest.mark.parametrize("zone", [None, timezone(timedelta(hours=-7))])
def test_test_rows_are_later_by_time_of_day(project_of: Make, table: Any, zone: Any) -> None:
    table["at"] = [at.replace(tzinfo=zone) for at in table["at"]]
    run = train(project_of, table, numbers(), split=TimeSplit("at"))
    times = np.array(table["at"])
    assert max(times[run.split.train]) < min(times[run.split.test])
    assert len(run.split.train) + len(run.split.test) == COUNT
    assert len(run.split.test) == 48  # a fifth, and both rows of one hour on one side


def test_times_as_text_are_read_as_times(project_of: Make, table: Any) -> None:
    table["at"] = [at.isoformat() for at in table["at"]]
    run = train(project_of, table, numbers(), split=TimeSplit("at"))
    assert len(run.split.test) == 48
    table["at"][7] = "yesterday"
    with pytest.raises(DataError, match=r"'at' of project .* cannot be read as dates or times"):
        train(project_of, table, numbers(), split=TimeSplit("at"))


def test_a_column_says_which_rows_test_and_validate(project_of: Make, table: Any) -> None:
    split = ColumnSplit("part")
    run = train(project_of, table, numbers(), split=split)
    assert run.split.train.tolist() == list(range(190))
    assert run.split.test.tolist() == list(range(190, COUNT))
    booster = XGBClassifier(n_estimators=50, early_stopping_rounds=3)
    stopped = train(project_of, table, make_pipeline(_select(), booster), split=split)
    assert stopped.split.train.tolist() == list(range(150))
    assert stopped.split.validation.tolist() == list(range(150, 190))


def _select() -> Any:
    from sklearn.compose import make_column_transformer

    return make_column_transformer(("passthrough", ["x"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({5: "Test"}, "holds 'Test'. It may hold 'train', 'test', 'validation'"),
        ({5: None}, "is missing in 1 of 240 rows"),
        (dict.fromkeys(range(COUNT), "train"), "says 'test' for 0 rows"),
    ],
)
def test_a_column_that_says_something_else_is_refused(
    project_of: Make, table: Any, change: dict[int, Any], message: str
) -> None:
    for row, part in change.items():
        table["part"][row] = part
    with pytest.raises(DataError, match=message):
        train(project_of, table, numbers(), split=ColumnSplit("part"))


def test_weights_reach_the_fit_and_the_digest_but_not_the_metrics(
    project_of: Make, table: Any
) -> None:
    plain = train(project_of, table, numbers())
    weighted = train(project_of, table, numbers(), sample_weight="weight")
    rows = weighted.dataset.frame.iloc[weighted.split.train]
    weights = np.array(table["weight"])[weighted.split.train]
    again = numbers().fit(
        rows,
        np.array(table["kind"])[weighted.split.train],
        logisticregression__sample_weight=weights,
    )
    assert np.array_equal(again[-1].coef_, weighted.estimator[-1].coef_)
    assert not np.array_equal(plain.estimator[-1].coef_, weighted.estimator[-1].coef_)
    assert weighted.evaluation.metrics["test_rows"] == 48
    assert weighted.dataset.digest != plain.dataset.digest


@pytest.mark.parametrize(
    ("weight", "message"),
    [(-1.0, "row 3 .* has -1.0"), (float("inf"), "row 3 .* has inf"), (None, "is missing in 1 of")],
)
def test_weights_that_cannot_be_used_are_refused(
    project_of: Make, table: Any, weight: Any, message: str
) -> None:
    table["weight"][3] = weight
    with pytest.raises(DataError, match=message):
        train(project_of, table, numbers(), sample_weight="weight")
    table["weight"] = [0.0] * COUNT
    with pytest.raises(DataError, match="all are 0"):
        train(project_of, table, numbers(), sample_weight="weight")


def test_an_estimator_without_weights_is_refused(project_of: Make, table: Any) -> None:
    neighbors = make_pipeline(_select(), KNeighborsClassifier())
    with pytest.raises(ParameterError, match="KNeighborsClassifier takes no weights"):
        train(project_of, table, neighbors, sample_weight="weight")


def test_metrics_of_the_project_are_measured_and_gated(project_of: Make, table: Any) -> None:
    metrics = [
        Metric("balanced_accuracy", balanced_accuracy_score),
        Metric("own_loss", log_loss, greater_is_better=False, response="predict_proba"),
    ]
    gates = [Gate("balanced_accuracy", at_least=0.5)]
    run = train(project_of, table, numbers(), metrics=metrics, gates=gates)
    measured = run.evaluation.metrics
    matrix = np.array(run.evaluation.confusion["matrix"])  # type: ignore[index]
    assert measured["balanced_accuracy"] == pytest.approx(
        np.mean(np.diag(matrix) / matrix.sum(axis=1))
    )
    assert measured["own_loss"] == pytest.approx(measured["log_loss"])


def test_a_metric_of_a_regression(project_of: Make, table: Any) -> None:
    run = train(
        project_of,
        table,
        make_pipeline(_select(), LinearRegression()),
        target=Quantity("amount"),
        metrics=[Metric("median_error", median_absolute_error, greater_is_better=False)],
    )
    assert run.evaluation.metrics["median_error"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda truth, predicted: 1 / 0, "'own' of project 'points' failed: ZeroDivisionError"),
        (lambda truth, predicted: float("nan"), "Metric own is nan"),
        (lambda truth, predicted: "good", "'own' of project 'points' failed: ValueError"),
    ],
)
def test_a_metric_that_fails_names_itself(
    project_of: Make, table: Any, function: Any, message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        train(project_of, table, numbers(), metrics=[Metric("own", function)])


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"metrics": [Metric("accuracy", max)]}, "'accuracy' twice"),
        ({"metrics": [Metric("own", max)], "gates": [NotWorse("own")]}, "metric of its own"),
        ({"gates": [Gate("own", at_least=1)]}, "not measured"),
        ({"sample_weight": "x"}, "also its target or a column"),
        ({"split": ColumnSplit("part"), "validation": 0.2}, "leave validation= out"),
        ({"split": "person"}, "GroupSplit"),
    ],
)
def test_declarations_that_cannot_work(
    project_of: Make, table: Any, declared: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProjectError, match=message):
        project_of(table, candidates=[Plain], **declared)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Metric("a b", max),
        lambda: Metric("own", max, response="decision"),  # type: ignore[arg-type]
        lambda: ColumnSplit("part", test="train"),
    ],
)
def test_values_that_cannot_work(make: Callable[[], object]) -> None:
    with pytest.raises(ProjectError):
        make()
