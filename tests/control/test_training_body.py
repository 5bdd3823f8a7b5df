"""The body of `POST /train` of a project with a feature view: it may name a snapshot, and others may not."""

from typing import Any

import pytest
from tests.support.loan_view import PROJECT_VIEW

from windlass.control.train_request import TrainBodySchema, body_schema
from windlass.core.project_spec import CandidateSpec, ProjectSpec
from windlass.web.problems import Problem

PLAIN = ProjectSpec(
    name="loans",
    folder="/loans",
    models=(
        CandidateSpec(name="boosting", description="Trees.", hyperparameters={"properties": {}}),
    ),
)
VIEWED = PLAIN.model_copy(update={"view": PROJECT_VIEW})


@pytest.mark.parametrize(
    ("body", "expected"),
    [({"snapshot": 3}, 3), ({"snapshot": 3.0}, 3), ({"snapshot": None}, None), ({}, None)],
)
def test_a_snapshot_may_be_named(body: dict[str, Any], expected: int | None) -> None:
    request = TrainBodySchema(VIEWED).request(body)
    assert request.get("snapshot") == expected
    assert request["hyperparameters"] == {}


@pytest.mark.parametrize("snapshot", [0, -1, 1.5, "3", True, 2**60])
def test_what_is_no_number_of_a_snapshot_is_refused(snapshot: object) -> None:
    with pytest.raises(Problem) as caught:
        TrainBodySchema(VIEWED).request({"snapshot": snapshot})
    assert caught.value.status == 422
    assert "snapshot" in str(caught.value.errors)


def test_without_a_view_there_are_no_snapshots() -> None:
    with pytest.raises(Problem) as caught:
        TrainBodySchema(PLAIN).request({"snapshot": 3})
    assert caught.value.status == 422
    assert "There is an unknown field. The fields are:" in str(caught.value.errors)
    assert "snapshot" not in str(caught.value.errors)


def test_the_api_documents_it_where_there_is_a_view() -> None:
    for declaration, documented in ((PLAIN, False), (VIEWED, True)):
        (branch,) = body_schema(declaration, "#/x")["oneOf"]
        assert ("snapshot" in branch["properties"]) is documented
