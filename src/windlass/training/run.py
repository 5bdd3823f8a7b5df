"""One training run in memory: reads the data, splits, fits with one seed, evaluates; writes no file."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import BundleSchema
from windlass.core.data_checks import DataChecks
from windlass.core.evaluation_rules import GroupSplit
from windlass.core.holdout import Holdout
from windlass.core.progress import ProgressCallback
from windlass.core.project import Project
from windlass.core.targets.target import Target
from windlass.errors import EngineError, ParameterError, counted
from windlass.training.data_checks import check_data, missing_marker_warnings
from windlass.training.dataset import Dataset, RowsReader, read_dataset
from windlass.training.declared_split import row_identities, split_by_rule
from windlass.training.evaluate import Evaluation, evaluate
from windlass.training.fit import ADVICE, best_iteration, first_line, fit_candidate
from windlass.training.plan import TrainingPlan
from windlass.training.split import Split, split, split_by_content


@dataclass(frozen=True)
class TrainingRun:
    """Result of one training run: the fitted estimator, its evaluation, the data of both and its checks.

    `target` is the project's, with what it took from the fitted estimator.
    """

    project: Project
    plan: TrainingPlan
    target: Target
    dataset: Dataset
    split: Split
    estimator: Any
    evaluation: Evaluation
    holdout: Holdout
    warnings: tuple[str, ...]
    checks: DataChecks

    @property
    def schema(self) -> BundleSchema:
        """The row and target that `schema.json` holds."""
        return BundleSchema(row=self.project.schema, target=self.target.record())


def run_training(
    project: Project, plan: TrainingPlan, progress: ProgressCallback, rows: RowsReader | None = None
) -> TrainingRun:
    """Train and evaluate; `rows` reads the training rows of a feature view. Raises DataError, ParameterError."""
    progress(0.02, f"Reading the data of {project.name}")
    dataset = read_dataset(project, plan.data, rows)
    ignored = dataset.undeclared.column_names
    if ignored:
        progress(0.09, f"Ignoring what the row does not declare: {', '.join(ignored)}")
    progress(0.1, f"Splitting {counted(len(dataset), 'row')}")
    split_rows = _split(project, plan, dataset)
    progress(0.11, "Checking the data for leaks and duplicates")
    checks = check_data(project, dataset, split_rows)
    progress(0.12, f"Fitting {plan.candidate.name} to {counted(len(split_rows.train), 'row')}")
    fitted = fit_candidate(project, plan, dataset, split_rows)
    estimator, split_rows = fitted.estimator, fitted.split
    progress(0.5, f"Scoring on {counted(len(split_rows.test), 'row')}")
    test = dataset.batch.take(split_rows.test)
    schema = BundleSchema(row=project.schema, target=project.target.record())
    target = project.target.learn(
        estimator, lambda: predict(estimator, schema, dataset.batch.take(split_rows.train))
    )
    prediction = predict(estimator, schema, test)
    evaluation = evaluate(project, dataset, split_rows, prediction, target)
    if len(split_rows.validation):
        evaluation.metrics.update(validation_rows=len(split_rows.validation))
        evaluation.metrics.update(best_iteration=best_iteration(estimator) or 0)
    holdout = Holdout.from_arrays(
        row_identities(project, dataset, split_rows.test),
        dataset.truth[split_rows.test],
        prediction,
    )
    return TrainingRun(
        project,
        plan,
        target,
        dataset,
        split_rows,
        estimator,
        evaluation,
        holdout,
        (*missing_marker_warnings(project, dataset, split_rows), *fitted.warnings),
        checks,
    )


def predict(estimator: Any, schema: BundleSchema, batch: Batch) -> Prediction:
    """Return predictions of a fitted estimator, classes in declared order.

    Raises ParameterError where it fails, or predicts something that is not finite.
    """
    from windlass.engines.native import NativeEngine

    try:
        prediction = NativeEngine(estimator, schema).predict_all(batch)
    except EngineError as error:
        raise ParameterError(f"{first_line(error)} {ADVICE}") from error
    finite = prediction.finite_rows()
    if not finite.all():
        raise ParameterError(
            f"The fitted model predicts NaN or infinity for {np.count_nonzero(~finite)} of"
            f" {counted(len(batch), 'row')}. Choose other hyperparameters, or scale the inputs in build()."
        )
    return prediction


def _split(project: Project, plan: TrainingPlan, dataset: Dataset) -> Split:
    """Split by declared columns, or the groups of a ranking, by content if versions are compared, else by the seed."""
    size, rule, group = plan.test_size, project.split, project.target.group
    if rule is None and group is not None:
        rule = GroupSplit(group)
    if rule is not None:
        return split_by_rule(dataset, rule, project.target, test_size=size)
    if project.comparisons:
        return split_by_content(dataset, project.schema, project.target, test_size=size)
    return split(dataset, project.target, test_size=size, seed=plan.seed)
