"""Builds a candidate's estimator and fits it, with rows to validate on where a booster stops early."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from windlass.core.compared_metrics import Truth
from windlass.core.error_descriptions import describe_error
from windlass.core.evaluation_rules import ColumnSplit
from windlass.core.project import Project
from windlass.core.targets.target import Encode
from windlass.errors import ParameterError
from windlass.training.dataset import Dataset
from windlass.training.declared_split import hold_out_declared_validation
from windlass.training.plan import TrainingPlan
from windlass.training.split import Split, hold_out_validation

ADVICE = (
    "Check the hyperparameters, and that build() copes with the missing values that the row allows."
)


@dataclass(frozen=True)
class FittedCandidate:
    """A fitted estimator, the split with the rows that it was validated on, and the warnings of the fit, each once."""

    estimator: Any
    split: Split
    warnings: tuple[str, ...]


def fit_candidate(
    project: Project, plan: TrainingPlan, dataset: Dataset, split: Split
) -> FittedCandidate:
    """Build and fit the candidate of a plan to the training rows. Raises ParameterError."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator = _build(plan)
            parts = estimator.values() if isinstance(estimator, Mapping) else [estimator]
            stops_early = [_require_validation(project, plan, part) for part in parts]
            if any(stops_early):
                declared = split.method == "declared"
                hold_out = hold_out_declared_validation if declared else hold_out_validation
                split = hold_out(split, project, dataset, plan)
            train = split.train[project.target.fit_order(dataset.truth[split.train])]
            fit_one = partial(_fit, dataset, replace(split, train=train))
            fitted = project.target.fit(estimator, fit_one)
        except ParameterError:
            raise
        except (Exception, SystemExit) as error:
            raise ParameterError(
                f"Fitting model {plan.candidate.name} failed: {describe_error(error)}. {ADVICE}"
            ) from error
    project.target.check_fitted(fitted, plan.candidate.name)
    messages = dict.fromkeys(first_line(item.message) for item in caught)
    return FittedCandidate(fitted, split, tuple(messages))


def best_iteration(estimator: Any) -> int | None:
    """Return the iteration, from 0, at which a booster at the end of a pipeline stopped; None for others."""
    number = getattr(_last_step(estimator), "best_iteration_", None)
    return None if number is None else int(number)


def _build(plan: TrainingPlan) -> Any:
    from windlass.engines.boosters import encode_boosters

    built = plan.candidate.build(plan.seed)
    if isinstance(built, Mapping):
        return {key: encode_boosters(each) for key, each in built.items()}
    return encode_boosters(built)


def _require_validation(project: Project, plan: TrainingPlan, estimator: Any) -> bool:
    """Return whether a booster stops early. Raises ParameterError where it has no rows to validate on."""
    from windlass.engines.boosters import early_stopping

    options = early_stopping(estimator)
    if not options:
        return False
    name, option = next(iter(options.items()))
    label = f"Model {plan.candidate.name} stops early ({option})"
    if project.validation is None and not isinstance(project.split, ColumnSplit):
        raise ParameterError(
            f"{label}, which needs rows to validate on. Declare a share of the training rows for it,"
            f" Project(validation=0.15), or leave {option} out of build()."
        )
    steps = getattr(estimator, "steps", None)
    if _last_step(estimator) is not _nested(estimator, name) or (
        steps is not None and any(hasattr(step, "fit_resample") for _, step in steps)
    ):
        raise ParameterError(
            f"{label} inside {type(estimator).__name__}, which cannot pass rows to validate on. Early stopping"
            f" works for a booster alone, or as the last step of a Pipeline: leave {option} out of build()."
        )
    return True


def _nested(estimator: Any, name: str) -> Any:
    return estimator.get_params(deep=True)[name] if name else estimator


def _last_step(estimator: Any) -> Any:
    steps = getattr(estimator, "steps", None)
    return steps[-1][1] if steps else estimator


def _fit(
    dataset: Dataset,
    split: Split,
    estimator: Any,
    encode: Encode,
    fit_arguments: Callable[[Truth], dict[str, Any]] = lambda _: {},
) -> Any:
    """Fit an estimator to the training rows and what `encode` makes of their truth, with `fit_arguments` of it."""
    rows, target = dataset.frame.iloc[split.train], encode(dataset.truth[split.train])
    arguments = fit_arguments(dataset.truth[split.train])
    if arguments and len(split.validation):
        raise ParameterError(
            f"{type(_last_step(estimator)).__name__} cannot stop early here: it ranks groups, which rows to validate"
            " on would divide. Leave early stopping out of build()."
        )
    if dataset.weights is not None:
        arguments |= _weights(estimator, dataset.weights[split.train])
    if not len(split.validation):
        return estimator.fit(rows, target, **arguments)
    held_out = dataset.frame.iloc[split.validation], encode(dataset.truth[split.validation])
    steps = getattr(estimator, "steps", None)
    if steps is None:
        return estimator.fit(rows, target, eval_set=held_out, **arguments)
    name, model = steps[-1]
    arguments = {key.removeprefix(f"{name}__"): value for key, value in arguments.items()}
    if len(steps) > 1:
        head = estimator[:-1]
        rows = head.fit_transform(rows, target)
        held_out = head.transform(held_out[0]), held_out[1]
        estimator.steps = [*head.steps, (name, model)]
    model.fit(rows, target, eval_set=held_out, **arguments)
    return estimator


def _weights(estimator: Any, weights: Any) -> dict[str, Any]:
    """Return the argument that gives weights [n] to an estimator, or to the last step of a pipeline."""
    from sklearn.utils.validation import has_fit_parameter

    last = _last_step(estimator)
    if not has_fit_parameter(last, "sample_weight"):
        raise ParameterError(
            f"The project declares sample_weight, and {type(last).__name__} takes no weights in fit(). Use an"
            " estimator that does as the last step of build(), or leave sample_weight out."
        )
    steps = getattr(estimator, "steps", None)
    return {f"{steps[-1][0]}__sample_weight" if steps else "sample_weight": weights}


def first_line(message: object) -> str:
    """Return the first line of a message."""
    lines = str(message).strip().splitlines()
    return lines[0].strip() if lines else "no message."
