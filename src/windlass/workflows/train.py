"""The training workflow: from a request to a published bundle; prints nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from windlass.core.bundle import (
    Bundle,
    ComparisonRecord,
    EngineRecord,
    EquivalenceRecord,
    GateRecord,
)
from windlass.core.bundle_signature import check_signing_key
from windlass.core.bundle_writer import (
    check_replaceable,
    publish_bundle,
    seal_bundle,
    staging_folder,
)
from windlass.core.data_checks import evaluate_findings
from windlass.core.gates import evaluate_thresholds
from windlass.core.progress import ProgressCallback, ignore_progress
from windlass.core.project import Project
from windlass.core.project_loader import ProjectSource
from windlass.errors import BundleError
from windlass.settings import Settings
from windlass.training.bundle_files import write_metadata, write_model, write_results
from windlass.training.mlflow import MlflowRecord, TrackingError, mlflow_installed, track
from windlass.training.plan import TrainingRequest, resolve_plan
from windlass.training.run import TrainingRun, run_training
from windlass.workflows.features import resolve_snapshot


@dataclass(frozen=True)
class TrainingResult:
    """Published bundle of a training, with its parameters, metrics and warnings.

    `warnings` are those of the fit. `tracked` names the MLflow run; `untracked` is the reason why there is none.
    """

    bundle: Bundle
    params: dict[str, object]
    metrics: dict[str, float]
    warnings: tuple[str, ...]
    tracked: str | None = None
    untracked: str | None = None


def train(
    project: Project,
    source: ProjectSource,
    request: TrainingRequest,
    settings: Settings,
    progress: ProgressCallback = ignore_progress,
) -> TrainingResult:
    """Train, seal and publish a bundle at `request.artifacts`; then track it.

    Raises ProjectError, ParameterError, DataError, FeatureError, SettingsError or BundleError; a bundle that was
    there before is then unchanged.
    """
    plan, rows = resolve_snapshot(project, resolve_plan(project, request), settings)
    check_replaceable(request.artifacts)
    if settings.signing_key is not None:
        check_signing_key(settings.signing_key)  # before the work, not after it
    with staging_folder(request.artifacts) as folder:
        run = run_training(project, plan, progress, rows)
        try:
            _write(run, source, folder, settings.signing_key, progress)
        except OSError as error:
            raise BundleError(
                f"Cannot write {error.filename or folder}: {error.strerror}."
                " Free some space, or choose another folder with --artifacts."
            ) from error
        progress(0.95, "Publishing the bundle")
        publish_bundle(folder, request.artifacts)
    bundle = Bundle.open(request.artifacts)
    tracked, untracked = _track(run, bundle, settings, progress) if request.track else (None, None)
    progress(1.0, "Done")
    return TrainingResult(
        bundle, plan.params, run.evaluation.metrics, run.warnings, tracked, untracked
    )


def _write(
    run: TrainingRun,
    source: ProjectSource,
    folder: Path,
    signing_key: Path | None,
    progress: ProgressCallback,
) -> None:
    write_results(run, folder)
    progress(0.55, "Compiling the model to ONNX and comparing it row by row")
    compiled, engine = convert_run(run)
    write_model(run, compiled, folder, source.folder)
    progress(0.85, "Writing profile, reference examples and model card")
    gates = tuple(_evaluate_gates(run))
    write_metadata(run, folder, source.folder, engine=engine, gates=gates)
    seal_bundle(
        folder,
        signing_key,
        project=run.project.name,
        created=datetime.now(UTC).isoformat(timespec="microseconds"),
        data_digest=run.dataset.digest,
        source_digest=source.digest,
        engine=engine,
        gates=gates,
        comparisons=tuple(
            ComparisonRecord(metric=rule.metric, margin=rule.margin, confidence=rule.confidence)
            for rule in run.project.comparisons
        ),
    )


def _evaluate_gates(run: TrainingRun) -> Iterator[GateRecord]:
    """Yield the results of the gates that need no other version: limits of metrics, and no findings."""
    for result in evaluate_thresholds(run.project.thresholds, run.evaluation.metrics):
        yield GateRecord(rule=result.rule, value=result.value, passed=result.passed)
    if run.project.requires_no_findings:
        result = evaluate_findings(run.checks)
        yield GateRecord(
            rule=result.rule, value=result.value, passed=result.passed, note=result.note
        )


def _track(
    run: TrainingRun, bundle: Bundle, settings: Settings, progress: ProgressCallback
) -> tuple[str | None, str | None]:
    """Record the run in MLflow; return the run, or the reason why it failed, or neither without MLflow."""
    if not mlflow_installed():
        return None, None
    progress(0.97, "Recording the run in MLflow")
    try:
        return track(MlflowRecord.from_run(run, bundle), settings), None
    except TrackingError as error:
        return None, str(error)


def convert_run(run: TrainingRun) -> tuple[bytes | None, EngineRecord]:
    """Return the ONNX model of a training run, or None, and the record of its engine."""
    from windlass.engines.convert import ColumnDomain, FittedEstimator, convert

    schema = run.project.schema
    fitted = FittedEstimator(
        estimator=run.estimator,
        columns=tuple(column.name for column in schema.model_columns),
        text=frozenset(column.name for column in schema.text),
        classes=getattr(run.project.target, "labels", None),
        domains={column.name: ColumnDomain.from_schema(column) for column in schema.model_columns},
        target=run.target,
    )
    conversion = convert(fitted, run.dataset.frame, seed=run.plan.seed)
    report = conversion.report
    equality = EquivalenceRecord(
        rows=report.rows,
        max_difference=report.max_difference,
        labels_changed=report.labels_changed,
        tolerance=report.tolerance,
    )
    record = EngineRecord(
        name="native" if conversion.model is None else "onnx",
        reason=report.reason,
        equality=equality if report.rows else None,
    )
    return conversion.model, record
