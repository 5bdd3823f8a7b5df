"""Findings of the data checks: what makes the metrics of a version doubtful, and what of it a project accepts."""

import json
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, ValidationError

from windlass.core.bundle import Bundle
from windlass.core.gates import NO_FINDINGS, GateResult
from windlass.errors import IntegrityError, ProjectError

DATA_CHECKS_FILE = "data_checks.json"
CHECKS = (
    "duplicate_rows",
    "leaking_column",
    "target_copy",
    "target_name",
    "constant_column",
    "id_column",
    "group_overlap",
    "time_overlap",
)


class Finding(BaseModel):
    """Finding of a check: the column that it is about, if any, what was found, and what to do.

    `accepted` says whether the project accepts it by name.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    check: str
    column: str | None = None
    message: str
    accepted: bool = False

    @property
    def name(self) -> str:
        """The name that a project accepts it by: `duplicate_rows`, `id_column:loan_id`."""
        return self.check if self.column is None else f"{self.check}:{self.column}"

    def accept(self, names: Sequence[str]) -> "Finding":
        """Return the finding, accepted if `names` holds its name or its check."""
        return self.model_copy(update={"accepted": self.name in names or self.check in names})


class DataChecks(BaseModel):
    """Content of `data_checks.json`: the findings, and what they follow from.

    `repeated_rows` are the rows that equal another row, `repeated_test_rows` the test rows that equal a training
    row. `equal_by_chance` says that the columns are so coarse that equal rows are no copies. `column_scores` is how
    much of the target each column explains by itself, 0 to 1, out of sample.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    rows: int
    repeated_rows: int
    repeated_test_rows: int
    equal_by_chance: bool
    column_scores: dict[str, float] = {}
    findings: tuple[Finding, ...] = ()

    @property
    def open_findings(self) -> tuple[Finding, ...]:
        """The findings that the project does not accept."""
        return tuple(finding for finding in self.findings if not finding.accepted)


def evaluate_findings(checks: DataChecks) -> GateResult:
    """Return the result of the gate `NoFindings`: it passes where the project accepts every finding."""
    names = [finding.name for finding in checks.open_findings]
    return GateResult(NO_FINDINGS, float(len(names)), passed=not names, note=", ".join(names))


def require_finding_names(project: str, names: Iterable[str]) -> None:
    """Check that every name is a check, or a check and a column. Raises ProjectError."""
    for name in names:
        if not isinstance(name, str):
            raise ProjectError(
                f"Project {project!r} accepts {name!r}, which is not the name of a finding, such as"
                " 'duplicate_rows' or 'id_column:loan_id'."
            )
        check, colon, column = name.partition(":")
        if check not in CHECKS or (colon and not column):
            close = get_close_matches(check, CHECKS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close and check not in CHECKS else ""
            raise ProjectError(
                f"Project {project!r} accepts {name!r}, which no check finds.{hint} Checks are:"
                f" {', '.join(CHECKS)}; a column follows a colon, as in 'id_column:loan_id'."
            )


def read_data_checks(bundle: Bundle) -> DataChecks | None:
    """Read the data checks of a bundle; None for one that was sealed before there were any.

    Raises IntegrityError if the file is damaged.
    """
    if DATA_CHECKS_FILE not in bundle.manifest.files:
        return None
    try:
        return DataChecks.model_validate(bundle.json(DATA_CHECKS_FILE))
    except (ValidationError, json.JSONDecodeError) as error:
        raise IntegrityError(
            f"Bundle {bundle.path}: {DATA_CHECKS_FILE} is damaged. Restore the bundle, or train it again."
        ) from error
