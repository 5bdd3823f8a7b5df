from typing import Any

import pytest

from windlass.core.data_checks import DataChecks, Finding, evaluate_findings, require_finding_names
from windlass.core.gates import NO_FINDINGS, NoFindings
from windlass.errors import ProjectError

ID = Finding(check="id_column", column="loan_id", message="An id.")
COPIES = Finding(check="duplicate_rows", message="Copies.")


def _checks(*findings: Finding) -> DataChecks:
    return DataChecks(
        rows=9, repeated_rows=0, repeated_test_rows=0, equal_by_chance=False, findings=findings
    )


@pytest.mark.parametrize(
    ("names", "open_names"),
    [
        ([], ["id_column:loan_id", "duplicate_rows"]),
        (["id_column"], ["duplicate_rows"]),
        (["id_column:loan_id", "duplicate_rows"], []),
        (["id_column:other"], ["id_column:loan_id", "duplicate_rows"]),
    ],
)
def test_a_finding_is_accepted_by_its_name_or_its_check(
    names: list[str], open_names: list[str]
) -> None:
    checks = _checks(*(finding.accept(names) for finding in (ID, COPIES)))
    assert [finding.name for finding in checks.open_findings] == open_names
    result = evaluate_findings(checks)
    assert (result.rule, result.passed) == (NO_FINDINGS, not open_names)
    assert result.note == ", ".join(open_names)
    assert str(NoFindings()) == result.rule


@pytest.mark.parametrize("name", ["id_colum", "id_column:", ":x", "", 3])
def test_what_no_check_finds_cannot_be_accepted(name: Any) -> None:
    with pytest.raises(ProjectError, match="Project 'points' accepts"):
        require_finding_names("points", ["duplicate_rows", name])


def test_a_misspelt_check_is_answered_with_the_right_one() -> None:
    with pytest.raises(ProjectError, match=r"Did you mean 'id_column'\?"):
        require_finding_names("points", ["id_colum:x"])
