"""Records a training run in MLflow, where it is installed: parameters, metrics, bundle and digests."""

import importlib.util
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from windlass.core.atomic_files import create_private_file, make_private_folder
from windlass.core.bundle import Bundle
from windlass.settings import Settings
from windlass.training.run import TrainingRun

# a store that cannot be reached is reported after seconds, not after MLflow's default of four minutes
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}


class TrackingError(Exception):
    """A run could not be recorded. `str(error)` is a message for the user."""


@dataclass(frozen=True)
class MlflowRecord:
    """Record of one training run: parameters, metrics, tags and the bundle."""

    project: str
    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, str]
    bundle: Path

    @classmethod
    def from_run(cls, run: TrainingRun, bundle: Bundle) -> "MlflowRecord":
        """Return the record of a run that was published as `bundle`."""
        tags = {
            "windlass.data_digest": bundle.manifest.data_digest,
            "windlass.bundle_digest": bundle.digest,
            "windlass.engine": bundle.manifest.engine.name,
        }
        if bundle.manifest.source_digest is not None:
            tags["windlass.source_digest"] = bundle.manifest.source_digest
        return cls(run.project.name, run.plan.params, run.evaluation.metrics, tags, bundle.path)


def mlflow_installed() -> bool:
    """Whether MLflow is installed; does not import it, which takes seconds."""
    return importlib.util.find_spec("mlflow") is not None


def track(record: MlflowRecord, settings: Settings) -> str:
    """Record a run in MLflow; returns the store and the run's id as text. Raises TrackingError.

    The store is `mlflow.db` in the home folder, unless MLFLOW_TRACKING_URI names another.
    """
    home = settings.home.absolute()
    uri = settings.tracking_uri or f"sqlite:///{home / 'mlflow.db'}"
    for name, value in _DEFAULTS.items():  # read when MLflow is imported
        os.environ.setdefault(name, value)
    try:
        make_private_folder(home)
        if settings.tracking_uri is None:
            create_private_file(home / "mlflow.db")
        return _mask_credentials(f"{uri}, run {_write_run(record, uri, home)}")
    except Exception as error:
        detail = " ".join(str(error).split())[:200]
        raise TrackingError(
            f"the run was not recorded in MLflow at {_mask_credentials(uri)}"
            f" ({type(error).__name__}: {_mask_credentials(detail)})."
            " The bundle is whole. Leave tracking out with --no-track."
        ) from error


def _write_run(record: MlflowRecord, uri: str, home: Path) -> str:
    from mlflow import MlflowClient

    for chatty in ("mlflow", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    client = MlflowClient(tracking_uri=uri)
    run = client.create_run(_experiment_id(client, record.project, uri, home), tags=record.tags)
    run_id = str(run.info.run_id)
    try:
        for name, value in record.params.items():
            client.log_param(run_id, name, value)
        for name, value in record.metrics.items():
            client.log_metric(run_id, _metric_name(name), value)
        client.log_artifacts(run_id, str(record.bundle), artifact_path="bundle")
    except Exception:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)
    return run_id


def _experiment_id(client: Any, name: str, uri: str, home: Path) -> str:
    """Return the project's experiment, created if needed. A local store keeps artifacts in the home folder."""
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    location = (home / "mlartifacts" / name).as_uri() if uri.startswith("sqlite:") else None
    return str(client.create_experiment(name, artifact_location=location))


def _mask_credentials(text: str) -> str:
    """Return the text with user and password of its URLs masked."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)


def _metric_name(name: str) -> str:
    """Return a metric's name with the characters that MLflow does not allow replaced."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)
