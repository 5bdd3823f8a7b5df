"""Old names of the public API still work, and say what they are called now."""

from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.loan_view import PROJECT_VIEW, VIEW

import windlass
from windlass import Candidate, Classes, CostMatrix, FeatureView, Project, Row, YearsSince
from windlass.core.feature_view import ViewRecord

OLD_VIEW = """
def history(events):
    return events
"""
STORED = {  # as 0.1 wrote it to the registry's database
    "name": "clients",
    "version": "8e5ae7149af1",
    "entity": "id",
    "time": "loan_date",
    "key": "loan_id",
    "features": ["loans", "age"],
    "at_request": {"age": {"kind": "years_since", "column": "birthday"}},
    "ttl_days": 30.0,
    "max_age_seconds": 21600.0,
}


class Point(Row):
    x: float


class Plain(Candidate):
    def build(self, seed: int) -> Any:
        return None


def view_of(**arguments: Any) -> FeatureView:
    return FeatureView(name="clients", entity="id", contract=dict, **arguments)


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ("time", "timestamp", "day"),
        ("key", "event_id", "loan"),
        ("history", "transform", print),
        ("first", "defaults", {"loans": 0}),
        ("asked", "request_columns", ("birthday",)),
        ("most_faults", "max_invalid_share", 0.5),
    ],
)
def test_old_names_of_a_feature_view(old: str, new: str, value: Any) -> None:
    rest = {"timestamp": "loan_date", "event_id": "loan_id", "transform": repr}
    rest.pop(new, None)
    with pytest.warns(DeprecationWarning, match=rf"FeatureView\({old}=…\) is now called {new}=…"):
        view = view_of(**rest, **{old: value})
    assert getattr(view, new) == value
    assert view == view_of(**rest, **{new: value})
    with pytest.warns(DeprecationWarning, match=rf"FeatureView\.{old} is now called {new}"):
        assert getattr(view, old) == value


@pytest.mark.parametrize(
    ("old", "new"), [("missed", "false_negative"), ("alarm", "false_positive")]
)
def test_old_names_of_costs(old: str, new: str) -> None:
    costs = {"false_negative": 20.0, "false_positive": 1.0}
    value = costs[new]
    with pytest.warns(DeprecationWarning, match=rf"CostMatrix\({old}=…\) is now called {new}=…"):
        matrix = CostMatrix(
            **{name: cost for name, cost in costs.items() if name != new}, **{old: value}
        )
    assert matrix == CostMatrix(**costs)
    with pytest.warns(DeprecationWarning, match=rf"CostMatrix\.{old} is now called {new}"):
        assert getattr(matrix, old) == value


def test_old_names_of_a_project() -> None:
    costs = CostMatrix(20, 1)
    arguments: dict[str, Any] = {
        "name": "points",
        "row": Point,
        "target": Classes("y", ["a", "b"]),
        "data": dict,
        "candidates": [Plain],
        "slices": ["city"],
    }
    with pytest.warns(DeprecationWarning, match=r"Project\(stakes=…\) is now called costs=…"):
        project = Project(**arguments, stakes=costs)  # type: ignore[call-arg]
    assert project == Project(**arguments, costs=costs)
    for old, new in (("stakes", "costs"), ("aside", "extra_columns"), ("features", "view_record")):
        with pytest.warns(DeprecationWarning, match=rf"Project\.{old} is now called {new}"):
            assert getattr(project, old) == getattr(project, new)


def test_the_old_name_of_a_class() -> None:
    with pytest.warns(DeprecationWarning, match=r"windlass\.Stakes is now called CostMatrix"):
        from windlass import Stakes
    assert Stakes is CostMatrix
    assert "Stakes" not in windlass.__all__


def test_a_warning_names_the_line_of_the_caller() -> None:
    with pytest.warns(DeprecationWarning, match="missed") as caught:
        assert CostMatrix(missed=1, false_positive=1).missed == 1  # type: ignore[call-arg, attr-defined]
    assert {warning.filename for warning in caught} == {__file__}


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(
        TypeError, match="'missed' and 'false_negative', which are the same argument"
    ):
        CostMatrix(missed=1, false_negative=1, false_positive=1)  # type: ignore[call-arg]


def test_old_names_are_no_fields() -> None:
    names = {field.name for field in fields(FeatureView)}
    assert not names & {"time", "key", "history", "first", "asked", "most_faults"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'stake'"):
        view_of(timestamp="day", event_id="loan", transform=print, stake=1)


def test_an_unchanged_view_keeps_its_version_and_its_stored_form(tmp_path: Path) -> None:
    """The version pinned here was computed by 0.1, from a file with this content."""
    file = tmp_path / "features.py"
    file.write_text(OLD_VIEW[1:])
    namespace: dict[str, Any] = {}
    exec(compile(file.read_text(), file, "exec"), namespace)
    view = view_of(
        timestamp="loan_date",
        event_id="loan_id",
        transform=namespace["history"],
        at_request={"age": YearsSince("birthday")},
        defaults={"loans": 0},
        request_columns=("birthday",),
        ttl=timedelta(days=30),
        max_age=timedelta(hours=6),
    )
    record = view.record(("loans", "age"))
    assert record.model_dump(mode="json") == STORED
    assert ViewRecord.model_validate(STORED) == record
    assert ViewRecord.model_validate_json(record.model_dump_json()) == record


def test_a_stored_view_has_the_field_names_of_0_1() -> None:
    stored = PROJECT_VIEW.model_dump(mode="json")
    assert (stored["time"], stored["key"]) == (VIEW.timestamp, VIEW.event_id)
