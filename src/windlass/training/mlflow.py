"""Records a training run in MLflow, where it is installed: parameters, metrics, bundle and digests."""

import importlib.util
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from windlass.core.bundle import Bundle
from windlass.settings import Settings
from windlass.training.run import TrainingRun

# a store that is away is told of after seconds, not after MLflow's own four minutes
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}


class TrackingError(Exception):
    """A run could not be recorded. `str(error)` is fit to show to a user."""


@dataclass(frozen=True)
class MlflowRecord:
    """What is recorded of one run."""

    project: str
    params: dict[str, Any]
    metrics: dict[str, float]
    tags: dict[str, str]
    bundle: Path

    @classmethod
    def of(cls, run: TrainingRun, bundle: Bundle) -> "MlflowRecord":
        """The record of a run that was published as `bundle`."""
        tags = {
            "windlass.data_digest": bundle.manifest.data_digest,
            "windlass.bundle_digest": bundle.digest,
            "windlass.engine": bundle.manifest.engine.name,
        }
        if bundle.manifest.source_digest is not None:
            tags["windlass.source_digest"] = bundle.manifest.source_digest
        return cls(run.project.name, run.plan.params, run.evaluation.metrics, tags, bundle.path)


def mlflow_installed() -> bool:
    """Whether MLflow is here, without importing it, which takes seconds."""
    return importlib.util.find_spec("mlflow") is not None


def track(record: MlflowRecord, settings: Settings) -> str:
    """Record a run; returns where: the store and the run's id. Raises TrackingError.

    The store is `mlflow.db` in the home folder, unless MLFLOW_TRACKING_URI names another.
    """
    home = settings.home.absolute()
    uri = settings.tracking_uri or f"sqlite:///{home / 'mlflow.db'}"
    for name, value in _DEFAULTS.items():  # read when MLflow is imported
        os.environ.setdefault(name, value)
    try:
        home.mkdir(parents=True, exist_ok=True)
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
    """The experiment of the project. In a local store its artifacts lie under the home folder."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    place = (home / "mlartifacts" / name).as_uri() if uri.startswith("sqlite:") else None
    return str(client.create_experiment(name, artifact_location=place))


def _mask_credentials(text: str) -> str:
    """The text without the user and password that its addresses hold."""
    return re.sub(r"//[^/@\s]+@", "//***@", text)


def _metric_name(name: str) -> str:
    """A metric's name in the characters that MLflow allows; the classes of a project may hold others."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)
