from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from windlass.core.data_checks import DataChecks
from windlass.core.evaluation_rules import GroupSplit
from windlass.core.project import Project
from windlass.core.row import Row
from windlass.core.targets.classes import Classes
from windlass.core.targets.quantity import Quantity
from windlass.training.column_checks import is_id_name, is_named_like
from windlass.training.data_checks import check_data, missing_marker_warnings
from windlass.training.dataset import read_dataset
from windlass.training.split import Split, split

Make = Callable[..., Project]
ROWS = 400


def _table(rows: int = ROWS, seed: int = 0) -> dict[str, Any]:
    """Rows whose class depends on x by chance."""
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    kind = np.where(random.random(rows) < 1 / (1 + np.exp(-x)), "a", "b")
    return {"x": x, "kind": kind}


def _row(**columns: Any) -> type[Row]:
    return type("Sample", (Row,), {"__annotations__": columns})


def _check(
    make: Make, table: dict[str, Any], parts: Split | None = None, **declared: Any
) -> DataChecks:
    beside = ("kind", *declared.pop("beside", ()))
    columns = {name: float for name in table if name not in beside}
    columns |= declared.pop("columns", {})
    project = make(pd.DataFrame(table), row=_row(**columns), **declared)
    dataset = read_dataset(project)
    parts = parts or split(dataset, project.target, test_size=0.25, seed=1)
    return check_data(project, dataset, parts)


def _names(checks: DataChecks) -> list[str]:
    return [finding.name for finding in checks.findings]


def test_ordinary_data_has_no_findings(project_of: Make) -> None:
    checks = _check(project_of, _table())
    assert checks.findings == ()
    assert (checks.rows, checks.repeated_rows, checks.equal_by_chance) == (ROWS, 0, False)
    assert 0 < checks.column_scores["x"] < 0.8


@pytest.mark.parametrize("load", [load_iris, load_wine, load_breast_cancer, load_diabetes])
def test_real_data_is_not_called_a_leak(project_of: Make, load: Any) -> None:
    data = load(as_frame=True)
    names = [f"c{index}" for index in range(data.data.shape[1])]
    frame = data.data.set_axis(names, axis="columns")
    is_class = data.target.nunique() < 5
    labels = [str(label) for label in sorted(data.target.unique())]
    checks = _check(
        project_of,
        {**frame, "kind": data.target.astype(str) if is_class else data.target},
        target=Classes("kind", labels) if is_class else Quantity("kind"),
    )
    assert _names(checks) == []
    assert max(checks.column_scores.values()) < 0.96  # petal width has the most


def test_constant_pixels_are_constant_columns_and_nothing_else(project_of: Make) -> None:
    data = load_digits(as_frame=True)
    frame = data.data.set_axis([f"c{index}" for index in range(64)], axis="columns")
    frame = frame[["c0", "c20", "c32", "c36", "c39"]]
    checks = _check(
        project_of,
        {**frame, "kind": data.target.astype(str)},
        target=Classes("kind", list("0123456789")),
    )
    assert _names(checks) == [f"constant_column:{name}" for name in ("c0", "c32", "c39")]


def test_a_column_that_gives_the_class_away_is_a_leak(project_of: Make) -> None:
    table = _table()
    random = np.random.default_rng(1)
    is_a = table["kind"] == "a"
    table["closed_after"] = np.where(is_a, random.normal(size=ROWS), np.nan)  # missing says it all
    table["reason"] = np.where(is_a, random.choice(["late", "lost"], ROWS), "none")
    checks = _check(project_of, table, columns={"closed_after": float | None, "reason": str})
    assert _names(checks) == ["leaking_column:closed_after", "leaking_column:reason"]
    assert "avoids 100.0% of the mistakes" in checks.findings[0].message


