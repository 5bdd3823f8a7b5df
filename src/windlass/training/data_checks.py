"""Checks a dataset and its split before a fit: leaks, copies, ids, groups and time."""

import numpy as np

from windlass.core.data_checks import DataChecks
from windlass.core.evaluation_rules import SplitRule
from windlass.core.project import Project
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
