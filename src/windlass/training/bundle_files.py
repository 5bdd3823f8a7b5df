"""Writes the files of a bundle, all but the manifest, into a staged folder."""

import io
import os
import sys
import sysconfig
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from windlass.core.bundle import MODEL_ONNX, MODEL_PICKLE, EngineRecord, GateRecord
from windlass.core.data_checks import DATA_CHECKS_FILE
from windlass.core.hashing import pretty_json
from windlass.core.holdout import HOLDOUT_FILE, encode_holdout
from windlass.core.profile import Profile, profile_rows
from windlass.errors import ParameterError
from windlass.training.environment import read_environment
from windlass.training.model_card import render_model_card
from windlass.training.reference_examples import select_reference_examples
from windlass.training.run import TrainingRun, predict

_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()


def write_results(run: TrainingRun, folder: Path) -> None:
    """Write the files of `result_files`, which are the same, byte for byte, for the same arguments."""
    for name, content in result_files(run).items():
        (folder / name).write_bytes(content)


def result_files(run: TrainingRun) -> dict[str, bytes]:
    """Return file contents by name: metrics, parameters, and confusion matrix, calibration and fairness if measured."""
    files = {
        "metrics.json": pretty_json(run.evaluation.metrics),
        "params.json": pretty_json(run.plan.params),
    }
    tables = {
        "confusion_matrix.json": run.evaluation.confusion,
        "calibration.json": run.evaluation.calibration,
        "fairness.json": run.evaluation.fairness,
    }
    return files | {name: pretty_json(table) for name, table in tables.items() if table is not None}


def write_model(run: TrainingRun, compiled: bytes | None, folder: Path, source: Path) -> None:
    """Write the fitted pipeline, and the ONNX model where there is one. Raises ParameterError.

    `source` is the project's folder.
    """
    try:
        (folder / MODEL_PICKLE).write_bytes(_pickle(run.estimator, source))
    except Exception as error:
        raise ParameterError(
            f"Model {run.plan.candidate.name} cannot be pickled: {type(error).__name__}: {error}."
            " Use no lambda and no local function in build()."
        ) from error
    if compiled is not None:
        (folder / MODEL_ONNX).write_bytes(compiled)


def _pickle(estimator: Any, source: Path) -> bytes:
    """Pickle the estimator for `joblib.load`, with the code of classes from the project's own files.

    Without the code the pickle would only name their module, which no other process can import.
    """
    import joblib

    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    project_modules = _project_modules(source)
    names = [
        "__main__",
        *(module.__name__ for module in project_modules),
    ]  # of scripts and notebooks, and of files
    if not any(name.encode() in buffer.getvalue() for name in names):
        return buffer.getvalue()
    import cloudpickle

    for module in project_modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        whole: bytes = cloudpickle.dumps(estimator)
    finally:
        for module in project_modules:
            cloudpickle.unregister_pickle_by_value(module)
    return whole


def _project_modules(source: Path) -> list[ModuleType]:
    """Returns the modules that were imported from the project's folder."""

    @cache  # thousands of modules lie in hundreds of folders
    def is_ours(folder: str) -> bool:
        path = Path(folder).resolve()
        is_library = "site-packages" in path.parts or path.is_relative_to(_STANDARD_LIBRARY)
        return path.is_relative_to(source) and not is_library

    return [
        module
        for module in list(sys.modules.values())
        if (file := getattr(module, "__file__", None)) is not None
        and module.__name__ != "__main__"
        and is_ours(file.rpartition(os.sep)[0])
    ]


def write_metadata(
    run: TrainingRun,
    folder: Path,
    source: Path,
    *,
    engine: EngineRecord,
    gates: tuple[GateRecord, ...],
) -> None:
    """Write schema, profile, data checks, reference examples, holdout, environment and model card.

    `source` is the project's folder.
    """
    files: dict[str, Any] = {
        "schema.json": run.schema.model_dump(mode="json"),
        "profile.json": _training_profile(run).model_dump(mode="json"),
        DATA_CHECKS_FILE: run.checks.model_dump(mode="json"),
        "golden.json": select_reference_examples(run),
        "environment.json": read_environment(source),
    }
    for name, value in files.items():
        (folder / name).write_bytes(pretty_json(value))
    (folder / HOLDOUT_FILE).write_bytes(encode_holdout(run.holdout))
    (folder / "card.md").write_text(render_model_card(run, engine, gates), encoding="utf-8")


def _training_profile(run: TrainingRun) -> Profile:
    batch = run.dataset.batch.take(run.split.train)
    prediction = predict(run.estimator, run.schema, batch)
    return profile_rows(run.project.schema, run.target, batch, prediction)
