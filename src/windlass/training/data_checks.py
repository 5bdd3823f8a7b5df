"""Checks a dataset and its split before a fit: leaks, copies, ids, groups, time, and texts that may mean missing."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from windlass.core.data_checks import DataChecks
from windlass.core.evaluation_rules import SplitRule
from windlass.core.project import Project
from windlass.errors import counted
from windlass.training.column_checks import check_columns
from windlass.training.column_scores import ScoredTarget, column_scores
from windlass.training.dataset import Dataset
from windlass.training.split import Split
from windlass.training.split_checks import (
    check_groups,
    check_repeated_rows,
    check_times,
    repeated_test_rows,
)

# spellings of a missing value that libraries write or read, in lower case
_MISSING_MARKERS = frozenset(
    {"na", "n/a", "#n/a", "<na>", "nan", "none", "null", "nil", "?", "-", "--", "n.a."}
)


def check_data(project: Project, dataset: Dataset, split: Split) -> DataChecks:
    """Check the rows of a training; the same data and split give the same result.

    A finding is accepted where the project names it in `accept`.
    """
    targets = ScoredTarget.from_arrays(
        project.target.predicted_truth(dataset.truth), dataset.labels
    )
    scores = column_scores(project.schema, dataset.batch, targets, split)
    repeated = repeated_test_rows(dataset.groups, split)
    rule = project.split or SplitRule()
    # rows of other groups or times are other cases, also where their columns are equal
    are_other_cases = rule.group is not None or rule.time is not None
    is_by_chance = dataset.equal_by_chance or are_other_cases
    findings = [
        *(() if is_by_chance else check_repeated_rows(repeated, split)),
        *check_columns(project, dataset, scores),
        *check_groups(project, dataset, split),
        *check_times(project, dataset, split),
    ]
    counts = np.bincount(dataset.groups)
    return DataChecks(
        rows=len(dataset),
        repeated_rows=int(counts[counts > 1].sum()),
        repeated_test_rows=repeated,
        equal_by_chance=dataset.equal_by_chance,
        column_scores=scores,
        findings=tuple(finding.accept(project.accept) for finding in findings),
    )


def missing_marker_warnings(project: Project, dataset: Dataset, split: Split) -> Iterator[str]:
    """Yield a warning for each text column that takes a typical missing marker for a category of the training rows."""
    schema, batch = project.schema, dataset.batch
    for index, column in enumerate(schema.text):
        if column.categories is not None:
            continue  # declared
        counts = Counter(batch.text[split.train, index].tolist())
        markers = {
            text: rows
            for text, rows in sorted(counts.items())
            if text.strip().lower() in _MISSING_MARKERS
        }
        if markers:
            cells = " and ".join(
                f"{text!r} as a category in {counted(rows, 'row')}"
                for text, rows in markers.items()
            )
            texts = ", ".join(f'"{text}"' for text in dict.fromkeys((*schema.missing, *markers)))
            optional = "" if column.nullable else f", and {column.name} as str | None,"
            yield (
                f"Column {column.name} holds {cells}: declare {schema.title}(Row, missing=[{texts}]){optional} if"
                " it means missing."
            )
