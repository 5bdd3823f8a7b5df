"""One training run in memory: reads the data, splits, fits with one seed, evaluates; writes no file."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from windlass.core.batch import Batch, Prediction
from windlass.core.bundle import BundleSchema, TargetRecord
from windlass.core.error_descriptions import describe_error
from windlass.core.holdout import Holdout
from windlass.core.progress import ProgressCallback
from windlass.core.project import Project
from windlass.core.target import Classes, Target
from windlass.errors import EngineError, ParameterError, counted
from windlass.training.dataset import Dataset, RowsReader, read_dataset
from windlass.training.evaluate import Evaluation, evaluate
from windlass.training.plan import TrainingPlan
from windlass.training.split import Split, row_identities, split, split_by_content, split_by_group

_ADVICE = (
    "Check the hyperparameters, and that build() copes with the missing values that the row allows."
)


@dataclass(frozen=True)
class TrainingRun:
    """Result of one training run: the fitted estimator, its evaluation, and the data of both."""

    project: Project
    plan: TrainingPlan
    dataset: Dataset
    split: Split
    estimator: Any
    evaluation: Evaluation
    holdout: Holdout
    warnings: tuple[str, ...]


def run_training(
    project: Project, plan: TrainingPlan, progress: ProgressCallback, rows: RowsReader | None = None
) -> TrainingRun:
    """Train and evaluate; `rows` reads the training rows of a feature view. Raises DataError, ParameterError."""
    progress(0.02, f"Reading the data of {project.name}")
    dataset = read_dataset(project, plan.data, rows)
    progress(0.1, f"Splitting {counted(len(dataset), 'row')}")
    split_rows = _split(project, plan, dataset)
    progress(0.12, f"Fitting {plan.candidate.name} to {counted(len(split_rows.train), 'row')}")
    estimator, fit_warnings = _fit(plan, dataset, split_rows, project.target)
    progress(0.5, f"Scoring on {counted(len(split_rows.test), 'row')}")
    test = dataset.batch.take(split_rows.test)
    prediction = predict(estimator, bundle_schema(project), test)
    evaluation = evaluate(project, dataset, split_rows, prediction)
    truth = dataset.target if dataset.labels is None else dataset.labels
    holdout = Holdout.from_arrays(
        row_identities(project, dataset, split_rows.test), truth[split_rows.test], prediction
    )
    return TrainingRun(
        project, plan, dataset, split_rows, estimator, evaluation, holdout, fit_warnings
    )


def predict(estimator: Any, schema: BundleSchema, batch: Batch) -> Prediction:
    """Return predictions of a fitted estimator, classes in declared order.

    Raises ParameterError where it fails, or predicts something that is not finite.
    """
    from windlass.engines.native import NativeEngine

    try:
        prediction = NativeEngine(estimator, schema).predict_all(batch)
    except EngineError as error:
        raise ParameterError(f"{_first_line(error)} {_ADVICE}") from error
    finite = prediction.finite_rows()
    if not finite.all():
        raise ParameterError(
            f"The fitted model predicts NaN or infinity for {np.count_nonzero(~finite)} of"
            f" {counted(len(batch), 'row')}. Choose other hyperparameters, or scale the inputs in build()."
        )
    return prediction


def bundle_schema(project: Project) -> BundleSchema:
    """Return the row and target that `schema.json` holds."""
    target = project.target
    if isinstance(target, Classes):
        record = TargetRecord(name=target.name, classes=target.labels)
    else:
        record = TargetRecord(name=target.name, unit=target.unit)
    return BundleSchema(row=project.schema, target=record)


def _split(project: Project, plan: TrainingPlan, dataset: Dataset) -> Split:
    """Split by group and time if the project declares it, by content if it compares versions, else by the seed."""
    size = plan.test_size
    if project.split is not None:
        return split_by_group(dataset, project.split, project.target, test_size=size)
    if project.comparisons:
        return split_by_content(dataset, project.schema, project.target, test_size=size)
    return split(dataset, project.target, test_size=size, seed=plan.seed)


def _fit(
    plan: TrainingPlan, dataset: Dataset, split_rows: Split, target: Target
) -> tuple[Any, tuple[str, ...]]:
    """Return the fitted estimator and its warnings, each once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator = plan.candidate.build(plan.seed)
            fitted = estimator.fit(
                dataset.frame.iloc[split_rows.train], dataset.target[split_rows.train]
            )
        except (Exception, SystemExit) as error:
            raise ParameterError(
                f"Fitting model {plan.candidate.name} failed: {describe_error(error)}. {_ADVICE}"
            ) from error
    if isinstance(target, Classes) and not hasattr(fitted, "predict_proba"):
        raise ParameterError(
            f"Model {plan.candidate.name} has no predict_proba, so it gives no probabilities."
            " Wrap its classifier in sklearn.calibration.CalibratedClassifierCV in build()."
        )
    messages = dict.fromkeys(_first_line(item.message) for item in caught)
    return fitted, tuple(messages)


def _first_line(message: object) -> str:
    lines = str(message).strip().splitlines()
    return lines[0].strip() if lines else "no message."