def test_a_rare_class_is_given_away_too(project_of: Make) -> None:
    table = _table(20_000)
    table["kind"] = np.where(np.arange(20_000) % 250 == 7, "a", "b")
    table["flagged"] = (table["kind"] == "a") + np.random.default_rng(0).random(20_000) / 2
    assert _names(_check(project_of, table)) == ["leaking_column:flagged"]


def test_another_unit_or_a_logarithm_of_the_target_is_found(project_of: Make) -> None:
    random = np.random.default_rng(2)
    price = np.exp(random.normal(5, 2, ROWS))
    table = {
        "cents": price * 100, "log": np.log(price), "size": price * np.exp(random.normal(0, 1, ROWS)),
        "kind": price,
    }  # fmt: skip
    checks = _check(project_of, table, target=Quantity("kind"))
    assert _names(checks) == ["target_copy:cents", "leaking_column:log"]


def test_another_spelling_of_the_target_is_a_copy(project_of: Make) -> None:
    table = _table()
    table["code"] = np.where(table["kind"] == "a", "yes", "no")
    table["kind_flag"] = np.random.default_rng(0).random(ROWS)
    checks = _check(project_of, table, columns={"code": str})
    assert _names(checks) == ["target_name:kind_flag", "target_copy:code"]


@pytest.mark.parametrize(
    ("column", "target", "alike"),
    [
        ("churned", "Churn", True), ("is_churn", "churn", True), ("CHURN", "Churn", True),
        ("churn_flag", "churn", True), ("Churn Label", "Churn", True), ("income", "incomes", False),
        ("Loan_Amount", "Loan_Approval", False), ("temp_1", "temp", False), ("x2", "x", False),
        ("previous_default", "default", False), ("credit_score", "score", False), ("sex", "s", False),
    ],
)  # fmt: skip
def test_names_near_the_target(column: str, target: str, alike: bool) -> None:
    assert is_named_like(column, target) == alike


@pytest.mark.parametrize(
    ("name", "is_id"),
    [
        ("id", True), ("loan_id", True), ("CustomerID", True), ("customerId", True), ("Unnamed: 0", True),
        ("invoice_no", True), ("paid", False), ("Number_of_Open_Accounts", False), ("width", False),
    ],
)  # fmt: skip
def test_names_of_ids(name: str, is_id: bool) -> None:
    assert is_id_name(name) == is_id


def test_ids_are_found_and_measurements_are_not(project_of: Make) -> None:
    random = np.random.default_rng(4)
    table = _table()
    table["loan_id"] = random.choice(10**8, ROWS, replace=False)
    table["position"] = random.permutation(ROWS)
    table["income"] = random.choice(200_000, ROWS, replace=False)
    table["name"] = [f"client {index}" for index in range(ROWS)]
    table["note"] = [f"they asked for it on day {index}" for index in range(ROWS)]
    table["year"] = random.permutation(ROWS)
    integers = dict.fromkeys(["loan_id", "position", "income", "year"], int)
    checks = _check(project_of, table, columns={**integers, "name": str, "note": str})
    assert _names(checks) == ["id_column:loan_id", "id_column:position", "id_column:name"]


def test_equal_rows_on_both_sides_are_a_finding(project_of: Make) -> None:
    table = _table()
    copied = {name: np.concatenate([values, values[:40]]) for name, values in table.items()}
    by_hand = Split(np.arange(ROWS), np.arange(ROWS, ROWS + 40), method="declared")
    checks = _check(project_of, copied, by_hand)
    assert _names(checks) == ["duplicate_rows"]
    assert checks.repeated_test_rows == 40
    assert "40 of 40 test rows (100.0%) equal a training row" in checks.findings[0].message
    together = _check(project_of, copied)
    assert (together.findings, together.repeated_rows, together.repeated_test_rows) == ((), 80, 0)


