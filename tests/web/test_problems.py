"""Problems as documents, and as exceptions."""

from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import pytest

from windlass.web.problems import Problem


def test_a_problem_is_a_document_with_members_of_its_own() -> None:
    problem = Problem(422, "No.", [{"loc": ["C"], "msg": "Too small."}], facts={"job_id": "7"})
    assert orjson.loads(problem.body("an-id")) == {
        "type": "about:blank",
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "No.",
        "instance": "urn:windlass:request:an-id",
        "errors": [{"loc": ["C"], "msg": "Too small."}],
        "job_id": "7",
    }


def test_a_problem_passes_through_a_context() -> None:
    @contextmanager
    def context() -> Iterator[None]:
        yield

    with pytest.raises(Problem), context():
        raise Problem(404, "There is nothing here.")