def test_equal_rows_of_other_groups_are_other_cases(project_of: Make) -> None:
    table = _table()
    copied = {name: np.concatenate([values, values[:40]]) for name, values in table.items()}
    copied["shop"] = np.array(["old"] * ROWS + ["new"] * 40)
    by_hand = Split(np.arange(ROWS), np.arange(ROWS, ROWS + 40), method="declared")
    assert (
        _names(_check(project_of, copied, by_hand, split=GroupSplit("shop"), beside=["shop"])) == []
    )


def test_rows_that_are_equal_by_chance_are_no_finding(project_of: Make) -> None:
    table = _table()
    table["x"] = table["x"].round()
    checks = _check(project_of, table)
    assert checks.equal_by_chance
    assert checks.repeated_test_rows > 90
    assert checks.findings == ()


def test_clients_on_both_sides_are_a_finding_where_rows_are_split(project_of: Make) -> None:
    table = _table()
    table["client_id"] = np.random.default_rng(0).integers(0, 80, ROWS)
    for column in (
        table["client_id"],
        table["client_id"].astype(str),
        pd.Categorical(table["client_id"].astype(str)),
    ):
        checks = _check(project_of, table | {"client_id": column}, beside=["client_id"])
        assert _names(checks) == ["group_overlap:client_id"]
        assert "of 100 test rows (" in checks.findings[0].message
    is_first = table["client_id"] < 60
    groups = Split(np.flatnonzero(is_first), np.flatnonzero(~is_first), "declared")
    assert _names(_check(project_of, table, groups, beside=["client_id"])) == []
    stores = table | {"client_id": np.random.default_rng(0).integers(0, 5, ROWS)}
    assert _names(_check(project_of, stores, beside=["client_id"])) == []


@pytest.mark.parametrize("kind", ["date", "text", "time"])
def test_training_rows_that_are_later_than_test_rows_are_a_finding(
    project_of: Make, kind: str
) -> None:
    days = [date(2020, 1, 1) + timedelta(days=index) for index in range(ROWS)]
    values = {"date": days, "text": [str(day) for day in days], "time": pd.to_datetime(days)}[kind]
    table = _table() | {"sold_on": values, "birthday": values}
    checks = _check(project_of, table, beside=["sold_on", "birthday"])
    assert _names(checks) == ["time_overlap:sold_on"]
    in_time = Split(np.arange(300), np.arange(300, ROWS), "declared")
    assert _names(_check(project_of, table, in_time, beside=["sold_on", "birthday"])) == []
    births = {**_table(), "birthday": values}
    assert _names(_check(project_of, births, beside=["birthday"])) == []


def test_what_the_project_accepts_is_reported_as_accepted(project_of: Make) -> None:
    table = _table() | {"position": np.arange(ROWS)[::-1] % 7 * 0.0}
    checks = _check(project_of, table, accept=["constant_column:position"])
    assert [finding.accepted for finding in checks.findings] == [True]
    assert checks.open_findings == ()


def test_few_rows_have_no_scores(project_of: Make) -> None:
    table = {"x": np.arange(40.0) / 7, "kind": ["a"] * 20 + ["b"] * 20}
    checks = _check(project_of, table)
    assert (checks.column_scores, checks.findings) == ({}, ())


@pytest.mark.parametrize(
    ("marker", "warns"),
    [
        ("NA", True), ("n/a", True), ("None", True), ("nan", True), ("?", True), ("-", True), ("Nan", True),
        ("", False), ("nana", False), ("blue", False),
    ],
)  # fmt: skip
def test_a_category_that_may_mean_missing_is_a_warning(
    project_of: Make, table: dict[str, Any], marker: str, *, warns: bool
) -> None:
    table["colour"] = [marker or None if i % 2 else "red" for i in range(20)]
    project = project_of(table)
    half = Split(np.arange(10), np.arange(10, 20), "declared")
    expected = (
        f'Column colour holds {marker!r} as a category in 5 rows: declare Point(Row, missing=["{marker}"]) if it'
        " means missing."
    )
    warnings = list(missing_marker_warnings(project, read_dataset(project), half))
    assert warnings == ([expected] if warns else [])
